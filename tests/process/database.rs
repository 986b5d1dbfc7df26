//! How the daemon is let into its database: over TLS, and as a role that does not own it.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use url::Url;

use crate::support::{Authority, Config, Stage, TlsFront, eventually};

/// The stage's database by another way.
fn by(stage: &Stage, port: u16, query: &str) -> String {
    let mut url = Url::parse(&stage.database).unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port)).unwrap();
    url.set_query(Some(query));
    url.into()
}

#[tokio::test]
async fn whom_postgres_is_taken_for_is_up_to_its_certificate() {
    let stage = Stage::new().await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let file = |name: &str, authority: &Authority| {
        let path = stage.folder.join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (trusted, other) = (file("ours.pem", &ours), file("theirs.pem", &theirs));
    let url = Url::parse(&stage.database).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let right = TlsFront::to(server.clone(), &ours, "127.0.0.1").await;
    let elsewhere = TlsFront::to(server, &ours, "db.example.com").await;
    let (right, elsewhere) = (right.address.port(), elsewhere.address.port());
    let plain = url.port().unwrap_or(5432);

    for (port, query, complaint) in [
        (right, format!("sslmode=verify-full&sslrootcert={trusted}"), None),
        (right, format!("sslmode=verify-ca&sslrootcert={trusted}"), None),
        (right, "sslmode=require".to_owned(), None),
        (elsewhere, format!("sslmode=verify-ca&sslrootcert={trusted}"), None),
        (elsewhere, format!("sslmode=verify-full&sslrootcert={trusted}"), Some("not valid for name")),
        (right, format!("sslmode=verify-full&sslrootcert={other}"), Some("invalid peer certificate")),
        (right, format!("sslmode=verify-ca&sslrootcert={other}"), Some("invalid peer certificate")),
        (right, "sslmode=verify-full".to_owned(), Some("invalid peer certificate")),
        (right, format!("sslmode=require&sslrootcert={trusted}"), None),
        (right, format!("sslmode=require&sslrootcert={other}"), Some("invalid peer certificate")),
        (plain, "sslmode=require".to_owned(), Some("server does not support TLS")),
        // What stands behind the front takes nobody without TLS.
        (right, "sslmode=disable".to_owned(), Some("see that Postgres runs")),
    ] {
        let config = Config { database: by(&stage, port, &query), ..stage.config_of(&[]) };
        let told = stage.run(&config, &["migrate"]).await;
        match complaint {
            None => assert_eq!(told.code, Some(0), "{query}: {told:?}"),
            Some(complaint) => {
                assert_eq!(told.code, Some(1), "{query}: {told:?}");
                assert!(told.stderr.contains(complaint), "{query} {complaint}: {told:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_url_is_refused_before_anything_else() {
    let stage = Stage::new().await;
    let plain = Url::parse(&stage.database).unwrap().port().unwrap_or(5432);
    for (query, complaint) in [
        (
            "sslmode=verify_full",
            "parameter sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
        ),
        ("port=abc", "parameter port must be a number from 1 to 65535"),
        ("hostaddr=foo", "parameter hostaddr must be an IP address"),
        ("target_session_attrs=standby", "parameter target_session_attrs must be any, read-write or primary"),
        ("sslrootcert=/nowhere.pem", "/nowhere.pem"),
        ("require_auth=scram-sha-256", "parameter require_auth is not supported"),
    ] {
        let config = Config { database: by(&stage, plain, query), ..stage.config_of(&["b-1"]) };
        for words in [&["serve"][..], &["migrate"], &["status", "--format", "json"], &["doctor"]] {
            let told = stage.run(&config, words).await;
            assert_eq!(told.code, Some(78), "{words:?} {query}: {told:?}");
            assert!(told.stderr.contains("database.url: "), "{words:?} {query}: {told:?}");
            assert!(told.stderr.contains(complaint), "{words:?} {query}: {told:?}");
            assert!(!told.stderr.contains("starting"), "{words:?} {query}: {told:?}");
        }
    }
}

#[tokio::test]
async fn an_ipv6_address_in_brackets_is_an_address() {
    let stage = Stage::new().await;
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().unwrap().port();
    let server = Url::parse(&stage.database).unwrap();
    let server = (server.host_str().unwrap().to_owned(), server.port().unwrap_or(5432));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let database = by(&stage, port, "").replace("127.0.0.1", "[::1]");
    assert!(database.contains(&format!("[::1]:{port}")), "{database}");
    let told = stage.run(&Config { database, ..stage.config_of(&[]) }, &["migrate"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
}

/// Whether a role may run a statement; nothing is left of it.
async fn may(pool: &PgPool, role: &str, statement: &str) -> bool {
    let mut transaction = pool.begin().await.unwrap();
    transaction.execute(AssertSqlSafe(format!("set local role {role}"))).await.unwrap();
    let done = transaction.execute(AssertSqlSafe(statement.to_owned())).await;
    if let Err(error) = &done {
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    done.is_ok()
}

#[tokio::test]
async fn the_daemon_need_not_own_its_database() {
    let stage = Stage::new().await;
    let bucket = stage.name("granted");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    let config = stage.config_of(&[&bucket]);
    assert_eq!(stage.run(&config, &["migrate"]).await.code, Some(0));
    let (config, role) = stage.granted(config).await;

    let mut daemon = stage.start_with(&config, &[], &["serve", "--no-migrate"]);
    daemon.until_ready().await;
    eventually("a run", async || {
        let new = "select count(*) from catalog.buckets where complete_through is null";
        (stage.count(new).await == 0).then_some(())
    })
    .await;
    stage.put(&bucket, "after", "body").await;
    stage.delete(&bucket, "before").await;
    eventually("events in the journal", async || {
        daemon.must_run();
        (stage.count("select count(*) from catalog.changes where cause = 'event'").await > 1).then_some(())
    })
    .await;
    stage.must_be_equal(&[&bucket]).await;
    assert!(!daemon.log().contains("permission denied"), "{}", daemon.log());
    let told = stage.run(&config, &["doctor", "--format", "json"]).await;
    let permissions = told.json().into_iter().find(|finding| finding["check"] == "permissions").unwrap();
    assert_eq!(permissions["verdict"], "ok", "{permissions}");
    daemon.stop().await;
    let undone = stage.run(&config, &["disconnect", "--bucket", &bucket, "--apply", "--drop-rows"]).await;
    assert_eq!(undone.code, Some(0), "its partition goes, too: {undone:?}");

    assert!(may(&stage.pool, &role, "select catalog.drop_journal_days('1 day')").await);
    for statement in [
        "drop table catalog.slots",
        "alter table catalog.slots add column x int",
        "truncate catalog.journal",
        "create table catalog.x ()",
        "insert into catalog.migrations select * from catalog.migrations",
        "select catalog.grant_daemon('x')",
        "create role x",
    ] {
        assert!(!may(&stage.pool, &role, statement).await, "{statement}");
    }
    // Nor may who only reads, or anybody else, make or drop partitions in the owner's name.
    stage.pool.execute(AssertSqlSafe(format!("create role {role}_nobody"))).await.unwrap();
    stage
        .pool
        .execute(AssertSqlSafe(format!("grant usage on schema catalog to {role}_nobody")))
        .await
        .unwrap();
    for statement in ["select catalog.drop_partition('x')", "select catalog.add_journal_days(1)"] {
        assert!(!may(&stage.pool, &format!("{role}_nobody"), statement).await, "{statement}");
    }
    for statement in
        [format!("drop owned by {role}, {role}_nobody"), format!("drop role {role}, {role}_nobody")]
    {
        stage.pool.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}
