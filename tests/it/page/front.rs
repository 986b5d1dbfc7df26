//! The overview.

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use stocktake::catalog::{Daemon, MIGRATOR};
use stocktake::health::Subject;
use stocktake::model::Claim;

use super::Site;
use crate::support::{NOW, at, connected, done, put, started};

const BROWSER: (&str, &str) = ("accept", "text/html");

fn daemon() -> Daemon {
    Daemon { daemon_id: 7, host: "here<i>".to_owned(), pid: 42 }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_overview_says_what_the_catalog_says(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let site = Site::of(&pool).await;
    let page = site.page("/").await;
    assert!(page.contains("No daemon is at work: nothing is kept true."), "{page}");

    catalog.greet(&daemon(), Some(std::time::Duration::from_secs(2))).await.unwrap();
    let page = site.page("/").await;
    assert!(page.contains("genomics is not kept true."), "nobody said to have it: {page}");
    let own = [std::sync::Arc::new(connection.clone())];
    catalog.attend(daemon().daemon_id, &own, &[], std::time::Duration::ZERO, NOW).await.unwrap();
    let run = started(&catalog, &connection, at(0)).await;
    let page = site.page("/").await;
    assert!(page.contains("All is well so far: genomics is being listed for the first time."), "{page}");
    assert!(page.contains("how many there are is not known before the first listing"), "{page}");

    let range = catalog.take_range(&run).await.unwrap().unwrap();
    catalog.save(&connection, &run, &range, &[], &done(at(1)), NOW).await.unwrap().unwrap();
    catalog.judge_removals(&connection, &run, 20, true, NOW).await.unwrap();
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    let keys: Vec<String> = (0..1_234).map(|number| format!("k{number}")).collect();
    let claim = put("", "e1", "01", 10);
    let events: Vec<(&str, &Claim)> = keys.iter().map(|key| (key.as_str(), &claim)).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let (objects, bytes): (i64, i64) =
        sqlx::query_as("select count(*), sum(size)::bigint from catalog.objects where bucket = 'genomics'")
            .fetch_one(&pool)
            .await
            .unwrap();
    let page = site.page("/").await;
    assert!(page.contains("All is well.") && page.contains("1 bucket is kept true by 1 daemon"), "{page}");
    assert!(page.contains("here&lt;i&gt;") && !page.contains("here<i>"), "{page}");
    assert!(page.contains(&format!("<data value=\"{objects}\">1,234</data>")), "{page}");
    assert!(
        page.contains(&format!("<data value=\"{bytes}\" title=\"8,638 bytes\">8.4 KiB</data>")),
        "{page}"
    );

    let hostile = "<script>alert(1)</script>\u{202E}\n";
    catalog.note_problem("rechecks in bucket genomics/", hostile, "mend it", NOW).await.unwrap();
    let page = site.page("/").await;
    assert!(page.contains("Somebody should look: genomics is degraded."), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;<span class=\"hidden\" title=\"U+202E\">"),
        "{page}"
    );
    assert!(!page.contains("<script>") && !page.contains('\u{202E}') && page.contains("mend it"), "{page}");

    catalog.note_problem("bucket genomics/", "AccessDenied", "allow it", NOW).await.unwrap();
    let page = site.page("/").await;
    assert!(page.contains("genomics is not kept true.") && page.contains("?tone=bad"), "{page}");
    assert!(page.contains("and with it <bdi>rechecks in bucket genomics/</bdi>"), "{page}");
}

#[tokio::test]
async fn without_postgres_the_page_says_what_the_daemon_knows() {
    let nobody = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1).username("nobody");
    let site = Site::with(&nobody, &[]).await;
    site.health.problem(Subject::Queue("q".to_owned()), "gone", "make it", NOW);
    let answer = site.get("/", &[BROWSER]).await;
    assert_eq!(answer.status, 503);
    for words in ["Postgres does not answer", "see that Postgres runs", "queue q", "gone", "make it"] {
        assert!(answer.body.contains(words), "{words}: {}", answer.body);
    }
}
