//! From one release to the next: what a migration does to those at work, and what a program says to a schema that it does
//! not know. `make test-upgrade FROM=REVISION` takes the release before as it was.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr};
use stocktake::catalog::MIGRATOR;

use crate::support::{Stage, Writer, eventually};

/// What the next release may do to the schema, and does: new columns, new tables, an index beside the use of its table,
/// and a view that tells more.
const NEXT: [(i64, bool, &str); 2] = [
    (
        20990101000000,
        false,
        "set local lock_timeout = '3s';
         alter table catalog.slots add column owner text;
         alter table catalog.journal add column owner text;
         alter table catalog.connections add column seen_at timestamptz not null default now();
         alter table catalog.slots add constraint slots_size check (size >= 0) not valid;
         create table catalog.owners (owner text primary key);
         create or replace view catalog.objects as
         select bucket, key, version_id, size, etag, last_modified, storage_class, owner
         from catalog.slots
         where is_latest and not is_delete_marker;",
    ),
    (20990102000000, true, "create index concurrently slots_by_etag on catalog.slots_1 (etag)"),
];

/// Runs the next release's migrations: all of ours and its own.
async fn migrate_to_next(stage: &Stage) -> Result<(), MigrateError> {
    let planned = NEXT.map(|(version, no_transaction, sql)| {
        Migration::new(version, "planned".into(), MigrationType::Simple, sql.into_sql_str(), no_transaction)
    });
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().chain(planned).collect());
    migrator.dangerous_set_table_name("catalog.migrations");
    let mut connection = stage.pool.acquire().await.unwrap().detach();
    let migrated = migrator.run(&mut connection).await;
    connection.close().await.unwrap();
    migrated
}

/// The last migration of ours.
fn known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap()
}

#[tokio::test]
async fn the_next_release_migrates_under_a_daemon_at_work_which_then_cannot_start_again() {
    let stage = Stage::forgiving(2).await;
    let bucket = stage.name("expanded");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config().place_with(&bucket, "reconcile_every = \"6s\"");
    let mut daemon = stage.serve(&config).await;
    let writer = Writer::start(&stage, &bucket, "");
    // Until it has all statements prepared that a migration could make stale.
    tokio::time::sleep(Duration::from_secs(5)).await;
    // A daemon that migrates comes again, too, after it met the one at work on two tables, and Postgres chose it to give way.
    eventually("the next release's migration", async || match migrate_to_next(&stage).await {
        Err(error) if error.to_string().contains("deadlock detected") => None,
        migrated => {
            migrated.unwrap();
            Some(())
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    daemon.must_run();
    writer.stop().await;
    stage.must_be_true(&config, &bucket).await;
    assert!(!daemon.log().contains("cached plan"), "{}", daemon.log());
    daemon.stop().await;

    let sentence = format!(
        "the schema is at {}, newer than the {} that stocktake {} knows; start the release that brought it there, or a \
         later one",
        NEXT[1].0,
        known(),
        env!("CARGO_PKG_VERSION")
    );
    for words in [&["serve"][..], &["serve", "--no-migrate"], &["migrate"]] {
        let told = stage.run(&config, words).await;
        assert!(told.code == Some(1) && told.stderr.contains(&sentence), "{words:?}: {told:?}");
    }
    assert_eq!(stage.count("select count(*) from catalog.owners").await, 0, "it is as it was");
}

#[tokio::test]
async fn who_must_not_migrate_waits_for_whoever_does() {
    let stage = Stage::new().await;
    let bucket = stage.name("patient");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let mut daemon = stage.start_with(&config, &[], &["serve", "--no-migrate"]);
    let told = daemon.until_readyz(503, "the schema is not there").await;
    assert!(
        told.contains(&format!("needs it to be at {}", known())) && told.contains("`stocktake migrate`"),
        "{told}"
    );
    // As the release before left it.
    let first = MIGRATOR.iter().map(|migration| migration.version).min().unwrap();
    MIGRATOR.run_to(first, &stage.pool).await.unwrap();
    daemon.until_readyz(503, &format!("the schema is at {first}")).await;
    stage.migrate(&config).await;
    daemon.until_ready().await;
    stage.put(&bucket, "key", "body").await;
    stage.must_be_equal(&[&bucket]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_migration_that_waits_in_vain_for_a_table_leaves_it_alone_and_comes_again() {
    let stage = Stage::new().await;
    let bucket = stage.name("locked");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    stage.migrate(&config).await;
    sqlx::query("select catalog.add_partition('locked')").execute(&stage.pool).await.unwrap();
    // Somebody reads for a long time, such as `pg_dump`.
    let mut reader = stage.pool.begin().await.unwrap();
    sqlx::query("select count(*) from catalog.objects").execute(&mut *reader).await.unwrap();
    let error = migrate_to_next(&stage).await.unwrap_err();
    assert!(error.to_string().contains("lock timeout"), "{error}");
    reader.rollback().await.unwrap();
    migrate_to_next(&stage).await.unwrap();
}

/// The daemon before is the program that `PREVIOUS` names; without it this one, which daemons of its own kind replace.
#[tokio::test]
async fn daemons_that_replace_another_under_load_lose_nothing() {
    let mut stage = Stage::forgiving(2).await;
    let this = stage.program.clone();
    if let Some(previous) = std::env::var_os("PREVIOUS") {
        stage.program = PathBuf::from(previous);
    }
    let bucket = stage.name("upgraded");
    stage.bucket(&bucket, Some(Enabled)).await;
    stage.fill(&bucket, 300).await;
    let config = stage.config().place_with(&bucket, "reconcile_every = \"6s\"");
    let mut before = stage.serve(&config).await;
    stage.witness_removals().await;
    let writer = Writer::start(&stage, &bucket, "");
    let lines = eventually("a run and events in the journal", async || {
        let (rows, lines) = amounts(&stage).await;
        (rows > 300 && lines > 300).then_some(lines)
    })
    .await;

    // Two at once, as a deployment starts them.
    stage.program = this;
    let mut after = [stage.start(&config), stage.start(&config)];
    for daemon in &mut after {
        daemon.until_ready().await;
    }
    let migrated = sqlx::query_scalar::<_, i64>("select max(version) from catalog.migrations");
    assert_eq!(migrated.fetch_one(&stage.pool).await.unwrap(), known());
    until_at_work(&stage).await;
    before.must_run();
    before.stop().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    writer.stop().await;
    stage.must_be_true(&config, &bucket).await;
    stage.must_not_have_removed().await;
    eventually("more in the journal", async || (amounts(&stage).await.1 > lines).then_some(())).await;
    for daemon in after {
        daemon.stop().await;
    }
}

/// Waits until there were runs, and events of what was written since.
async fn until_at_work(stage: &Stage) {
    let runs = "select count(*) from catalog.reconciliations where status = 'complete'";
    let (before, (_, lines)) = (stage.count(runs).await, amounts(stage).await);
    eventually("runs and events after the migration", async || {
        (stage.count(runs).await > before + 3 && amounts(stage).await.1 > lines + 100).then_some(())
    })
    .await;
}

async fn amounts(stage: &Stage) -> (i64, i64) {
    (
        stage.count("select count(*) from catalog.object_versions").await,
        stage.count("select count(*) from catalog.changes").await,
    )
}
