//! What Postgres tells about itself: for checks, not for work.

use anyhow::Context;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{Catalog, Connection, is_pooled};
use crate::chain::chain;
use crate::watch;

/// How Postgres is set up, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Server {
    /// 140005 for 14.5.
    pub version: i32,
    /// The name of the database.
    pub database: String,
    /// `UTF8`.
    pub encoding: String,
    /// How the database sorts where nothing else is said.
    pub collation: String,
    /// Whether it only repeats what another server does.
    pub is_standby: bool,
    /// Whether transactions may write only if they ask for it.
    pub is_read_only: bool,
    /// Whether our sessions are set as we ask for it when they begin.
    pub is_set: bool,
    /// How long a statement may take, in milliseconds; 0 is for as long as it takes.
    pub statement_timeout: i32,
    /// Whether the schema `catalog` is there.
    pub has_schema: bool,
    /// Whether we may make that schema, or tables in it, if only by the functions for that.
    pub may_create: bool,
    /// Tables of the schema that we may not read and write, with a comma between.
    pub closed_tables: Option<String>,
    /// Whether rows that are dead are cleared away.
    pub autovacuum: bool,
    /// Tables of the schema where that is turned off, with a comma between.
    pub unvacuumed_tables: Option<String>,
    /// How much is written before everything is flushed, in MB.
    pub max_wal_size: i32,
    /// Whether commits reach the disk.
    pub fsync: bool,
    /// Whether they are waited for.
    pub synchronous_commit: String,
    /// How many connections it takes.
    pub max_connections: i32,
    /// How many locks each of them may have on average, prepared transactions included.
    pub max_locks: i32,
    /// How many transactions may be prepared.
    pub max_prepared: i32,
    /// How many partitions the catalog has, those of the journal included.
    pub partitions: i64,
    /// How many indexes those have.
    pub partition_indexes: i64,
    /// Whether sessions of everybody in this database plan each statement with its parameters.
    pub prunes_plans: bool,
    /// What time it is there.
    pub now: OffsetDateTime,
}

/// Why nothing can be said of how Postgres is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uninspected {
    /// It does not answer, or does not let us in: the error, and the remedy.
    Away(String, &'static str),
    /// A pooler before it gives us no session of our own: how that shows.
    Pooled(String),
}

impl Catalog {
    /// Looks at Postgres, and at what may stand before it. Works without the schema.
    ///
    /// # Errors
    /// When Postgres is away, or refuses, or is behind a pooler that does not suit.
    pub async fn look(&self) -> Result<Server, Uninspected> {
        self.reach_session().await.map_err(|error| match chain(error.as_ref()) {
            told if is_pooled(&error) => Uninspected::Pooled(told),
            told => Uninspected::Away(told, watch::remedy(&error)),
        })?;
        let away = |error: anyhow::Error| Uninspected::Away(chain(error.as_ref()), watch::remedy(&error));
        self.inspect().await.context("ask Postgres how it is set up").map_err(away)
    }

    /// The statements that were prepared in the session that comes next: all that were asked, where there is one session alone.
    /// For tests.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    #[doc(hidden)]
    pub async fn prepared_statements(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("select statement from pg_prepared_statements").fetch_all(&self.pool).await
    }

    /// Asks Postgres how it is set up. Works without the schema.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn inspect(&self) -> Result<Server, sqlx::Error> {
        sqlx::query_as(
            "with tables as (
                 select class.oid, class.relname, class.reloptions
                 from pg_class as class join pg_namespace as schema on schema.oid = class.relnamespace
                 where schema.nspname = 'catalog' and class.relkind in ('r', 'p')
                     and not class.relispartition
             ),
             leaves as (
                 select oid from pg_class
                 where relnamespace = to_regnamespace('catalog') and relkind = 'r' and relispartition
             )
             select current_database()::text as database, current_setting('server_version_num')::int as version,
                 pg_encoding_to_char(encoding)::text as encoding,
                 datcollate::text as collation,
                 pg_is_in_recovery() as is_standby,
                 current_setting('default_transaction_read_only')::bool as is_read_only,
                 current_setting('enable_seqscan') = 'off' and current_setting('jit') = 'off' as is_set,
                 (select setting::int from pg_settings where name = 'statement_timeout') as statement_timeout,
                 to_regnamespace('catalog') is not null as has_schema,
                 case when to_regnamespace('catalog') is null
                     then has_database_privilege(current_database(), 'create')
                     else has_schema_privilege(to_regnamespace('catalog'), 'create') or exists (
                         select from pg_proc where pronamespace = to_regnamespace('catalog') and proname = 'add_partition'
                             and prosecdef and has_function_privilege(oid, 'execute'))
                     end as may_create,
                 (select string_agg(relname, ', ' order by relname) from tables
                  where relname <> 'migrations' and not (has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                      and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete'))) as closed_tables,
                 current_setting('autovacuum')::bool as autovacuum,
                 (select string_agg(relname, ', ' order by relname) from tables
                  where reloptions && array['autovacuum_enabled=false', 'autovacuum_enabled=off']) as unvacuumed_tables,
                 (pg_size_bytes(current_setting('max_wal_size')) / 1048576)::int as max_wal_size,
                 current_setting('fsync')::bool as fsync,
                 current_setting('synchronous_commit') as synchronous_commit,
                 current_setting('max_connections')::int as max_connections,
                 current_setting('max_locks_per_transaction')::int as max_locks,
                 current_setting('max_prepared_transactions')::int as max_prepared,
                 (select count(*) from leaves) as partitions,
                 (select count(*) from leaves join pg_index on indrelid = leaves.oid) as partition_indexes,
                 exists (select from pg_db_role_setting where setdatabase = pg_database.oid and setrole = 0
                         and 'plan_cache_mode=force_custom_plan' = any(setconfig)) as prunes_plans,
                 clock_timestamp() as now
             from pg_database where datname = current_database()",
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Whether there is a catalog in the database at all.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn has_schema(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select to_regclass('catalog.connections') is not null")
            .fetch_one(&self.pool)
            .await
    }

    /// The time of the latest event of a connection.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the schema is not there.
    pub async fn last_event(&self, connection: &Connection) -> Result<Option<OffsetDateTime>, sqlx::Error> {
        let moment = sqlx::query_scalar(
            "select last_event_at from catalog.activity where bucket = $1 and prefix = $2",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_optional(&self.pool)
        .await?;
        Ok(moment.flatten())
    }

    /// Whether anything was ever known of a key.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or the schema is not there.
    pub async fn knows(&self, connection: &Connection, key: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select exists (select from catalog.slots where bucket = $1 and key = $2)")
            .bind(&connection.bucket)
            .bind(key)
            .fetch_one(&self.pool)
            .await
    }
}
