//! Room in the lock table of Postgres, which all sessions of all databases of a server share.

use crate::catalog::Server;
use crate::setup::finding::{Finding, Subject};

/// How many times the locks of one statement about all buckets the lock table is to have room for: that statement,
/// and the rest of the server.
const ROOM: i64 = 2;
/// A statement of a reader may lock this part of the lock table, the whole divided by it, before anything is said.
const SHARE: i64 = 16;

/// What is said of a lock table with so much room for a catalog of so many partitions.
pub(in crate::setup) fn locks(server: &Server) -> Finding {
    const CHECK: &str = "locks";
    let subject = Subject("database".to_owned());
    // The smallest size that Postgres promises. It adds some of its own processes and slack.
    let transactions = (i64::from(server.max_connections) + i64::from(server.max_prepared)).max(1);
    let room = i64::from(server.max_locks) * transactions;
    let needed = server.partitions + server.partition_indexes;
    let found = format!(
        "a statement about all buckets takes {needed} locks ({} partitions and their {} indexes), and max_locks_per_transaction = \
         {} gives room for {room}",
        server.partitions, server.partition_indexes, server.max_locks
    );
    if needed * ROOM > room {
        let remedy = format!(
            "set max_locks_per_transaction = {} or more, and restart Postgres (and first its standbys)",
            (needed * ROOM + transactions - 1) / transactions
        );
        return if needed > room {
            subject.failure(CHECK, found, remedy)
        } else {
            subject.warning(CHECK, found, remedy)
        };
    }
    if !server.prunes_plans && needed * SHARE > room {
        return subject.warning(
            CHECK,
            format!("a statement that a reader prepared may lock the partitions of all buckets, from its sixth use on: {found}"),
            format!("alter database {:?} set plan_cache_mode = force_custom_plan, as its owner", server.database),
        );
    }
    subject.ok(CHECK, found)
}
