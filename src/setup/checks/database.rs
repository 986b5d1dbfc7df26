//! Postgres.

use time::OffsetDateTime;

use crate::catalog::{ENCODING_REMEDY, POOLED_REMEDY, Server, Uninspected};
use crate::setup::finding::{Finding, Subject};

use super::locks::locks;

const VERSION_MIN: i32 = 140_000;
/// In MB. Postgres's own is 1024; below a quarter of that, checkpoints follow each other while a
/// bucket is listed for the first time.
const WAL_MIN: i32 = 256;
/// In milliseconds: what a transaction of ours may take.
const STATEMENT_MIN: i32 = 60_000;
const SKEW_WARNED: time::Duration = time::Duration::seconds(30);
/// Connections that Postgres keeps for its owner and others.
const CONNECTIONS_SPARE: u32 = 5;

/// What is said of Postgres where it could not be asked.
pub(in crate::setup) fn database(
    server: &Result<Server, Uninspected>,
    wanted_connections: u32,
    now: OffsetDateTime,
) -> Vec<Finding> {
    let subject = Subject("database".to_owned());
    let server = match server {
        Ok(server) => server,
        Err(Uninspected::Away(error, remedy)) => return vec![subject.failure("reachable", error, *remedy)],
        Err(Uninspected::Pooled(how)) => {
            return vec![
                subject.failure("session", how, POOLED_REMEDY),
                subject.unlooked("in any session it may look different"),
            ];
        }
    };
    let mut findings = vec![subject.ok("reachable", "it answers")];
    findings.push(if server.is_set {
        subject.ok("session", "each connection is one, and set as we ask for it")
    } else {
        subject.warning(
            "session",
            "what it is to be set to when it begins is not: somebody between here and Postgres leaves that out, and a first \
             listing will be slow",
            "connect to Postgres itself, or let the pooler pass the startup parameter options on (PgBouncer: do not have it \
             among ignore_startup_parameters)",
        )
    });
    let version = format!("PostgreSQL {}.{}", server.version / 10_000, server.version % 10_000);
    findings.push(if server.version < VERSION_MIN {
        subject.failure("version", version, "use PostgreSQL 14 or newer")
    } else {
        subject.ok("version", version)
    });
    if server.is_standby {
        let found = "it is a standby, which cannot be written to";
        findings.push(subject.failure("writable", found, "connect to the primary: database.url"));
    } else if server.is_read_only {
        let found =
            "default_transaction_read_only is on for our role or the database: nothing can be written";
        findings.push(subject.failure(
            "writable",
            found,
            "set default_transaction_read_only = off for our role",
        ));
    }
    if (1..STATEMENT_MIN).contains(&server.statement_timeout) {
        findings.push(subject.warning(
            "statement_timeout",
            format!(
                "{} ms: a large batch, a run or a new index of the schema may not be done in that time",
                server.statement_timeout
            ),
            "set statement_timeout = 0 for our role, or a minute at least",
        ));
    }
    findings.push(permissions(&subject, server));
    findings.push(if server.encoding == "UTF8" {
        subject.ok(
            "collation",
            format!("UTF8; keys sort by bytes whatever the database's own {:?} is", server.collation),
        )
    } else {
        subject.failure(
            "collation",
            format!(
                "database {:?} is encoded in {}, and keys may hold any character",
                server.database, server.encoding
            ),
            ENCODING_REMEDY,
        )
    });
    findings.push(match (server.autovacuum, &server.unvacuumed_tables) {
        (false, _) => subject.failure(
            "autovacuum",
            "off: dead rows are never cleared away, and tables and queries only get slower",
            "set autovacuum = on",
        ),
        (true, Some(tables)) => subject.warning(
            "autovacuum",
            format!("off for {tables}"),
            "reset autovacuum_enabled of these tables",
        ),
        (true, None) => subject.ok("autovacuum", "on"),
    });
    findings.push(if server.max_wal_size < WAL_MIN {
        subject.warning(
            "max_wal_size",
            format!(
                "{} MB: Postgres flushes all the time while a bucket is listed for the first time",
                server.max_wal_size
            ),
            "set max_wal_size to 1GB or more",
        )
    } else {
        subject.ok("max_wal_size", format!("{} MB", server.max_wal_size))
    });
    findings.push(durability(&subject, server));
    findings.push(if i64::from(server.max_connections) < i64::from(wanted_connections + CONNECTIONS_SPARE) {
        subject.warning(
            "connections",
            format!(
                "Postgres takes {}, and database.max_connections is {wanted_connections} for each daemon",
                server.max_connections
            ),
            "raise max_connections of Postgres, or lower database.max_connections",
        )
    } else {
        subject
            .ok("connections", format!("{wanted_connections} of {}, for each daemon", server.max_connections))
    });
    findings.push(locks(server));
    let skew = now - server.now;
    let words = format!("our clock and Postgres's are {} seconds apart", skew.whole_seconds().abs());
    findings.push(if skew.abs() >= SKEW_WARNED {
        subject.warning(
            "clock",
            words,
            "set the clocks of both machines by NTP: schedules and leases go by them",
        )
    } else {
        subject.ok("clock", words)
    });
    findings
}

