//! One pass over the keys of a prefix, in constant memory: a merge join of pages and rows.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::pages::{ListedKey, Pages};
use crate::bucket::Bucket;
use crate::catalog::{Catalog, Connection, Counts, Effect, Place, Run, Sighting};
use crate::clock::Clock;
use crate::metrics;
use crate::model::{Drift, Glance, Horizon, Join, Pair, Stack, Step, Window};

/// Rows read at a time.
const ROWS_MAX: i64 = 5_000;
/// Keys repaired in one transaction.
const REPAIRS_MAX: usize = 500;
/// Pages between two notes of how far a run has come.
const PAGES_A_NOTE: u32 = 20;

/// What a sweep found.
pub(super) struct Swept {
    pub(super) counts: Counts,
    pub(super) drift: BTreeMap<Drift, i64>,
    pub(super) doubts: usize,
    /// From the sweep's start to its last page.
    pub(super) window: Window,
}

/// Sweeps all keys below `prefix`. Without a run it is a rehearsal: nothing is written.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one of the things a sweep needs, and none belong together"
)]
pub(super) async fn sweep<B: Bucket>(
    bucket: &B,
    catalog: &Catalog,
    connection: &Connection,
    prefix: &str,
    run: Option<&Run>,
    start: Window,
    clock: Clock,
    shutdown: &CancellationToken,
) -> Result<Swept, Trouble> {
    let postgres =
        |action: &'static str| move |error| Trouble::Postgres(action, connection.bucket.clone(), error);
    let horizon = catalog.horizon(connection).await.map_err(postgres("read the horizon"))?;
    let mut pages = Pages::new(bucket, prefix, start);
    let mut join: Join<ListedKey, Stack> = Join::default();
    let mut place: Option<Place> = None;
    let mut swept = Swept { counts: Counts::default(), drift: BTreeMap::new(), doubts: 0, window: start };
    let mut different: Vec<Sighting> = Vec::new();
    let mut pages_read = 0;
    loop {
        match join.step() {
            Step::NeedListed => {
                let page = shutdown.run_until_cancelled(pages.next()).await.ok_or(Trouble::Stopped)??;
                swept.count(&page);
                for (key, listed) in page {
                    join.push_listed(key, listed)
                        .map_err(|unsorted| Trouble::Unsorted(connection.bucket.clone(), unsorted))?;
                }
                if pages.is_ended() {
                    join.end_listed();
                }
                pages_read += 1;
                if let Some(run) = run.filter(|_| pages_read % PAGES_A_NOTE == 0) {
                    catalog.note_progress(run, swept.counts).await.map_err(postgres("note progress"))?;
                }
            }
            Step::NeedHeld => {
                let held = catalog
                    .scan(connection, prefix, place.as_ref(), ROWS_MAX)
                    .await
                    .map_err(postgres("read the rows"))?;
                for (key, stack) in held.stacks {
                    join.push_held(key, stack)
                        .map_err(|unsorted| Trouble::Unsorted("the catalog".to_owned(), unsorted))?;
                }
                if held.next.is_none() {
                    join.end_held();
                }
                place = held.next;
            }
            Step::Pair(pair) => {
                let absence = join.next_listed().map_or(pages.window, |next| next.opened);
                different.extend(difference(pair, absence, &horizon));
                if different.len() >= REPAIRS_MAX {
                    swept.repair(catalog, connection, run, &mut different, clock).await?;
                }
            }
            Step::Done => break,
        }
    }
    swept.repair(catalog, connection, run, &mut different, clock).await?;
    swept.window.to = swept.window.to.max(pages.window.to);
    Ok(swept)
}

/// What the listing shows of a key, where the catalog would have to change for it. `absence` is
/// the window in which a key that is not listed was not there.
fn difference(pair: Pair<ListedKey, Stack>, absence: Window, horizon: &Horizon) -> Option<Sighting> {
    let (listed, window) = match pair.listed {
        Some(listed) => (listed.entries, listed.window),
        None => (Vec::new(), absence),
    };
    let held = pair.held.unwrap_or_default();
    let mut right = held.clone();
    let observation = right.observe(&listed, window, Glance::Run, horizon);
    let is_different = right != held || observation.doubt.is_some();
    is_different.then_some(Sighting { key: pair.key, listed, window })
}

impl Swept {
    fn count(&mut self, page: &[(String, ListedKey)]) {
        let versions: usize = page.iter().map(|(_, listed)| listed.entries.len()).sum();
        self.counts.keys += i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.counts.versions += i64::try_from(versions).unwrap_or(i64::MAX);
        metrics::reconcile_keys().increment(page.len() as u64);
    }

    async fn repair(
        &mut self,
        catalog: &Catalog,
        connection: &Connection,
        run: Option<&Run>,
        different: &mut Vec<Sighting>,
        clock: Clock,
    ) -> Result<(), Trouble> {
        let effect = if run.is_some() { Effect::Keep } else { Effect::Rehearse };
        let repaired = catalog
            .repair(connection, run.map(|run| run.run_id), different, effect, clock())
            .await
            .map_err(|error| Trouble::Postgres("repair rows", connection.bucket.clone(), error))?;
        different.clear();
        for (kind, count) in repaired.counts() {
            *self.drift.entry(kind).or_default() += count;
            if effect == Effect::Keep {
                metrics::drift(kind.as_str()).increment(u64::try_from(count).unwrap_or_default());
            }
        }
        self.doubts += repaired.doubts;
        Ok(())
    }
}
