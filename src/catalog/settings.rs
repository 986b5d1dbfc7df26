//! The settings of our sessions.

/// The settings that each session starts with. They win over those of the role and of the database, so that neither
/// changes what the catalog holds. Each exists in every supported release: a server refuses a session with one it does
/// not know. The driver adds its own: `TimeZone`, `DateStyle`, `client_encoding`.
///
/// A wait for a lock ends before the statement's own deadline, so that a table which is kept locked is told from a
/// server that does not answer.
pub(super) const SESSION: [(&str, &str); 28] = [
    ("lock_timeout", LOCK_LIMIT),
    ("client_min_messages", "warning"),
    // All that is asked in a hurry has an index. Until a new bucket is analyzed, the planner would read and sort all of
    // its table for every 2,000 rows.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_indexscan", "on"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    // A plan for any bucket locks the partitions of all, with all of their indexes.
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_partition_pruning", "on"),
    ("search_path", "pg_catalog,pg_temp"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("statement_timeout", "0"),
    // Where a session of ours is lost, Postgres is to give up its locks before another has waited for them in vain: its
    // transaction idles then, and the server's keepalives are not answered.
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
    ("idle_session_timeout", "0"),
    ("standard_conforming_strings", "on"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("row_security", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_table_access_method", "heap"),
    ("exit_on_error", "off"),
];

/// Timeout for a lock that another session holds. The caller retries a statement that gave up.
const LOCK_LIMIT: &str = "20s";

/// Sets what cannot be among [`SESSION`], and tells the number of the session and whether the server is a standby. Commits
/// wait for the disk, because a message is deleted from its queue once it is committed; values of `synchronous_commit` other
/// than `off` stay. `transaction_timeout` is unknown before Postgres 17. Only a superuser may set `session_replication_role`,
/// without which foreign keys would not delete what depends on a row.
pub(super) const BEGIN: &str =
    "select pg_backend_pid(), pg_is_in_recovery(), count(set_config(name, value, false))
     from (values ('synchronous_commit', 'on', 'off'), ('transaction_timeout', '0', null),
                  ('session_replication_role', 'origin', null)) as wanted (name, value, instead_of)
     where current_setting(name, true) = coalesce(instead_of, nullif(current_setting(name, true), value))";
