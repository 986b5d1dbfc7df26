//! Remedies for errors of Postgres: the only table of them, for the log, `catalog.problems`, `status`,
//! the page and the doctor.

use std::io;

use super::pool::{NoAnswer, Standby};

/// About a server that could not be reached.
pub(crate) const AWAY: &str = "see that Postgres runs and that database.url is right";
/// About one that was reached, and then was silent.
const SILENT: &str = "if Postgres failed over or a firewall dropped connections, nothing: they were replaced; if it goes on, see \
                      what Postgres is busy with (pg_stat_activity) and whether the network loses packets";
/// About connections that were cut.
const CUT: &str = "if Postgres was restarted, nothing: connections are made anew; if it goes on, see its log, and what stands between \
                   (a pooler, a proxy)";
const TLS: &str = "see that sslmode, sslrootcert, sslcert and sslkey of database.url suit the server's certificate and pg_hba.conf";
const PROTOCOL: &str = "see that Postgres runs, and that database.url leads to it or to a pooler in session mode that has a server behind it";
/// Where all of our own connections were in use.
const BUSY: &str = "see what keeps our sessions busy (pg_stat_activity, application_name stocktake), or raise database.max_connections";
const READ_ONLY: &str = "have database.url lead to the primary (several hosts with target_session_attrs=read-write find it); if it \
                         does, take back default_transaction_read_only";
const OTHER: &str =
    "see what the message says, and the log of Postgres; if that does not help, report it with both";

/// Remedies by SQLSTATE or the beginning of one; the first that fits counts. The codes are those of
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const BY_CODE: [(&str, &str); 27] = [
    ("08", CUT),
    ("22021", "make the catalog in a database whose encoding is UTF8: others cannot hold all keys"),
    ("22", "report it with the message: a value should have been refused before"),
    ("23", "another transaction was first; if it goes on, report it with the message"),
    ("25006", READ_ONLY),
    (
        "25P03",
        "see what makes this machine slow: Postgres ended a transaction that waited for us; it is tried again",
    ),
    ("28", "see that user and password in database.url are right, and that pg_hba.conf lets them in"),
    ("3D000", "create that database, or correct its name in database.url"),
    ("3F000", "bring the schema up to date: `stocktake migrate`"),
    (
        "40",
        "another transaction was first, and it is tried again; if it goes on, see whose (pg_stat_activity) and \
            that default_transaction_isolation is not serializable",
    ),
    ("42501", "give our role what it lacks: `stocktake doctor` says what, under permissions"),
    ("42P01", "bring the schema up to date: `stocktake migrate`"),
    ("42703", "bring the schema up to date: `stocktake migrate`"),
    ("42883", "bring the schema up to date: `stocktake migrate`"),
    ("53100", "make room where Postgres keeps its data"),
    (
        "53200",
        "raise max_locks_per_transaction of Postgres and restart it (the hint in its log says if that is it; `stocktake doctor` \
               says what is needed), or give Postgres more memory",
    ),
    (
        "53300",
        "see which programs have all connections of Postgres (pg_stat_activity) and end some, or raise its max_connections",
    ),
    ("53", "see the log of Postgres for what it ran out of"),
    ("54", "report it with the message: a key or value that is too large should have been put aside before"),
    (
        "55000",
        "take the tables of schema catalog out of the publication that the log of Postgres names, or bring the schema up \
               to date (`stocktake migrate`): since then all of them have a replica identity",
    ),
    ("55P03", "end the transaction that keeps a table of the catalog: `stocktake status` names it"),
    ("57014", "set statement_timeout = 0 for our role, or see what makes Postgres slow (pg_stat_activity)"),
    ("57P04", "create the database again, or correct its name in database.url"),
    ("57", "wait: Postgres is starting, stopping or recovering; its log says why if it goes on"),
    ("58", "see the log of Postgres: its disk or its files fail"),
    ("XX", "see the log of Postgres: its data or an extension is broken"),
    ("42", "bring the schema up to date: `stocktake migrate`; if it is, report it with the message"),
];

/// The remedy for an error of Postgres.
pub(crate) fn remedy_of(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            BY_CODE.iter().find(|(prefix, _)| code.starts_with(prefix)).map_or(OTHER, |(_, remedy)| remedy)
        }
        sqlx::Error::PoolTimedOut => BUSY,
        sqlx::Error::Tls(_) => TLS,
        sqlx::Error::Protocol(_) => PROTOCOL,
        sqlx::Error::Io(error) => of_network(error),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => CUT,
        _ => OTHER,
    }
}

fn of_network(error: &io::Error) -> &'static str {
    match error.get_ref() {
        Some(cause) if cause.is::<Standby>() => READ_ONLY,
        Some(cause) if cause.downcast_ref().is_some_and(NoAnswer::is_of_session) => SILENT,
        _ => match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => CUT,
            // Refused, no such host, no route, no answer: it was never reached.
            _ => AWAY,
        },
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Error;

    use super::*;
    use crate::catalog::pool::no_answer;

    #[test]
    fn only_a_server_that_was_not_reached_is_to_be_looked_for() {
        let io = |kind| Error::Io(io::Error::from(kind));
        for (error, remedy) in [
            (io(io::ErrorKind::ConnectionRefused), AWAY),
            (io(io::ErrorKind::HostUnreachable), AWAY),
            (io(io::ErrorKind::ConnectionReset), CUT),
            (io(io::ErrorKind::UnexpectedEof), CUT),
            (no_answer("an attempt to connect", std::time::Duration::ZERO), AWAY),
            (no_answer("a statement", std::time::Duration::ZERO), SILENT),
            (Error::Io(io::Error::other(Standby)), READ_ONLY),
            (Error::PoolTimedOut, BUSY),
            (Error::Protocol("unexpected".to_owned()), PROTOCOL),
            (Error::RowNotFound, OTHER),
        ] {
            assert_eq!(remedy_of(&error), remedy, "{error}");
        }
    }

    /// A code that stands behind a shorter one which begins it would never be found.
    #[test]
    fn every_code_is_found() {
        for (index, (code, _)) in BY_CODE.iter().enumerate() {
            let first = BY_CODE.iter().position(|(prefix, _)| code.starts_with(prefix));
            assert_eq!(first, Some(index), "{code}");
        }
        assert!(BY_CODE.iter().all(|(_, remedy)| *remedy != AWAY));
    }
}
