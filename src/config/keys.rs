//! Every key there is, with its default: what is not here is refused by name.

/// A section of the file: a table, or a list of tables.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) list: bool,
    pub(super) keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) default: Preset,
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    /// It must be set.
    Required,
    /// It stays unset, which says something of its own.
    Unset,
    /// This, written as an environment variable would.
    Value(&'static str),
}

impl Section {
    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of all keys, for people: `url, max_connections`.
    pub(super) fn key_names(&self) -> String {
        self.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
    }

    /// How the section is opened in TOML: `[aws]`, `[[bucket]]`.
    pub(super) fn header(&self) -> String {
        if self.list { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }
}

/// The section of that name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|section| section.name == name)
}

/// The headers of all sections, for people.
pub(super) fn headers() -> String {
    SECTIONS.map(Section::header).join(", ")
}

/// All of them, in the order in which mistakes are reported.
pub(super) const SECTIONS: [&Section; 16] = [
    &DATABASE, &AWS, &ADMIN, &LOG, &TRACE, &INGEST, &JOURNAL, &LEDGER, &MERGE, &RECHECK, &RECONCILE, &ENRICH,
    &DOCTOR, &SHUTDOWN, &QUEUE, &BUCKET,
];

pub(super) const DATABASE: Section =
    table("database", &[required("url"), preset("max_connections", "10"), preset("connect_timeout", "10s")]);
pub(super) const AWS: Section = table(
    "aws",
    &[
        unset("region"),
        unset("endpoint_url"),
        unset("role_arn"),
        unset("external_id"),
        preset("session_name", "stocktake"),
        preset("session_duration", "1h"),
    ],
);
pub(super) const ADMIN: Section = table("admin", &[preset("listen", "127.0.0.1:9464"), unset("token")]);
pub(super) const LOG: Section =
    table("log", &[preset("format", "text"), preset("filter", "info,aws_config=warn")]);
pub(super) const TRACE: Section = table("trace", &[unset("endpoint")]);
pub(super) const INGEST: Section = table(
    "ingest",
    &[preset("workers", "2"), preset("batch_records", "1000"), preset("bytes_in_hand", "33554432")],
);
pub(super) const JOURNAL: Section = table("journal", &[preset("keep", "30d")]);
pub(super) const LEDGER: Section = table("ledger", &[preset("keep", "90d")]);
pub(super) const MERGE: Section = table("merge", &[preset("margin", "5s")]);
pub(super) const RECHECK: Section =
    table("recheck", &[preset("delay", "3s"), preset("concurrency", "8"), preset("limit", "10000")]);
pub(super) const RECONCILE: Section = table(
    "reconcile",
    &[
        preset("concurrency", "16"),
        preset("runs", "2"),
        preset("max_removals", "20"),
        preset("backlog_wait", "1h"),
        preset("backlog_age", "5m"),
    ],
);
pub(super) const ENRICH: Section = table("enrich", &[preset("concurrency", "8"), preset("rate", "100")]);
pub(super) const DOCTOR: Section = table("doctor", &[preset("every", "15m")]);
pub(super) const SHUTDOWN: Section = table("shutdown", &[preset("grace", "20s")]);
pub(super) const QUEUE: Section = list(
    "queue",
    &[
        required("url"),
        preset("receivers", "32"),
        preset("visibility_timeout", "30s"),
        unset("kms_key"),
        unset("region"),
        unset("endpoint_url"),
        unset("role_arn"),
        unset("external_id"),
        unset("session_name"),
        unset("session_duration"),
    ],
);
pub(super) const BUCKET: Section = list(
    "bucket",
    &[
        required("name"),
        preset("prefix", ""),
        unset("project_region"),
        preset("reconcile_every", "24h"),
        preset("source", "listing"),
        unset("inventory"),
        unset("inventory_role_arn"),
        unset("inventory_external_id"),
        preset("requests_per_second", "1000"),
        preset("trust_sequencers", "true"),
        preset("keys", "encoded"),
        unset("ignore"),
        unset("enrich"),
        unset("kms_key"),
        preset("partitions", "1"),
        unset("region"),
        unset("endpoint_url"),
        unset("role_arn"),
        unset("external_id"),
        unset("session_name"),
        unset("session_duration"),
    ],
);

const fn table(name: &'static str, keys: &'static [Key]) -> Section {
    Section { name, list: false, keys }
}

const fn list(name: &'static str, keys: &'static [Key]) -> Section {
    Section { name, list: true, keys }
}

const fn required(name: &'static str) -> Key {
    Key { name, default: Preset::Required }
}

const fn unset(name: &'static str) -> Key {
    Key { name, default: Preset::Unset }
}

const fn preset(name: &'static str, value: &'static str) -> Key {
    Key { name, default: Preset::Value(value) }
}
