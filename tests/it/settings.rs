//! What others set for a role or a database changes neither what the daemon writes nor what its functions answer.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use stocktake::catalog::{Catalog, MIGRATOR, Sighting};
use stocktake::model::Fact;

use crate::support::{NOW, at, claim, connection, listed, put, see, started, window};
use crate::tail::until_shown;

/// Settings, and whether the session of a reader can do anything at all with them.
const HOSTILE: [(&str, &str, bool); 41] = [
    ("array_nulls", "off", true),
    ("backslash_quote", "on", true),
    ("bytea_output", "escape", true),
    ("client_encoding", "LATIN1", true),
    ("client_min_messages", "debug5", true),
    ("constraint_exclusion", "off", true),
    ("DateStyle", "'Postgres, DMY'", true),
    ("debug_parallel_query", "on", true),
    ("default_statistics_target", "1", true),
    ("default_table_access_method", "nowhere", true),
    ("default_transaction_deferrable", "on", true),
    ("default_transaction_isolation", "serializable", true),
    ("default_transaction_isolation", "'repeatable read'", true),
    ("default_transaction_read_only", "on", true),
    ("enable_indexscan", "off", true),
    ("enable_partition_pruning", "off", true),
    ("exit_on_error", "on", true),
    ("extra_float_digits", "-15", true),
    ("force_parallel_mode", "on", true),
    ("geqo_threshold", "2", true),
    ("idle_in_transaction_session_timeout", "1", false),
    ("idle_session_timeout", "1", false),
    ("IntervalStyle", "sql_standard", true),
    ("jit_above_cost", "0", true),
    ("join_collapse_limit", "1", true),
    ("lock_timeout", "1", true),
    ("max_parallel_workers_per_gather", "4", true),
    ("parallel_setup_cost", "0", true),
    ("plan_cache_mode", "force_generic_plan", true),
    ("quote_all_identifiers", "on", true),
    ("row_security", "off", true),
    ("search_path", "hostile, pg_catalog", true),
    ("search_path", "''", true),
    ("session_replication_role", "replica", true),
    ("standard_conforming_strings", "off", true),
    ("statement_timeout", "1", false),
    ("synchronous_commit", "off", true),
    ("TimeZone", "'Asia/Kolkata'", true),
    ("transform_null_equals", "on", true),
    ("work_mem", "'64kB'", true),
    ("xmloption", "document", true),
];

/// Equality and order of texts that are the other way round, for whoever looks here before `pg_catalog`.
const SCHEMA: &str = "create schema hostile;
    create function hostile.no(text, text) returns boolean language sql immutable return false;
    create function hostile.starts_with(text, text) returns boolean language sql immutable return false;
    create function hostile.length(text) returns integer language sql immutable return 0;
    create function hostile.now() returns timestamptz language sql stable return '-infinity'::timestamptz;
    create operator hostile.= (leftarg = text, rightarg = text, function = hostile.no);
    create operator hostile.>= (leftarg = text, rightarg = text, function = hostile.no);
    create operator hostile.~ (leftarg = text, rightarg = text, function = hostile.no);
    create table hostile.pg_inherits ();
    create table hostile.pg_class ();";

/// What a reader is answered, in text; nothing in it depends on when it is asked.
const QUESTIONS: [&str; 7] = [
    "select (ls.key, ls.name, ls.is_folder, ls.size)::text from catalog.ls('genomics') as ls",
    "select (ls.key, ls.name, ls.objects)::text from catalog.ls('genomics', 'a/', '/', true) as ls",
    "select (past.key, past.version_id, past.is_latest, past.etag)::text
     from catalog.as_of('genomics', timestamptz '2026-11-01 12:20:00+00') as past",
    "select (line.key, line.version_id, line.change, line.cause, line.size)::text from catalog.changes_since('genomics') as line",
    "select (stats.objects, stats.bytes, stats.delete_markers)::text from catalog.bucket_stats as stats",
    "select (wrong.class)::text from catalog.wrong_stats('genomics') as wrong",
    "select concat(catalog.after_prefix('a/'), catalog.folder_of('a/b/c', 'a/', '/'), catalog.is_connected('genomics', 'a/'))",
];

