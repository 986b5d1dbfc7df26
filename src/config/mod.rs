//! The configuration: a TOML file, and the environment on top of it.
//!
//! `STOCKTAKE_DATABASE__URL` sets `database.url`; `STOCKTAKE_BUCKET__0__NAME` sets the name of the
//! first `[[bucket]]`, and adds it where there is none. An empty text unsets a key. Everything
//! that is wrong is reported at once, and before anything is bound or connected.
//!
//! `serde` would stop at the first mistake, so sections are read key by key: `Section` notes
//! a mistake, stands in for the value, and goes on.

use std::collections::HashMap;
use std::path::Path;

mod access;
mod admin;
mod bucket;
mod database;
mod inventory;
mod keys;
mod mistake;
mod queue;
mod region;
mod section;
mod settings;
mod source;
#[cfg(test)]
mod tests;

pub use admin::{Admin, Token};
pub use bucket::Bucket;
pub use database::{Database, DatabaseUrl, TargetSessionAttrs};
pub use inventory::{Inventory, Source};
pub use mistake::{Errors, Mistake};
pub use queue::Queue;
pub use region::{PROJECT_REGIONS, of_project as region_of_project};
pub use settings::{
    Doctor, Enrich, Ingest, Journal, Ledger, Log, LogFormat, Merge, Recheck, Reconcile, Shutdown, Trace,
};

use crate::aws::Access;
use crate::reconcile::least_period;
use crate::words::lasting;
use section::Tree;
use source::Document;

/// Everything the daemon is told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the catalog is.
    pub database: Database,
    /// What queues and buckets do not say about their access. Theirs already include it.
    pub aws: Access,
    /// The endpoint for probes, metrics and the status page.
    pub admin: Admin,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go.
    pub trace: Trace,
    /// How events get into the catalog.
    pub ingest: Ingest,
    /// How long changes are remembered.
    pub journal: Journal,
    /// How long runs are remembered, and what is in quarantine.
    pub ledger: Ledger,
    /// How evidence is weighed.
    pub merge: Merge,
    /// How keys in doubt are asked about.
    pub recheck: Recheck,
    /// When a scheduled run begins.
    pub reconcile: Reconcile,
    /// How created versions are looked at.
    pub enrich: Enrich,
    /// How often set-up is looked at.
    pub doctor: Doctor,
    /// How the daemon ends.
    pub shutdown: Shutdown,
    /// The queues to receive from; no two have the same URL.
    pub queues: Vec<Queue>,
    /// What to mirror; no key belongs to two of them.
    pub buckets: Vec<Bucket>,
    origin: String,
}

/// Reads the configuration: `file` if it is given, else the one `STOCKTAKE_CONFIG` names, else
/// `config/default.toml` if it is there; and over it the rest of `env`, see [`environment`].
pub fn load(file: Option<&Path>, env: HashMap<String, String>) -> Result<Config, Errors> {
    let config = parse(source::read(file, &env)?, &env)?;
    let mistakes = config.database.mistakes_of_environment();
    if mistakes.is_empty() { Ok(config) } else { Err(Errors { origin: config.origin, mistakes }) }
}

/// The variables of this process that are ours, to be given to [`load`].
pub fn environment() -> HashMap<String, String> {
    // Not `std::env::vars`, which panics over anybody's variable that is not UTF-8.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(source::PREFIX))
        .collect()
}

impl Config {
    /// Refuses a configuration without a bucket: without one there is nothing to mirror, though
    /// the schema can be brought up to date.
    pub fn require_buckets(&self) -> Result<(), Errors> {
        if !self.buckets.is_empty() {
            return Ok(());
        }
        let message =
            "at least one is required: add a [[bucket]] with a name, or set STOCKTAKE_BUCKET__0__NAME";
        Err(Errors { origin: self.origin.clone(), mistakes: vec![Mistake::new("bucket", message)] })
    }