fn permissions(subject: &Subject, server: &Server) -> Finding {
    const CHECK: &str = "permissions";
    match (server.has_schema, server.may_create, &server.closed_tables) {
        (false, false, _) => subject.failure(
            CHECK,
            "the schema catalog is not there, and we may not make it",
            "let our role own the database, or run `stocktake migrate` as a role that may",
        ),
        (false, true, _) => subject.ok(CHECK, "the schema catalog is not there yet, and we may make it"),
        (true, _, Some(tables)) => subject.failure(
            CHECK,
            format!("we may not read and write {tables}"),
            "let our role own the schema catalog and all in it, or as its owner: select catalog.grant_daemon(our role)",
        ),
        (true, false, None) => subject.failure(
            CHECK,
            "we may not make tables in the schema catalog, and each new bucket takes one",
            "let our role own the schema catalog, or as its owner: select catalog.grant_daemon(our role)",
        ),
        (true, true, None) => {
            subject.ok(CHECK, "the schema catalog is there, and all of it is ours to write")
        }
    }
}

fn durability(subject: &Subject, server: &Server) -> Finding {
    const CHECK: &str = "durability";
    if !server.fsync {
        return subject.failure(
            CHECK,
            "fsync is off: a crash of the machine may break the database",
            "set fsync = on, unless the database is for tests",
        );
    }
    if server.synchronous_commit == "off" {
        return subject.warning(
            CHECK,
            "synchronous_commit is off: messages are acknowledged before what they say is on the disk, and a crash loses it",
            "set synchronous_commit = on for our role; or rely on the next run",
        );
    }
    subject.ok(CHECK, "what is committed is on the disk")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::setup::finding::Verdict;

    const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);

    fn server() -> Server {
        Server {
            version: 140_005,
            database: "stocktake".to_owned(),
            encoding: "UTF8".to_owned(),
            collation: "en_US.UTF-8".to_owned(),
            is_standby: false,
            is_read_only: false,
            is_set: true,
            statement_timeout: 0,
            has_schema: true,
            may_create: true,
            closed_tables: None,
            autovacuum: true,
            unvacuumed_tables: None,
            max_wal_size: 1_024,
            fsync: true,
            synchronous_commit: "on".to_owned(),
            max_connections: 100,
            max_locks: 64,
            max_prepared: 0,
            partitions: 40,
            partition_indexes: 120,
            prunes_plans: true,
            now: NOW,
        }
    }

    /// What is not well, as `check: found`.
    fn ill(change: impl Fn(&mut Server)) -> Vec<(Verdict, String)> {
        let mut server = server();
        change(&mut server);
        let findings =
            database(&Ok(server), 10, NOW).into_iter().filter(|finding| finding.verdict != Verdict::Ok);
        findings
            .inspect(|finding| assert!(!finding.remedy.is_empty()))
            .map(|finding| (finding.verdict, format!("{}: {}", finding.check, finding.found)))
            .collect()
    }

    #[test]
    fn each_setting_that_hurts_is_named() {
        assert_eq!(ill(|_| ()), []);
        let (warning, failure) = (Verdict::Warning, Verdict::Failure);
        let one = |change: &dyn Fn(&mut Server), verdict, words: &str| {
            let ill = ill(change);
            assert!(ill.len() == 1 && ill[0].0 == verdict && ill[0].1.starts_with(words), "{words}: {ill:?}");
        };
        one(&|server| server.version = 130_010, failure, "version: PostgreSQL 13.10");
        one(&|server| server.is_standby = true, failure, "writable: it is a standby");
        one(&|server| server.is_read_only = true, failure, "writable: default_transaction_read_only is on");
        one(&|server| server.is_set = false, warning, "session: what it is to be set to");
        one(&|server| server.statement_timeout = 5_000, warning, "statement_timeout: 5000 ms");
        one(
            &|server| (server.has_schema, server.may_create) = (false, false),
            failure,
            "permissions: the schema",
        );
        one(&|server| server.may_create = false, failure, "permissions: we may not make");
        one(
            &|server| server.closed_tables = Some("slots".to_owned()),
            failure,
            "permissions: we may not read and write slots",
        );
        one(
            &|server| server.encoding = "SQL_ASCII".to_owned(),
            failure,
            "collation: database \"stocktake\" is encoded in SQL_ASCII",
        );
        one(&|server| server.autovacuum = false, failure, "autovacuum: off:");
        one(
            &|server| server.unvacuumed_tables = Some("slots".to_owned()),
            warning,
            "autovacuum: off for slots",
        );
        one(&|server| server.max_wal_size = 64, warning, "max_wal_size: 64 MB");
        one(&|server| server.fsync = false, failure, "durability: fsync");
        one(
            &|server| server.synchronous_commit = "off".to_owned(),
            warning,
            "durability: synchronous_commit",
        );
        one(&|server| server.max_connections = 12, warning, "connections: Postgres takes 12");
        one(
            &|server| server.now = NOW - time::Duration::minutes(2),
            warning,
            "clock: our clock and Postgres's are 120",
        );
        let buckets = |count: i64| {
            move |server: &mut Server| {
                (server.partitions, server.partition_indexes) = (count, 3 * count);
            }
        };
        assert_eq!(ill(buckets(800)), []);
        one(&buckets(801), warning, "locks: a statement about all buckets takes 3204 locks (801 partitions");
        one(&buckets(1_600), warning, "locks: a statement about all buckets takes 6400 locks");
        one(&buckets(1_601), failure, "locks: a statement about all buckets takes 6404 locks");
        let remedy = |change: &dyn Fn(&mut Server)| {
            let mut server = server();
            change(&mut server);
            locks(&server).remedy
        };
        let raised =
            "set max_locks_per_transaction = 129 or more, and restart Postgres (and first its standbys)";
        assert_eq!(remedy(&buckets(1_601)), raised);
        let reader = |count: i64| {
            move |server: &mut Server| {
                buckets(count)(server);
                server.prunes_plans = false;
            }
        };
        assert_eq!(ill(reader(100)), []);
        one(&reader(101), warning, "locks: a statement that a reader prepared may lock");
        assert!(remedy(&reader(101)).starts_with("alter database \"stocktake\" set plan_cache_mode"));
        assert_eq!(ill(|server| server.has_schema = false), [], "it will be made");
        let away = database(&Err(Uninspected::Away("refused".to_owned(), "start it")), 10, NOW);
        assert_eq!((away[0].verdict, away[0].check, away.len()), (failure, "reachable", 1));
        let pooled = database(&Err(Uninspected::Pooled("lent".to_owned())), 10, NOW);
        assert_eq!((pooled[0].verdict, pooled[0].check, pooled.len()), (failure, "session", 2));
    }
}