/// What the daemon writes in an empty bucket, and what a reader is answered then.
async fn answers(pool: &PgPool, reads: bool) -> BTreeMap<&'static str, Vec<String>> {
    let options = (*pool.connect_options()).clone();
    let catalog = Catalog::new(options.clone(), 3, Duration::from_secs(10));
    let connection = connection("");
    catalog.connect(&connection, NOW).await.unwrap();
    catalog.add_journal_days().await.unwrap();
    let removed = claim("v1", Fact::Removed, "02", 2_000);
    let batch = [
        ("a/1", put("v1", "e1", "01", 0)),
        ("a/b/2", put("v1", "e1", "01", 0)),
        ("c", put("v1", "e1", "01", 0)),
    ];
    let batch: Vec<_> = batch.iter().map(|(key, claim)| (*key, claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    let run = started(&catalog, &connection, at(100)).await;
    let seen = |key: &str, etag: &str| Sighting {
        key: key.to_owned(),
        listed: vec![listed("v1", etag, 0, true)],
        window: window(100, 101),
    };
    let listed = ["a/1", "a/b/2", "c", "d"].map(|key| seen(key, "e1"));
    see(&catalog, &connection, &run, &listed).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    catalog.apply(&connection, &[("c", &removed), ("e", &put("v1", "e9", "03", 2_000))], NOW).await.unwrap();
    catalog.fold_stats().await.unwrap();
    catalog.drop_journal_days(Duration::from_secs(86_400)).await.unwrap();
    let mut answers = BTreeMap::new();
    if reads {
        until_shown(pool).await;
        let mut reader = PgConnection::connect_with(&options).await.unwrap();
        for question in QUESTIONS {
            let mut lines: Vec<String> = sqlx::query_scalar(question).fetch_all(&mut reader).await.unwrap();
            lines.sort();
            answers.insert(question, lines);
        }
        let _ = reader.close().await;
    }
    assert!(catalog.forget(&connection).await.unwrap());
    pool.execute("truncate catalog.journal").await.unwrap();
    let left = "select count(*) from (select bucket from catalog.activity union all select bucket from catalog.minutes) as rows";
    let left: i64 = sqlx::query_scalar(left).fetch_one(pool).await.unwrap();
    assert_eq!(left, 0, "rows of a bucket that is gone");
    catalog.close().await;
    answers
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_others_set_changes_nothing(pool: PgPool) {
    pool.execute(SCHEMA).await.unwrap();
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    let friendly = answers(&pool, true).await;
    let lines: Vec<usize> = QUESTIONS.map(|question| friendly[question].len()).into();
    assert_eq!(lines, [3, 2, 4, 5, 2, 0, 1], "{friendly:#?}");
    for (setting, value, reads) in HOSTILE {
        let is_there: bool = sqlx::query_scalar("select exists (select from pg_settings where name = $1)")
            .bind(setting)
            .fetch_one(&pool)
            .await
            .unwrap();
        if !is_there {
            continue;
        }
        let said = |verb: &str| AssertSqlSafe(format!("alter database \"{name}\" {verb}"));
        pool.execute(said(&format!("set {setting} = {value}"))).await.unwrap();
        let hostile = answers(&pool, reads).await;
        assert!(!reads || hostile == friendly, "{setting} = {value}: {hostile:#?}\n{friendly:#?}");
        pool.execute(said(&format!("reset {setting}"))).await.unwrap();
    }
}

/// A function that reads what a session is set to is set itself, or was parsed when it was made.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_function_says_what_it_relies_on(pool: PgPool) {
    let open: Vec<String> = sqlx::query_scalar(
        "select proname::text from pg_proc
         where pronamespace = 'catalog'::regnamespace and prosqlbody is null
           and (not coalesce('search_path=pg_catalog, pg_temp' = any(proconfig), false)
                or (prosrc ~ 'catalog\\.(slots|objects|object_versions|removed_versions|object_details)\\M'
                    and proname not in ('add_partition', 'add_leaf', 'partition_of')
                    and not coalesce(proconfig @> '{plan_cache_mode=force_custom_plan,enable_partition_pruning=on}', false)))",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(open, Vec::<String>::new());
}

/// A publication for all tables refuses to update or delete rows of a table without one.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_table_names_its_rows(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    for (bucket, partitions) in [("genomics", 1), ("archive", 4)] {
        let connection =
            stocktake::catalog::Connection { bucket: bucket.to_owned(), partitions, ..connection("") };
        catalog.connect(&connection, NOW).await.unwrap();
    }
    catalog.add_journal_days().await.unwrap();
    let tables: Vec<(String, bool)> = sqlx::query_as(
        "select relname::text, relreplident = 'f' or exists (
             select from pg_index where indrelid = pg_class.oid and indisvalid
             and case relreplident when 'd' then indisprimary when 'i' then indisreplident else false end)
         from pg_class where relnamespace = 'catalog'::regnamespace and relkind in ('r', 'p')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.len() > 30, "{tables:?}");
    for kind in ["slots_1", "slots_2_3", "journal_2", "journal_rest", "due_runs", "heartbeats"] {
        assert!(tables.iter().any(|(name, _)| name.starts_with(kind)), "{kind} is not among {tables:?}");
    }
    let without: Vec<&String> =
        tables.iter().filter(|(_, is_named)| !is_named).map(|(name, _)| name).collect();
    assert_eq!(without, Vec::<&String>::new());
}
