//! Applies observations: what a run or a recheck saw of some keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::blocking::with_versions;
use super::connections::{Hold, hold};
use super::details::{Versions, follow};
use super::journal::{Cause, Journal};
use super::ranges::{advance, note_withheld};
use super::rechecks::{Ask, Recheck, ask, strike};
use super::retry::retry;
use super::rows::{Stacks, date, load};
use super::session::Session;
use super::withheld::withhold;
use super::write::write;
use super::{Catalog, Connection, Progress, Range, Run};
use crate::model::{Drift, Glance, Horizon, Listed, Slot, Stack, State, VersionId, Window};

/// What a listing showed of one key. No entries: the key was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The key.
    pub key: String,
    /// Its versions and markers, newest first.
    pub listed: Vec<Listed>,
    /// When that was true, on S3's clock.
    pub window: Window,
}

/// What applying sightings came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was wrong, key by key.
    pub drift: Vec<(String, VersionId, Drift)>,
    /// How many keys have to be listed again.
    pub doubts: usize,
}

impl Repaired {
    /// How much drift of each kind.
    pub fn counts(&self) -> BTreeMap<Drift, i64> {
        let mut counts = BTreeMap::new();
        for (_, _, kind) in &self.drift {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }
}

/// What a rehearsal would have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// As the ledger would have it.
    pub repaired: Repaired,
    /// The same in full, one for each entry of `repaired.drift`.
    pub changes: Vec<Difference>,
    /// How many present versions would have been removed, at once or by rechecks.
    pub removals: usize,
}

/// A difference between the catalog and the bucket, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Which version of it.
    pub version: VersionId,
    /// What is wrong.
    pub kind: Drift,
    /// What the catalog says of it, as JSON; null if nothing.
    pub before: Value,
    /// What it should say.
    pub after: Value,
}

/// What becomes of observations by which a present version would go, at once or after a recheck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removals {
    /// They are applied like all others.
    Apply,
    /// They are put aside.
    Withhold,
}

/// What applying sightings came to, before it is all written.
#[derive(Default)]
pub(super) struct Seen<'a> {
    pub(super) repaired: Repaired,
    pub(super) asks: Vec<Ask>,
    /// What was put aside, with the number of versions that it would remove.
    withheld: Vec<(&'a Sighting, usize)>,
    /// How many changes were entered in the journal.
    pub(super) changes: usize,
    differences: Vec<Difference>,
    /// How many present versions go, or will if a recheck finds the same.
    removals: usize,
}

/// What came of saving progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// What was put right.
    pub repaired: Repaired,
    /// How many present versions would be removed, and wait until all is listed.
    pub withheld: i64,
    /// Whether somebody elsewhere waits for a part of the range.
    pub is_wanted: bool,
}

/// Whether a repair is for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is committed.
    Keep,
    /// It is taken back: only what it would have done is wanted.
    Rehearse,
}

