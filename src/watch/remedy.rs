//! What an operator can do about Postgres, by what it says.

use crate::catalog::{Trouble, trouble};

/// About one that does not answer.
pub(super) const AWAY: &str = "see that Postgres runs and that database.url is right";
/// About tables that somebody keeps to himself.
const LOCKED: &str = "end the transaction that keeps a table of the catalog: `stocktake status` names it";
/// Where none of our connections came free: a pool does not say whether any could be made.
const BUSY: &str = "see that Postgres runs and that database.url is right; if it does, see what keeps it busy \
                    (pg_stat_activity), or raise database.max_connections";
/// Where others have all of its connections.
const CROWDED: &str = "see who has all of its connections (pg_stat_activity) and end some, or raise max_connections of Postgres";
/// Where somebody has limited how long our statements may take.
const LIMITED: &str =
    "set statement_timeout = 0 for our role, or see what makes Postgres slow (pg_stat_activity)";
const DENIED: &str = "give our role what it lacks: `stocktake doctor` says what, under permissions";
const READ_ONLY: &str =
    "connect to the primary, if this is a standby; else take back default_transaction_read_only";
const FULL: &str = "make room where Postgres keeps its data";
/// Where a table or column is not there.
const ANOTHER_SCHEMA: &str = "bring the schema up to date: `stocktake migrate`";

/// What an operator can do about an error of Postgres, by its SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(crate) fn remedy_of(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        (sqlx::Error::PoolTimedOut, _) => BUSY,
        (_, Some("53300")) => CROWDED,
        (_, Some("53100")) => FULL,
        (_, Some("57014")) => LIMITED,
        (_, Some("42501")) => DENIED,
        (_, Some("25006")) => READ_ONLY,
        (_, Some("42P01" | "42703" | "3F000")) => ANOTHER_SCHEMA,
        (error, _) if trouble(error) == Trouble::Locked => LOCKED,
        _ => AWAY,
    }
}
