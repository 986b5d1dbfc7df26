//! Keys may be any 1,024 bytes of UTF-8, and bodies anything at all.

use sqlx::PgPool;
use stocktake::catalog::{MIGRATOR, Quarantined};
use stocktake::model::Claim;

use super::{Site, links};
use crate::support::{NOW, connected, put};

/// What must be nowhere on a page as it is.
const MARKUP: [&str; 4] = ["<script>alert", "<img", "\u{202E}", "\u{7}"];

fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "<script>alert(1)</script>",
        "\"onmouseover=\"alert(1)",
        "'><img src=x onerror=alert(1)>/deep/er",
        "gpj.\u{202E}exe.png",
        "new\nline\r\n\tand tab",
        "bell\u{7}and\u{1b}[2Jclear",
        "&amp;&lt;?a=b&c=d#e%2F%00+plus",
        "//two//slashes//",
        " leading and trailing ",
        "..",
        "../../etc/passwd",
        "zero\u{200B}width",
        "\u{10FFFF}\u{1}",
        "עברית/عربى",
        "{{7*7}}${7*7}",
    ]
    .map(str::to_owned)
    .into();
    keys.push("é".repeat(512));
    keys.push("<".repeat(1_024));
    keys.push("d/".repeat(512));
    keys
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_key_is_shown_and_leads_to_its_page(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let keys = hostile_keys();
    let claim = put("", "e1", "01", 1);
    let events: Vec<(&str, &Claim)> = keys.iter().map(|key| (key.as_str(), &claim)).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let site = Site::of(&pool).await;

    // From the top through all folders but those 512 deep, by the links alone.
    let mut levels = vec!["/browse?bucket=genomics&prefix=".to_owned()];
    let mut opened = Vec::new();
    while let Some(level) = levels.pop() {
        let page = site.page(&level).await;
        for markup in MARKUP {
            assert!(!page.contains(markup), "{markup:?} in {page}");
        }
        let deeper = links(&page, "/browse?").into_iter();
        levels.extend(deeper.filter(|link| link.len() > level.len() && link.len() < 300));
        for key in links(&page, "/key?") {
            opened.push(key);
        }
        // Slower than the limit, as a person is.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    opened.sort_unstable();
    opened.dedup();
    assert_eq!(opened.len(), keys.len() - 1, "all but the deepest: {opened:?}");
    for link in &opened {
        let page = site.page(link).await;
        assert!(page.contains("There: a plain read gets version"), "{link}: {page}");
        for markup in MARKUP {
            assert!(!page.contains(markup), "{markup:?} in {page}");
        }
    }
    // No key in Postgres has a NUL.
    for address in ["/browse?bucket=genomics&prefix=%00", "/key?bucket=genomics&key=a%00b"] {
        let answer = site.get(address, &[]).await;
        assert_eq!(answer.status, 404, "{address}: {}", answer.body);
    }
    let changes = site.page("/changes?bucket=genomics").await;
    assert!(links(&changes, "/bucket?").is_empty(), "the journal is of no part of the bucket: {changes}");
    let bucket = site.page("/bucket?name=genomics").await;
    for page in [changes, bucket] {
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(MARKUP.iter().all(|markup| !page.contains(markup)), "{page}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn bodies_in_quarantine_are_text(pool: PgPool) {
    let (catalog, _) = connected(pool.clone()).await;
    let body = format!("{{\"a\":\n\t\"<script>alert(1)</script>\u{202E}\u{7}</pre>\"}}{}", "x".repeat(5_000));
    for number in 0..60 {
        let message = Quarantined {
            queue: "https://sqs/<img src=x>",
            message_id: &format!("m{number}"),
            record: number % 2,
            receive_count: Some(3),
            body: &body,
            reason: "no <img> of \u{202E} \"s3\"",
        };
        catalog.quarantine(&message, NOW).await.unwrap();
    }
    let site = Site::of(&pool).await;
    let page = site.page("/quarantine").await;
    assert!(MARKUP.iter().all(|markup| !page.contains(markup)), "{page}");
    assert!(
        page.contains("{&quot;a&quot;:\n\t&quot;&lt;script&gt;") && page.contains("&lt;/pre&gt;"),
        "{page}"
    );
    let length = format!("5,0{} characters", body.chars().count() - 5_000);
    assert!(page.contains(&length) && page.contains("no &lt;img&gt; of <span"), "{page}");
    assert_eq!((page.matches("<pre").count(), page.matches("Cut off.").count()), (50, 50));
    let earlier = site.page(&links(&page, "/quarantine?before=")[0]).await;
    assert_eq!(earlier.matches("<pre").count(), 10);
    let whole = site.page(&links(&page, "/quarantine?id=")[0]).await;
    assert!(whole.contains(&"x".repeat(5_000)) && !whole.contains("Cut off."));
    assert_eq!(whole.matches("<pre").count(), 1);
}