impl Catalog {
    /// Applies what a run saw of keys that looked different, and notes how far it has come: they are
    /// read again under lock, judged, and put right; the drift goes to the ledger. All or nothing, and
    /// nothing if the range was lost: then somebody else goes through it.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn save(
        &self,
        connection: &Connection,
        run: &Run,
        range: &Range,
        sightings: &[Sighting],
        progress: &Progress,
        now: OffsetDateTime,
    ) -> Result<Option<Saved>, sqlx::Error> {
        let _share = self.share().await;
        retry("save", || async {
            let mut transaction = self.pool.begin().await?;
            let mut saved = Saved::default();
            let mut changes = 0;
            // Before the range, because whoever ends a run takes the two in this order.
            let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
            let Some(is_wanted) = advance(&mut transaction, range, progress).await? else { return Ok(None) };
            saved.is_wanted = is_wanted;
            if !sightings.is_empty() {
                let (run_id, cause, removals) = (Some(run.run_id), Cause::Reconcile, Removals::Withhold);
                let seen =
                    observe(&mut transaction, connection, &horizon, run_id, sightings, cause, removals, now);
                let seen = seen.await?;
                ask(&mut transaction, &connection.bucket, seen.asks, now, connection.terms.recheck_delay)
                    .await?;
                if !seen.withheld.is_empty() {
                    saved.withheld = withhold(&mut transaction, run.run_id, &seen.withheld).await?;
                    note_withheld(&mut transaction, range, saved.withheld).await?;
                }
                saved.repaired = seen.repaired;
                changes = seen.changes;
            }
            transaction.commit().await?;
            self.news.note(&connection.bucket, changes);
            Ok(Some(saved))
        })
        .await
    }

    /// What applying sightings would come to. Changes nothing.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn rehearse(
        &self,
        connection: &Connection,
        sightings: &[Sighting],
        now: OffsetDateTime,
    ) -> Result<Rehearsed, sqlx::Error> {
        let _share = self.share().await;
        retry("rehearse", || async {
            let mut transaction = self.pool.begin().await?;
            let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
            let (cause, removals) = (Cause::Reconcile, Removals::Apply);
            let seen = observe(&mut transaction, connection, &horizon, None, sightings, cause, removals, now);
            let Seen { repaired, differences: changes, removals, .. } = seen.await?;
            transaction.rollback().await?;
            Ok(Rehearsed { repaired, changes, removals })
        })
        .await
    }

    /// Applies what a recheck saw of its key. If that settled the doubt, the key is struck off the
    /// queue; if the listing was taken too early for that, the key is due again after `pause`.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn settle(
        &self,
        connection: &Connection,
        recheck: &Recheck,
        sighting: &Sighting,
        pause: Duration,
        now: OffsetDateTime,
    ) -> Result<Repaired, sqlx::Error> {
        let sightings = std::slice::from_ref(sighting);
        retry("settle", || async {
            let mut transaction = self.pool.begin().await?;
            let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
            let (run_id, cause, removals) =
                (recheck.run_id, Cause::of_recheck(&recheck.reason), Removals::Apply);
            let seen =
                observe(&mut transaction, connection, &horizon, run_id, sightings, cause, removals, now);
            let Seen { repaired, asks, changes, .. } = seen.await?;
            if asks.is_empty() {
                strike(&mut transaction, recheck).await?;
            }
            // Asked anew, because a run that was completed meanwhile may have struck the key off.
            ask(&mut transaction, &connection.bucket, asks, now, pause).await?;
            transaction.commit().await?;
            self.news.note(&connection.bucket, changes);
            Ok(repaired)
        })
        .await
    }
}

/// Applies sightings to what is held of their keys, which stays locked until the transaction ends.
#[expect(clippy::too_many_arguments, reason = "each is one of the things it takes, and none belong together")]
pub(super) async fn observe<'a>(
    transaction: &mut Session,
    connection: &Connection,
    horizon: &Horizon,
    run_id: Option<i64>,
    sightings: &'a [Sighting],
    cause: Cause,
    going: Removals,
    now: OffsetDateTime,
) -> Result<Seen<'a>, sqlx::Error> {
    let glance = cause.glance();
    let keys = sightings.iter().map(|sighting| sighting.key.as_str()).collect();
    let before = load(transaction, &connection.bucket, keys).await?;
    // What the first run of a new connection finds is no drift and no change: nothing was promised before
    // it, and it was there when the bucket was connected.
    let is_first = run_id.is_some() && glance == Glance::Run && horizon.watermark.is_none();
    let versions =
        before.values().map(|stack| stack.slots().len()).chain(sightings.iter().map(|one| one.listed.len()));
    let versions = versions.sum();
    let judged =
        with_versions(versions, || judge(&before, sightings, glance, horizon, run_id, is_first, going));
    let (after, Seen { repaired, asks, withheld, removals, .. }) = judged;
    write(transaction, &connection.bucket, &before, &after, now).await?;
    follow(transaction, connection, &before, &after, Versions::new(), is_first, now).await?;
    let mut journal = Journal::new(connection.terms.is_journaled && !is_first);
    with_versions(versions, || journal.compare(&before, &after));
    let changes = journal.write(transaction, &connection.bucket, cause).await?;
    let change = |(key, version, kind): &(String, VersionId, Drift)| Difference {
        key: key.clone(),
        version: version.clone(),
        kind: *kind,
        before: describe(before.get(key), version),
        after: describe(after.get(key), version),
    };
    let differences: Vec<Difference> =
        with_versions(repaired.drift.len(), || repaired.drift.iter().map(change).collect());
    // The doubt of a recheck in vain was counted when the run raised it.
    let raised = if glance == Glance::Run { repaired.doubts } else { 0 };
    if let Some(run_id) = run_id.filter(|_| !repaired.drift.is_empty() || raised > 0) {
        enter(transaction, connection, run_id, &repaired, raised, &differences, now).await?;
    }
    Ok(Seen { repaired, asks, withheld, changes, differences, removals })
}

