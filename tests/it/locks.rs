//! How many locks it takes to read and write one bucket of many: the lock table of Postgres belongs to the whole server.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting};

use crate::support::{NOW, at, connection, listed, put, see, started, window};

/// Buckets beside the one that is read.
const OTHERS: usize = 40;
/// More often than a session plans a statement with its parameters before it tries a plan for any.
const TIMES: usize = 8;

/// A bucket with two versions beside many others, and the same of it in the journal.
async fn filled(pool: &PgPool) -> Connection {
    let (catalog, connection) = (Catalog::on(pool.clone()), connection(""));
    catalog.connect(&connection, NOW).await.unwrap();
    for number in 0..OTHERS {
        let other = Connection {
            bucket: format!("other-{number}"),
            partitions: 1 + number as u32 % 2,
            ..connection.clone()
        };
        catalog.connect(&other, NOW).await.unwrap();
    }
    catalog.apply(&connection, &[("a/1", &put("v1", "e1", "01", 0))], NOW).await.unwrap();
    let run = started(&catalog, &connection, at(100)).await;
    see(&catalog, &connection, &run, &[]).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    connection
}

/// Settings of the database as it was before anybody migrated it, and one more.
async fn set(pool: &PgPool, setting: &str) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(pool).await.unwrap();
    let verb = if setting.starts_with("reset") { setting.to_owned() } else { format!("set {setting}") };
    pool.execute(AssertSqlSafe(format!("alter database \"{name}\" {verb}"))).await.unwrap();
}

/// How many relations of other buckets a session locks that prepares a statement about one, and how many in all.
async fn locked(pool: &PgPool, settings: &[&str], statement: &str) -> (i64, i64) {
    let mut session = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    for setting in settings {
        session.execute(AssertSqlSafe(format!("set {setting}"))).await.unwrap();
    }
    let mut most = (0, 0);
    for _ in 0..TIMES {
        let mut transaction = session.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).bind("genomics").fetch_all(&mut *transaction).await.unwrap();
        let locks: (i64, i64) = sqlx::query_as(
            "with ours as (
                 select relation from pg_partition_tree(catalog.partition_of('genomics')) join pg_locks on relation = relid
                 union
                 select indexrelid from pg_partition_tree(catalog.partition_of('genomics')) join pg_index on indrelid = relid
             )
             select count(*) filter (where relname ~ '^slots_' and pg_locks.relation not in (select relation from ours)),
                    count(*)
             from pg_locks join pg_class on pg_class.oid = pg_locks.relation
             where pid = pg_backend_pid() and relnamespace = 'catalog'::regnamespace",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        most = (most.0.max(locks.0), most.1.max(locks.1));
        transaction.rollback().await.unwrap();
    }
    most
}

const FUNCTIONS: [&str; 8] = [
    "select * from catalog.ls($1)",
    "select * from catalog.ls($1, 'a/', '/', true)",
    "select * from catalog.as_of($1, now())",
    "select (catalog.as_of($1, now(), 'a/')).key",
    "select * from catalog.changes_since($1) limit 1",
    "select catalog.history_from($1)",
    "select * from catalog.wrong_stats($1)",
    "select catalog.partition_of($1)",
];

const VIEWS: [&str; 8] = [
    "select * from catalog.objects where bucket = $1 limit 5",
    "select * from catalog.object_versions where bucket = $1 and key = 'a/1'",
    "select * from catalog.removed_versions where bucket = $1",
    "select * from catalog.object_details where bucket = $1",
    "select * from catalog.objects left join catalog.object_details using (bucket, key, version_id) where bucket = $1",
    "select * from catalog.bucket_stats where bucket = $1",
    "select * from catalog.changes where bucket = $1",
    "select * from catalog.buckets join catalog.objects using (bucket) where bucket = $1",
];

#[sqlx::test(migrator = "MIGRATOR")]
async fn functions_lock_one_bucket_whatever_a_session_is_set_to(pool: PgPool) {
    filled(&pool).await;
    set(&pool, "reset plan_cache_mode").await;
    for settings in [
        &[][..],
        &["plan_cache_mode = force_generic_plan"],
        &["plan_cache_mode = force_generic_plan", "enable_partition_pruning = off"],
    ] {
        for statement in FUNCTIONS {
            let (others, all) = locked(&pool, settings, statement).await;
            assert_eq!(others, 0, "{settings:?} {statement}");
            assert!(all < 60, "{settings:?} {statement}: {all} locks");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn views_lock_one_bucket_in_a_database_that_was_migrated(pool: PgPool) {
    filled(&pool).await;
    for statement in VIEWS {
        let (others, all) = locked(&pool, &[], statement).await;
        assert_eq!(others, 0, "{statement}");
        assert!(all < 60, "{statement}: {all} locks");
    }
    let setting = ["plan_cache_mode = force_generic_plan"];
    let (others, _) = locked(&pool, &setting, VIEWS[0]).await;
    assert!(others > i64::try_from(OTHERS).unwrap(), "this test can see no locks: {others}");
}

/// Other sessions hold the tables of all other buckets, so a statement that locks one of them ends at the limit.
#[sqlx::test(migrator = "MIGRATOR")]
async fn the_daemon_waits_for_no_other_bucket(pool: PgPool) {
    let connection = filled(&pool).await;
    set(&pool, "plan_cache_mode = force_generic_plan").await;
    set(&pool, "enable_partition_pruning = off").await;
    let mut holder = pool.begin().await.unwrap();
    let others: Vec<String> = sqlx::query_scalar(
        "select relid::regclass::text from pg_partition_tree('catalog.slots')
         where isleaf and relid <> catalog.partition_of('genomics')",
    )
    .fetch_all(&mut *holder)
    .await
    .unwrap();
    assert_eq!(others.len(), OTHERS + OTHERS / 2);
    for table in others {
        holder.execute(AssertSqlSafe(format!("lock table {table} in access exclusive mode"))).await.unwrap();
    }

    let options = (*pool.connect_options()).clone();
    let catalog = Catalog::new(options.clone(), 2, Duration::from_secs(5));
    let page = Catalog::to_read(options);
    for round in 0..3_i64 {
        let key = format!("a/{round}");
        let claim = put("v2", "e2", "02", 200 + round * 1_000);
        catalog.apply(&connection, &[(&key, &claim)], NOW).await.unwrap();
        let run = started(&catalog, &connection, at(500 + round * 1_000)).await;
        let moment = 500 + round * 1_000;
        let seen = Sighting {
            key: format!("b/{round}"),
            listed: vec![listed("v1", "e5", moment, true)],
            window: window(moment, moment + 1),
        };
        see(&catalog, &connection, &run, &[seen]).await;
        catalog.complete_run(&connection, &run, NOW).await.unwrap();
        catalog.purge_tombstones(&connection, at(moment)).await.unwrap();
        catalog.fold_stats().await.unwrap();
        catalog.sample_keys(&connection, "a/").await.unwrap();
        catalog.stacks(&connection, "", None, 100).await.unwrap();
        assert!(catalog.knows(&connection, &key).await.unwrap());
        assert!(!page.entries("genomics", "", None, 10, Some(10)).await.unwrap().is_empty());
        assert!(!page.versions_of("genomics", &key, 10).await.unwrap().is_empty());
        page.status().await.unwrap();
        page.levels().await.unwrap();
    }
    holder.rollback().await.unwrap();
}
