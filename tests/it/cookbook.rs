//! What docs/CATALOG.md shows is run as it stands there.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Quarantined, Sighting};
use stocktake::model::{Claim, Fact};
use tokio::task::JoinSet;

use crate::support::{NOW, at, claim, connected, connection, listed, put, see, started, window};
use crate::tail::until_shown;

/// The statements of a chapter of the page, each with the comment before it.
fn statements(chapter: &str) -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CATALOG.md")).unwrap();
    let (_, text) = page.split_once(chapter).expect("a chapter of that name");
    let text = text.split("\n## ").next().unwrap_or_default();
    let blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.split(";\n"))
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

async fn fill(pool: &PgPool) -> (Catalog, Connection) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(-900)).await;
    see(&catalog, &connection, &run, &[]).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    let other = Connection { bucket: "archive".to_owned(), ..connection.clone() };
    catalog.connect(&other, NOW).await.unwrap();
    catalog.apply(&other, &[("runs/1/a", &put("v1", "other", "01", 0))], NOW).await.unwrap();
    let removed = |version| claim(version, Fact::Removed, "09", 9);
    let claims = [
        ("runs/1/a", put("v1", "same", "01", 0)),
        ("runs/1/b", put("v1", "same", "01", 0)),
        ("notes.txt", put("v1", "e1", "01", 0)),
        ("notes.txt", put("v2", "e2", "02", 1)),
        ("undeleted", put("v1", "e3", "01", 0)),
        ("undeleted", claim("m", Fact::Marker, "02", 1)),
        ("undeleted", removed("m")),
        ("only a marker", put("v1", "e4", "01", 0)),
        ("only a marker", claim("m", Fact::Marker, "02", 1)),
        ("only a marker", removed("v1")),
    ];
    let batch: Vec<(&str, &Claim)> = claims.iter().map(|(key, claim)| (*key, claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    let run = started(&catalog, &connection, at(900)).await;
    let found = Sighting {
        key: "found".to_owned(),
        listed: vec![listed("v1", "e5", 500, true)],
        window: window(900, 901),
    };
    see(&catalog, &connection, &run, &[found]).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    let aside = Quarantined {
        queue: "q",
        message_id: "m",
        record: 0,
        receive_count: None,
        body: "?",
        reason: "not JSON",
    };
    catalog.quarantine(&aside, NOW).await.unwrap();
    (catalog, connection)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_query_of_the_page_answers_by_an_index(pool: PgPool) {
    fill(&pool).await;
    let mut reader = pool.acquire().await.unwrap();
    // With so few rows any plan is a good one. What is left without these has no index.
    for set in ["set role stocktake_reader", "set enable_seqscan = off"] {
        sqlx::query(set).execute(&mut *reader).await.unwrap();
    }
    let queries = statements("\n## Queries\n");
    assert!(queries.len() >= 17, "only {} queries", queries.len());
    for query in queries {
        let rows = sqlx::query(AssertSqlSafe(query.clone()))
            .fetch_all(&mut *reader)
            .await
            .unwrap_or_else(|error| panic!("{query}\n{error}"));
        assert!(!rows.is_empty(), "finds nothing: {query}");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("explain (costs off) {query}")))
            .fetch_all(&mut *reader)
            .await
            .unwrap();
        let reads_all = query.contains("Reads all");
        let others =
            |line: &&String| line.contains("Seq Scan on slots") || line.contains("Seq Scan on journal");
        assert!(reads_all || !plan.iter().any(|line| others(&line)), "{query}\n{}", plan.join("\n"));
        // The other buckets' partitions are none of its business.
        let partitions = if query.contains("'archive'") { "on slots_3" } else { "on slots_2" };
        assert!(!plan.iter().any(|line| line.contains(partitions)), "{query}\n{}", plan.join("\n"));
    }
}

/// Takes steps of the page's consumer, every third of which dies before its commit, until nothing comes
/// any more.
async fn consume(pool: PgPool, step: Vec<String>, is_over: Arc<AtomicBool>) {
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let mut transaction = pool.begin().await.unwrap();
        let mut moved = 0;
        for statement in &step {
            let statement = AssertSqlSafe(statement.replace("limit 1000", "limit 7"));
            moved = sqlx::query(statement).execute(&mut *transaction).await.unwrap().rows_affected();
        }
        if fastrand::u8(..3) == 0 {
            transaction.rollback().await.unwrap();
            continue;
        }
        transaction.commit().await.unwrap();
        if moved == 0 && was_over {
            return;
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_consumer_of_the_page_misses_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let mut program = statements("\n### A consumer that misses nothing and repeats nothing\n");
    let step = program.split_off(program.len() - 2);
    for statement in program {
        sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut consumers = JoinSet::new();
    for _ in 0..2 {
        consumers.spawn(consume(pool.clone(), step.clone(), Arc::clone(&is_over)));
    }
    let mut writers = JoinSet::new();
    for writer in 0..3_i64 {
        let (catalog, connection) = (catalog.clone(), connection.clone());
        writers.spawn(async move {
            for round in 0..40 {
                let number = round * 3 + writer;
                let put = put("null", &number.to_string(), &format!("{number:X}"), number);
                let removed = claim("null", Fact::Removed, &format!("{number:X}"), number);
                let keys = [fastrand::u8(..9).to_string(), fastrand::u8(..9).to_string()];
                catalog.apply(&connection, &[(&keys[0], &put), (&keys[1], &removed)], NOW).await.unwrap();
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    until_shown(&pool).await;
    is_over.store(true, Ordering::Release);
    while let Some(consumer) = consumers.join_next().await {
        consumer.unwrap();
    }
    let told = "select concat_ws(' ', key, etag, change_id) from mirror order by key";
    let newest = "select concat_ws(' ', key, etag, change_id) from (
                      select distinct on (key) * from catalog.changes order by key, change_id desc) as newest order by key";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&pool).await.unwrap();
    let newest: Vec<String> = sqlx::query_scalar(newest).fetch_all(&pool).await.unwrap();
    assert_eq!(told, newest);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_cursor_is_wrong_by_is_told(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    catalog.connect(&connection(""), NOW).await.unwrap();
    let table = [
        (Some("genomics"), None, ""),
        (Some("genomics"), Some("3:0"), ""),
        (None, None, "is not connected"),
        (Some("genomic"), None, "bucket \"genomic\" is not connected"),
        (
            Some("genomics"),
            Some("999999999999:0"),
            "cursor \"999999999999:0\" is beyond the end of all changes",
        ),
        (Some("genomics"), Some("yesterday"), "\"yesterday\" is not a cursor of changes"),
        (Some("genomics"), Some(""), "\"\" is not a cursor of changes"),
        (Some("genomics"), Some("7"), "\"7\" is not a cursor of changes"),
    ];
    for (bucket, cursor, expected) in table {
        let told = sqlx::query("select * from catalog.changes_since($1, $2)")
            .bind(bucket)
            .bind(cursor)
            .fetch_all(&pool)
            .await;
        let told = told.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            told.contains(expected) && told.is_empty() == expected.is_empty(),
            "{bucket:?} {cursor:?}: {told}"
        );
    }
}
