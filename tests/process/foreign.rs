//! A database as others set it up: settings of roles, encodings, publications and readers of other buckets.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use crate::support::{Cluster, Config, Stage, eventually};

/// What a role may be set to, all at once, with which the program that compares can still read.
const HOSTILE: [&str; 6] = [
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "search_path = nowhere",
    "standard_conforming_strings = off",
    "plan_cache_mode = force_generic_plan",
    "enable_partition_pruning = off",
];

async fn execute(pool: &PgPool, statement: impl Into<String>) {
    pool.execute(AssertSqlSafe(statement.into())).await.unwrap();
}

fn name(stage: &Stage) -> String {
    stage.database.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn settings_of_a_role_change_nothing_from_the_first_migration_on() {
    let stage = Stage::new().await;
    let bucket = stage.name("settings");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    for setting in HOSTILE {
        execute(&stage.pool, format!("alter role current_user in database {} set {setting}", name(&stage)))
            .await;
    }
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
    stage.put(&bucket, "after", "body").await;
    stage.delete(&bucket, "before").await;
    stage.must_be_equal(&[&bucket]).await;
    let told = stage.run(&config, &["reconcile"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let told = stage.run(&config, &["recheck", "--bucket", &bucket, "after"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let (status, _) = stage.status(&config).await;
    assert_eq!(status["problems"].as_array().unwrap().len(), 0, "{status}");
    daemon.must_run();
    daemon.stop().await;
}

#[tokio::test]
async fn a_database_that_is_not_utf_8_is_refused_by_its_name() {
    let stage = Stage::new().await;
    let latin = format!("{}_latin", name(&stage));
    let create = "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0";
    execute(&stage.pool, format!("create database {latin} {create}")).await;
    let (server, _) = stage.database.rsplit_once('/').unwrap();
    let config = Config { database: format!("{server}/{latin}"), ..stage.config_of(&["genomics"]) };
    for command in [&["serve"][..], &["serve", "--no-migrate"], &["migrate"], &["doctor"]] {
        let told = stage.run(&config, command).await;
        assert_eq!(told.code, Some(1), "{command:?}: {told:?}");
        let said = format!("{}{}", told.stdout, told.stderr);
        for words in
            [&format!("database \"{latin}\" is encoded in LATIN1"), "encoding 'UTF8' template template0"]
        {
            assert!(said.contains(words), "{command:?} without {words:?}: {told:?}");
        }
    }
    let made = "select count(*) from pg_namespace where nspname = 'catalog'";
    let mut there = PgConnection::connect(&config.database).await.unwrap();
    let schemas: i64 = sqlx::query_scalar(made).fetch_one(&mut there).await.unwrap();
    assert_eq!(schemas, 0, "something was made in it");
    there.close().await.unwrap();
    execute(&stage.pool, format!("drop database {latin}")).await;
}

/// The statement that docs/CATALOG.md shows for logical replication.
fn publication() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CATALOG.md")).unwrap();
    let (_, chapter) = page.split_once("\n### Logical replication\n").expect("a chapter of that name");
    let (_, statement) = chapter.split_once("```sql\n").unwrap();
    statement.split("```").next().unwrap().to_owned()
}

#[tokio::test]
async fn publications_hinder_nothing_and_a_subscriber_has_each_change() {
    let mut stage = Stage::new().await;
    let _cluster = Cluster::with(&mut stage, &["wal_level=logical"]).await;
    let bucket = stage.name("published");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    execute(&stage.pool, "create publication everything for all tables").await;
    let config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    execute(&stage.pool, publication()).await;

    // Another database of the same server: it cannot make the slot itself, as it would wait for its own transaction.
    let other = format!("{}_copy", name(&stage));
    execute(&stage.pool, format!("create database {other}")).await;
    execute(&stage.pool, "select pg_create_logical_replication_slot('copy', 'pgoutput')").await;
    let (server, _) = stage.database.rsplit_once('/').unwrap();
    let copy = PgPool::connect(&format!("{server}/{other}")).await.unwrap();
    execute(&copy, "create schema catalog").await;
    let columns: String = sqlx::query_scalar(
        "select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
         from pg_attribute where attrelid = 'catalog.journal'::regclass and attnum > 0",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    execute(&copy, format!("create table catalog.journal ({columns})")).await;
    let with = "create_slot = false, slot_name = 'copy', copy_data = false";
    let subscribe = format!(
        "create subscription copy connection '{}' publication stocktake_changes with ({with})",
        stage.database
    );
    execute(&copy, subscribe).await;

    let mut daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
    for (key, body) in [("before", "another body"), ("after", "body"), ("gone", "body")] {
        stage.put(&bucket, key, body).await;
    }
    stage.delete(&bucket, "gone").await;
    stage.must_be_equal(&[&bucket]).await;
    let told = stage.run(&config, &["reconcile"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines =
        "select string_agg((change_id, transaction_id, bucket, key, change)::text, E'\\n' order by change_id)
                 from catalog.journal";
    eventually("the same journal in both", async || {
        let ours: Option<String> = sqlx::query_scalar(lines).fetch_one(&stage.pool).await.unwrap();
        let theirs: Option<String> = sqlx::query_scalar(lines).fetch_one(&copy).await.unwrap();
        (ours.is_some_and(|ours| ours.lines().count() >= 4) && ours_is(&stage.pool, lines, theirs).await)
            .then_some(())
    })
    .await;
    assert!(!daemon.log().contains("replica identity"), "{}", daemon.log());
    daemon.must_run();
    daemon.stop().await;
    execute(&copy, "alter subscription copy disable").await;
    execute(&copy, "alter subscription copy set (slot_name = none)").await;
    execute(&copy, "drop subscription copy").await;
}

async fn ours_is(pool: &PgPool, lines: &'static str, theirs: Option<String>) -> bool {
    let ours: Option<String> = sqlx::query_scalar(lines).fetch_one(pool).await.unwrap();
    ours == theirs
}

/// Whoever holds the tables of other buckets keeps nothing from this one.
#[tokio::test]
async fn a_bucket_is_served_while_the_tables_of_others_are_locked() {
    let stage = Stage::new().await;
    let bucket = stage.name("alone");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "before", "body").await;
    let config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    let mut holder = stage.pool.begin().await.unwrap();
    let lock = "do $$ declare leaf regclass; begin
                for leaf in select relid from pg_partition_tree('catalog.slots') where isleaf
                loop execute format('lock table %s in access exclusive mode', leaf); end loop; end $$";
    execute(&stage.pool, format!("alter database {} set plan_cache_mode = force_generic_plan", name(&stage)))
        .await;
    let mut daemon = stage.serve(&config).await;
    stage.must_be_equal(&[&bucket]).await;
    for number in 1..=4 {
        let add = format!("select catalog.add_partition('other-{number}', {number})");
        execute(&stage.pool, add).await;
    }
    // `partition_of` looks at partitions in turn, up to that of the bucket, which comes first here.
    let lock = lock.replace("isleaf", &format!("isleaf and relid <> catalog.partition_of('{bucket}')"));
    holder.execute(AssertSqlSafe(lock)).await.unwrap();
    for number in 0..8 {
        stage.put(&bucket, &format!("key {number}"), "body").await;
    }
    stage.delete(&bucket, "before").await;
    eventually("all events", async || {
        let count = "select count(*) from catalog.changes where cause = 'event' and change like '%created'";
        (stage.count(count).await >= 9).then_some(())
    })
    .await;
    for command in [&["reconcile"][..], &["recheck", "--bucket", &bucket, "key 1"], &["status"]] {
        let told = stage.run(&config, command).await;
        assert_eq!(told.code, Some(0), "{command:?}: {told:?}");
    }
    assert!(!daemon.log().contains("lock timeout"), "{}", daemon.log());
    daemon.must_run();
    holder.rollback().await.unwrap();
    stage.must_be_equal(&[&bucket]).await;
    daemon.stop().await;
}
