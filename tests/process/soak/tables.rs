//! What the catalog takes on the disk.

use std::fmt::Write;

use sqlx::PgPool;

/// Tables that grow by what they are for, until it is as old as it is kept: not looked at for growth.
const GROW: [&str; 6] = ["journal%", "drift", "reconciliations", "ranges", "quarantine", "migrations"];

/// How much all others take, in MiB, with indexes and what is dead.
pub(super) async fn bounded(pool: &PgPool) -> Option<f64> {
    let query = "select sum(pg_total_relation_size(oid))::float8 / 1024 / 1024 from pg_class
                 where relnamespace = 'catalog'::regnamespace and relkind = 'r' and not relname like any($1)";
    sqlx::query_scalar(query).bind(GROW.map(str::to_owned).to_vec()).fetch_one(pool).await.ok()
}

/// Each table with what it takes with its indexes, its rows, and those that are dead and still take room.
pub(super) async fn shown(pool: &PgPool) -> String {
    // A Postgres that was killed has forgotten what it had counted.
    sqlx::raw_sql("analyze").execute(pool).await.unwrap();
    let query = "select relname::text, pg_total_relation_size(relid) / 1024, n_live_tup, n_dead_tup
                 from pg_stat_user_tables where schemaname = 'catalog' and pg_relation_size(relid) > 0 order by 2 desc";
    let tables: Vec<(String, i64, i64, i64)> = sqlx::query_as(query).fetch_all(pool).await.unwrap();
    let mut text = format!("{:<40} {:>9} {:>9} {:>9}\n", "table", "KiB", "rows", "dead");
    for (name, size, rows, dead) in tables {
        let _ = writeln!(text, "{name:<40} {size:>9} {rows:>9} {dead:>9}");
    }
    text
}