    /// What is allowed, but seldom meant; to be logged once.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(listen) = self.admin.listen
            && !self.admin.shows_page()
        {
            warnings.push(format!(
                "admin.listen: others than this machine may reach {listen}, and admin.token is not set: probes and \
                 metrics are served there, and the status page is not"
            ));
        }
        if self.queues.is_empty() {
            warnings.push("queue: none is configured, so changes are only found by listing".to_owned());
        }
        for (index, bucket) in self.buckets.iter().enumerate() {
            let name = &bucket.name;
            if bucket.prefix.is_empty() {
                warnings.push(format!(
                    "bucket[{index}].prefix: is empty, so all of {name:?} is followed, and nobody else can be notified \
                     of the same events anywhere in it, since rules of one bucket may not overlap; give a prefix if \
                     a part is enough"
                ));
            }
            let region = bucket.access.region.as_ref();
            let is_elsewhere =
                |queue: &Queue| queue.access.region.is_some() && queue.access.region.as_ref() != region;
            if let Some(region) = region
                && !self.queues.is_empty()
                && self.queues.iter().all(is_elsewhere)
            {
                warnings.push(format!(
                    "bucket[{index}].region: {name:?} is to be in {region}, where no queue is: S3 sends only to queues \
                     and topics in the bucket's own region"
                ));
            }
        }
        warnings
    }

    fn read(tree: &mut Tree, origin: String) -> Self {
        let database = Database::read(&mut tree.table(&keys::DATABASE));
        let aws = access::read(&mut tree.table(&keys::AWS), &Access::default());
        Self {
            database,
            admin: Admin::read(&mut tree.table(&keys::ADMIN)),
            log: Log::read(&mut tree.table(&keys::LOG)),
            trace: Trace::read(&mut tree.table(&keys::TRACE)),
            ingest: Ingest::read(&mut tree.table(&keys::INGEST)),
            journal: Journal::read(&mut tree.table(&keys::JOURNAL)),
            ledger: Ledger::read(&mut tree.table(&keys::LEDGER)),
            merge: Merge::read(&mut tree.table(&keys::MERGE)),
            recheck: Recheck::read(&mut tree.table(&keys::RECHECK)),
            reconcile: Reconcile::read(&mut tree.table(&keys::RECONCILE)),
            enrich: Enrich::read(&mut tree.table(&keys::ENRICH)),
            doctor: Doctor::read(&mut tree.table(&keys::DOCTOR)),
            shutdown: Shutdown::read(&mut tree.table(&keys::SHUTDOWN)),
            queues: tree.list(&keys::QUEUE, |section| Queue::read(section, &aws)),
            buckets: tree.list(&keys::BUCKET, |section| Bucket::read(section, &aws)),
            aws,
            origin,
        }
    }

    /// Mistakes that no entry makes alone; entries are named by their places.
    fn contradictions(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (index, queue) in self.queues.iter().enumerate() {
            let twin =
                self.queues[..index].iter().position(|other| !queue.url.is_empty() && other.url == queue.url);
            if let Some(twin) = twin {
                let message = format!("is the url of queue[{twin}] too: leave one of them out");
                mistakes.push(Mistake::new(format!("queue[{index}].url"), message));
            }
        }
        for (index, bucket) in self.buckets.iter().enumerate() {
            let twin = self.buckets[..index]
                .iter()
                .position(|other| !bucket.name.is_empty() && bucket.overlaps(other));
            let least = least_period(self.merge.margin);
            if let Some(every) = bucket.reconcile_every.filter(|every| *every < least)
                && bucket.source == Source::Listing
            {
                let message = format!(
                    "must be at least {} with a merge.margin of {}, not {}: of what differs in a listing that follows \
                     another sooner nobody can say whether it is from before that one, so it would be in doubt for ever; \
                     or \"never\"",
                    lasting(least),
                    lasting(self.merge.margin),
                    lasting(every)
                );
                mistakes.push(Mistake::new(format!("bucket[{index}].reconcile_every"), message));
            }
            let shared = self.buckets[..index].iter().position(|other| bucket.name == other.name);
            if let Some(other) = shared.filter(|other| self.buckets[*other].partitions != bucket.partitions) {
                let message = format!(
                    "must be that of bucket[{other}], {}, not {}: all parts of {:?} share their tables",
                    self.buckets[other].partitions, bucket.partitions, bucket.name
                );
                mistakes.push(Mistake::new(format!("bucket[{index}].partitions"), message));
            }
            if let Some(twin) = twin {
                let message = format!(
                    "{:?} overlaps bucket[{twin}].prefix {:?}, and both are in \"{}\": a key can belong to one only",
                    bucket.prefix, self.buckets[twin].prefix, bucket.name
                );
                mistakes.push(Mistake::new(format!("bucket[{index}].prefix"), message));
            }
        }
        mistakes
    }
}

fn parse(document: Document, env: &HashMap<String, String>) -> Result<Config, Errors> {
    let mut mistakes = Vec::new();
    let values = match source::merge(&document, env, &mut mistakes) {
        Ok(values) => values,
        Err(error) => {
            mistakes.push(Mistake::new(document.file, source::without_quote(&error)));
            return Err(Errors { origin: document.origin, mistakes });
        }
    };
    let mut tree = Tree::new(values, mistakes);
    let config = Config::read(&mut tree, document.origin);
    let mut mistakes = tree.mistakes;
    // What cannot be read stands for something that nobody wrote.
    let is_news = |one: &Mistake| mistakes.iter().all(|known| known.place != one.place);
    let contradictions: Vec<Mistake> = config.contradictions().into_iter().filter(is_news).collect();
    mistakes.extend(contradictions);
    if mistakes.is_empty() { Ok(config) } else { Err(Errors { origin: config.origin, mistakes }) }
}
