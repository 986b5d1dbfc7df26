//! Who is shown the page, and what a browser is told about it.

use sqlx::PgPool;
use stocktake::catalog::{Catalog, MIGRATOR};

use super::Site;
use crate::support::{connected, connection};

const TOKEN: &str = "a-token-of-twenty-or-more";
const LOCK: (&str, &str) = ("STOCKTAKE_ADMIN__TOKEN", TOKEN);
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_a_token_the_page_is_shown_by_address_only(pool: PgPool) {
    let site = Site::of(&pool).await;
    for (host, status) in [
        ("127.0.0.1", 200),
        ("localhost:9464", 200),
        ("[::1]:9464", 200),
        ("evil.example", 403),
        ("localhost.evil.example:9464", 403),
    ] {
        assert_eq!(site.get("/", &[("host", host), BROWSER]).await.status, status, "{host}");
    }
    // Programs are not led astray by names.
    assert_eq!(site.get("/livez", &[("host", "stocktake.monitoring")]).await.status, 200);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_knows_the_token_logs_in_and_out(pool: PgPool) {
    let site = Site::with(&pool.connect_options(), &[LOCK]).await;
    let program = site.get("/", &[]).await;
    assert_eq!((program.status, program.header("www-authenticate")), (401, "Bearer"));
    let person = site.get("/?a=b&c", &[BROWSER]).await;
    assert_eq!((person.status, person.header("location")), (303, "/login?next=%2F%3Fa%3Db%26c"));
    let bearer = format!("Bearer {TOKEN}");
    // By any name: nobody else's site has the token.
    let headers = [("authorization", bearer.as_str()), ("host", "stocktake.example")];
    assert_eq!(site.get("/", &headers).await.status, 200);
    assert_eq!(site.get("/", &[("authorization", "Bearer a-token-of-twenty-or-mor")]).await.status, 401);

    let form = site.get(person.header("location"), &[BROWSER]).await;
    assert!(form.status == 200 && form.body.contains("value=\"/?a=b&amp;c\""), "{form:?}");
    for wrong in ["token=&next=/", "token=a-token-of-twenty-or-mor&next=/", "token=%00"] {
        let answer = site.ask("POST", "/login", &[], wrong).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, ""), "{wrong}");
        assert!(answer.body.contains("That is not the token."));
    }
    let let_in = site.ask("POST", "/login", &[], &format!("token={TOKEN}&next=%2F%3Fa%3Db")).await;
    assert_eq!((let_in.status, let_in.header("location")), (303, "/?a=b"));
    let cookie = let_in.header("set-cookie");
    for word in ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(TOKEN), "{cookie}");
    let own = format!("http://{}", site.address);
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (own.as_str(), 303)] {
        let form = format!("token={TOKEN}");
        let answer = site.ask("POST", "/login", &[("origin", origin)], &form).await;
        assert_eq!(
            (answer.status, answer.header("set-cookie").is_empty()),
            (status, status == 403),
            "{origin}"
        );
        assert_eq!(site.ask("POST", "/logout", &[("origin", origin)], "").await.status, status, "{origin}");
    }
    assert_eq!(site.ask("POST", "/login", &[], "nonsense").await.status, 400);
    let tls = site.ask("POST", "/login", &[("x-forwarded-proto", "https")], &format!("token={TOKEN}")).await;
    assert!(tls.header("set-cookie").ends_with("; Secure"), "{tls:?}");

    let session = cookie.split(';').next().unwrap();
    let page = site.get("/", &[("cookie", session), BROWSER]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Log out") && !page.body.contains(TOKEN) && !page.body.contains("s3cret"));
    let forged = session.replacen("=1", "=2", 1);
    assert_eq!(site.get("/", &[("cookie", forged.as_str())]).await.status, 401);
    let out = site.ask("POST", "/logout", &[("cookie", session)], "").await;
    assert!(out.header("set-cookie").starts_with("stocktake=; Path=/; Max-Age=0;"), "{out:?}");

    for path in ["/livez", "/metrics"] {
        assert_eq!(site.get(path, &[]).await.status, 200, "programs need no token for {path}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn browsers_are_told_to_trust_nothing_else(pool: PgPool) {
    for variables in [vec![], vec![LOCK]] {
        let site = Site::with(&pool.connect_options(), &variables).await;
        for path in ["/", "/login", "/page.css", "/page.js", "/icon.svg?tone=bad"] {
            let answer = site.get(path, &[BROWSER]).await;
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"), "{path}");
            assert!(
                policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
                "{path}: {policy}"
            );
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("x-frame-options", "DENY"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), value, "{path}: {name}");
            }
            let is_kept = answer.header("cache-control").contains("immutable");
            assert_eq!(is_kept, !["/", "/login"].contains(&path), "{path}");
            // Nothing is inline, and nothing is somebody else's.
            for inline in ["style=", "<style", "onclick", "javascript:", "https://"] {
                assert!(!path.ends_with('/') || !answer.body.contains(inline), "{inline} in {}", answer.body);
            }
        }
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let headers = [("authorization", format!("Bearer {TOKEN}"))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(site.ask(method, "/", &headers, "").await.status, 405, "{method}");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_asks_too_often_waits(pool: PgPool) {
    let site = Site::of(&pool).await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = site.get("/", &[]).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "5"));
    assert_eq!(site.get("/livez", &[]).await.status, 200, "probes have no limit");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_only_looks_cannot_write_and_is_cut_off(pool: PgPool) {
    let _ = connected(pool.clone()).await;
    let reader = Catalog::to_read((*pool.connect_options()).clone());
    let server = reader.inspect().await.unwrap();
    assert!(server.is_read_only);
    assert_eq!(server.statement_timeout, 5_000);
    let error = reader.forget(&connection("")).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "25006", "{error}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn strangers_keep_nobody_out_who_knows_the_token(pool: PgPool) {
    let site = Site::with(&pool.connect_options(), &[LOCK]).await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(site.get("/", &[("authorization", "Bearer a-token-of-somebody-else")]).await.status);
    }
    assert!(statuses.starts_with(&[401; 60]) && statuses.ends_with(&[429]), "{statuses:?}");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(site.get("/", &[("authorization", &*bearer)]).await.status, 200);
    // More than strangers get back meanwhile.
    for _ in 0..100 {
        assert_eq!(site.ask("POST", "/login", &[], &format!("token={TOKEN}")).await.status, 303);
    }
}
