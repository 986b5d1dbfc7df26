//! The schema: what makes it, and whether it is one that this program knows.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};

use super::session::LONG_MAX;
use super::{Catalog, Trouble, trouble};

/// The schema, embedded: `serve` and `migrate` bring it up to date. What was applied is noted
/// beside it, in `catalog.migrations`.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name("catalog.migrations");
    migrator.create_schema("catalog");
    migrator
});

/// What to do about a database that cannot hold every key.
pub const ENCODING_REMEDY: &str =
    "create another database with encoding 'UTF8' template template0, and set database.url to it";

/// What is wrong with the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer release was here. What it changed since may be what this one would write.
    #[error(
        "the schema is at {found}, newer than the {known} that stocktake {} knows; start the release that brought it \
         there, or a later one", env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Its last migration.
        found: i64,
        /// Our last migration.
        known: i64,
    },
    /// It is not up to date, and we are not to migrate it.
    #[error(
        "the schema is {}, and stocktake {} needs it to be at {known}; run `stocktake migrate`, or `serve` without \
         --no-migrate", at(*.found), env!("CARGO_PKG_VERSION")
    )]
    Older {
        /// Its last migration; none where there is no schema.
        found: Option<i64>,
        /// Our last migration.
        known: i64,
    },
    /// A migration failed, or cannot be told from the one that was applied.
    #[error("bring the database schema up to date")]
    Migrate(#[source] MigrateError),
    /// The database cannot hold every key.
    #[error(
        "database {database:?} is encoded in {encoding}, and keys may hold any character; {ENCODING_REMEDY}"
    )]
    Encoding {
        /// The name of the database.
        database: String,
        /// Its encoding, as Postgres calls it.
        encoding: String,
    },
    /// It could not be looked at.
    #[error("look which schema there is")]
    Look(#[source] sqlx::Error),
}

fn at(version: Option<i64>) -> String {
    version.map_or("not there".to_owned(), |version| format!("at {version}"))
}

impl SchemaError {
    /// Whether it will pass without anybody's looking at this program.
    pub(crate) fn passes(&self) -> bool {
        let postgres = match self {
            Self::Newer { .. } | Self::Encoding { .. } => return false,
            Self::Older { .. } => return true,
            Self::Look(error) => error,
            Self::Migrate(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => error,
            Self::Migrate(_) => return false,
        };
        trouble(postgres).passes()
    }
}

impl Catalog {
    /// Brings the schema up to date. Replicas that start together wait for each other.
    ///
    /// # Errors
    /// When Postgres is away, or refuses, or the schema is newer than this program, or the database is not UTF-8.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        self.must_be_utf8().await?;
        self.must_not_be_newer().await?;
        // A connection of its own: whatever happens, the lock that keeps others from migrating ends with it.
        let mut session = self.pool.acquire().await.map_err(SchemaError::Look)?;
        // Each migration says for itself how long it waits for a lock, and another that is under way may take long.
        sqlx::query("set lock_timeout = 0").execute(&mut session).await.map_err(SchemaError::Look)?;
        session.set_limit(LONG_MAX);
        let (connection, wait) = session.start().map_err(SchemaError::Look)?;
        let migrated = wait.answer("a migration", async { Ok(MIGRATOR.run(connection).await) }).await;
        // It is not used again: whatever happened, the lock that keeps others from migrating ends with it.
        drop(session.close());
        migrated.map_err(SchemaError::Look)?.map_err(SchemaError::Migrate)?;
        // Should somebody read the journal just now, the daemon makes them later.
        match self.add_journal_days().await {
            Err(error) if !matches!(trouble(&error), Trouble::Race | Trouble::Locked) => {
                Err(SchemaError::Migrate(error.into()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the schema is the one this program knows, and changes nothing.
    ///
    /// # Errors
    /// When it is newer or older, or Postgres is away, or the database is not UTF-8.
    pub async fn must_be_migrated(&self) -> Result<(), SchemaError> {
        self.must_be_utf8().await?;
        let (found, known) = (self.must_not_be_newer().await?, known());
        if found == Some(known) { Ok(()) } else { Err(SchemaError::Older { found, known }) }
    }

    async fn must_be_utf8(&self) -> Result<(), SchemaError> {
        let (database, encoding): (String, String) =
            sqlx::query_as("select current_database()::text, current_setting('server_encoding')")
                .fetch_one(&self.pool)
                .await
                .map_err(SchemaError::Look)?;
        if encoding == "UTF8" { Ok(()) } else { Err(SchemaError::Encoding { database, encoding }) }
    }

    async fn must_not_be_newer(&self) -> Result<Option<i64>, SchemaError> {
        let (found, known) = (self.last_migration().await.map_err(SchemaError::Look)?, known());
        match found {
            Some(found) if found > known => Err(SchemaError::Newer { found, known }),
            _ => Ok(found),
        }
    }

    async fn last_migration(&self) -> Result<Option<i64>, sqlx::Error> {
        let is_there = sqlx::query_scalar("select to_regclass('catalog.migrations') is not null");
        if !is_there.fetch_one(&self.pool).await? {
            return Ok(None);
        }
        sqlx::query_scalar("select max(version) from catalog.migrations").fetch_one(&self.pool).await
    }
}

/// The last migration that we have.
fn known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}