/// Judges sightings: the stacks of their keys afterwards, and the findings.
fn judge<'a>(
    before: &Stacks,
    sightings: &'a [Sighting],
    glance: Glance,
    horizon: &Horizon,
    run_id: Option<i64>,
    is_first: bool,
    going: Removals,
) -> (Stacks, Seen<'a>) {
    let mut after = before.clone();
    let Seen { mut repaired, mut asks, mut withheld, mut removals, .. } = Seen::default();
    for sighting in sightings {
        let stack = after.entry(sighting.key.clone()).or_default();
        let held = (going == Removals::Withhold).then(|| stack.clone());
        let observation = stack.observe(&sighting.listed, sighting.window, glance, horizon);
        if let Some(held) = held.filter(|_| observation.gone > 0) {
            *stack = held;
            withheld.push((sighting, observation.gone));
            continue;
        }
        removals += observation.gone;
        repaired.doubts += usize::from(observation.doubt.is_some());
        asks.extend(observation.doubt.map(|reason| Ask { key: sighting.key.clone(), reason, run_id }));
        if is_first {
            continue;
        }
        let key = &sighting.key;
        repaired
            .drift
            .extend(observation.drift.into_iter().map(|(version, kind)| (key.clone(), version, kind)));
    }
    (after, Seen { repaired, asks, withheld, removals, ..Seen::default() })
}

/// Enters drift in the ledger and counts it in its run, and so many doubts.
async fn enter(
    transaction: &mut Session,
    connection: &Connection,
    run_id: i64,
    repaired: &Repaired,
    doubts: usize,
    changes: &[Difference],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let detail = |change: &Difference| json!({ "before": change.before, "after": change.after }).to_string();
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    let versions: Vec<&str> = changes.iter().map(|change| change.version.as_str()).collect();
    let kinds: Vec<&str> = changes.iter().map(|change| change.kind.as_str()).collect();
    let details: Vec<String> = changes.iter().map(detail).collect();
    sqlx::query(
        "insert into catalog.drift (run_id, bucket, found_at, key, version_id, kind, detail)
         select $1, $2, $3, new.key, new.version_id, new.kind, new.detail::jsonb
         from unnest($4::text[], $5::text[], $6::text[], $7::text[]) as new (key, version_id, kind, detail)",
    )
    .bind(run_id)
    .bind(&connection.bucket)
    .bind(now)
    .bind(keys)
    .bind(versions)
    .bind(kinds)
    .bind(details)
    .execute(&mut *transaction)
    .await?;
    // Last, as all who save in the run wait for this row until we commit.
    let counts = repaired.counts();
    let count = |kind| counts.get(&kind).copied().unwrap_or_default();
    sqlx::query(
        "update catalog.reconciliations
         set missing = missing + $2, stale = stale + $3, ghost = ghost + $4, latest = latest + $5, doubts = doubts + $6
         where run_id = $1",
    )
    .bind(run_id)
    .bind(count(Drift::Missing))
    .bind(count(Drift::Stale))
    .bind(count(Drift::Ghost))
    .bind(count(Drift::Latest))
    .bind(i64::try_from(doubts).unwrap_or(i64::MAX))
    .execute(transaction)
    .await
    .map(drop)
}

/// What a stack says of a version, for a person to read. Null where it says nothing.
fn describe(stack: Option<&Stack>, version: &VersionId) -> Value {
    let Some(slot) = stack.and_then(|stack| stack.slot(version)) else { return Value::Null };
    let is_latest = stack.and_then(Stack::latest) == Some(version);
    match &slot.state {
        State::Removed => json!({ "state": "removed" }),
        State::Marker => {
            json!({ "state": "marker", "is_latest": is_latest, "last_modified": modified(slot) })
        }
        State::Object(content) => json!({
            "state": "object",
            "is_latest": is_latest,
            "last_modified": modified(slot),
            "etag": content.etag,
            "size": content.size,
        }),
    }
}

fn modified(slot: &Slot) -> Option<String> {
    let format = &time::format_description::well_known::Rfc3339;
    slot.last_modified.and_then(|moment| date(moment).format(format).ok())
}
