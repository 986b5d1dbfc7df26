//! The journal: one line for each change of what a reader sees, in the transaction that makes it.

use time::OffsetDateTime;

use super::rows::{Stacks, date};
use super::session::Session;
use super::write::ROWS_MAX;
use crate::model::{Change, Changed, Claim, Content, Doubt, Glance, Slot, Stack, State, VersionId};

/// Who asked S3 for what an event tells of, where the event says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The principal.
    pub requester: Option<String>,
    /// The address they asked from.
    pub source_ip: Option<String>,
    /// The id of the request, which S3's access logs repeat.
    pub request_id: Option<String>,
}

/// A claim with its key, and with what only the journal wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The key.
    pub key: &'a str,
    /// What it says of the key.
    pub claim: &'a Claim,
    /// Who asked for it.
    pub origin: Option<&'a Origin>,
}

/// An event that does not say who asked for it.
impl<'a, K: AsRef<str> + ?Sized> From<(&'a K, &'a Claim)> for Event<'a> {
    fn from((key, claim): (&'a K, &'a Claim)) -> Self {
        Self { key: key.as_ref(), claim, origin: None }
    }
}

/// What made the catalog change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Event,
    Reconcile,
    Recheck,
    /// A recheck that an inventory report asked for.
    Inventory,
}

impl Cause {
    /// What a recheck for that reason is the cause of.
    pub(super) fn of_recheck(reason: &str) -> Self {
        if reason == Doubt::Inventory.as_str() { Self::Inventory } else { Self::Recheck }
    }

    /// How the key was looked at.
    pub(super) fn glance(self) -> Glance {
        match self {
            Self::Event | Self::Reconcile => Glance::Run,
            Self::Recheck | Self::Inventory => Glance::Recheck,
        }
    }

    /// The word in `catalog.changes.cause`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Reconcile => "reconcile",
            Self::Recheck => "recheck",
            Self::Inventory => "inventory",
        }
    }
}

/// Lines as arrays, one for each column: a statement for any number of lines.
#[derive(Default)]
pub(super) struct Journal<'a> {
    is_off: bool,
    key: Vec<&'a str>,
    version_id: Vec<&'a str>,
    change: Vec<&'static str>,
    event_time: Vec<Option<OffsetDateTime>>,
    requester: Vec<Option<&'a str>>,
    source_ip: Vec<Option<&'a str>>,
    request_id: Vec<Option<&'a str>>,
    after: Shown,
    before: Shown,
    before_is_delete_marker: Vec<Option<bool>>,
}

/// What a reader sees of versions.
#[derive(Default)]
struct Shown {
    size: Vec<Option<i64>>,
    etag: Vec<Option<String>>,
    last_modified: Vec<Option<OffsetDateTime>>,
    storage_class: Vec<Option<String>>,
}

impl Shown {
    fn push(&mut self, slot: Option<&Slot>) {
        let content = match slot.map(|slot| &slot.state) {
            Some(State::Object(content)) => content,
            Some(State::Marker | State::Removed) | None => const { &Content { etag: None, size: None } },
        };
        self.size.push(content.size);
        self.etag.push(content.etag.clone());
        self.last_modified.push(slot.and_then(|slot| slot.last_modified).map(date));
        self.storage_class.push(slot.and_then(|slot| slot.storage_class.clone()));
    }
}

impl<'a> Journal<'a> {
    /// A journal that is written, or one that stays empty.
    pub(super) fn new(is_written: bool) -> Self {
        Self { is_off: !is_written, ..Self::default() }
    }

    /// Merges the claim of `event` into the stack of its key by `apply`, and enters what that changed.
    pub(super) fn follow<T>(
        &mut self,
        event: Event<'a>,
        stack: &mut Stack,
        apply: impl FnOnce(&mut Stack) -> T,
    ) -> T {
        if self.is_off {
            return apply(stack);
        }
        let version = &event.claim.version;
        let before = stack.slot(version).cloned();
        let outcome = apply(stack);
        if let Some(after) = stack.slot(version)
            && let Some(change) = Change::between(version, before.as_ref(), after)
        {
            self.push(event.key, version, change, before.as_ref(), after, Some(event));
        }
        outcome
    }

    /// Enters all that differs between stacks before and after an observation of each.
    pub(super) fn compare(&mut self, before: &'a Stacks, after: &'a Stacks) {
        if self.is_off {
            return;
        }
        for (key, stack) in after {
            for Changed { version, change, before, after } in stack.changes_since(before.get(key)) {
                self.push(key, version, change, before, after, None);
            }
        }
    }

    fn push(
        &mut self,
        key: &'a str,
        version: &'a VersionId,
        change: Change,
        before: Option<&Slot>,
        after: &Slot,
        event: Option<Event<'a>>,
    ) {
        let before = before.filter(|slot| slot.is_present());
        let origin = event.and_then(|event| event.origin);
        self.key.push(key);
        self.version_id.push(version.as_str());
        self.change.push(change.as_str());
        self.event_time.push(event.map(|event| date(event.claim.time)));
        self.requester.push(origin.and_then(|origin| origin.requester.as_deref()));
        self.source_ip.push(origin.and_then(|origin| origin.source_ip.as_deref()));
        self.request_id.push(origin.and_then(|origin| origin.request_id.as_deref()));
        self.after.push(Some(after));
        self.before.push(before);
        self.before_is_delete_marker.push(before.map(|slot| slot.state == State::Marker));
    }

    /// Writes the lines. How many there were.
    pub(super) async fn write(
        self,
        connection: &mut Session,
        bucket: &str,
        cause: Cause,
    ) -> Result<usize, sqlx::Error> {
        let lines = self.key.len();
        for begin in (0..lines).step_by(ROWS_MAX) {
            let some = begin..lines.min(begin + ROWS_MAX);
            sqlx::query(
                "insert into catalog.journal
                     (bucket, cause, key, version_id, change, event_time, requester, source_ip, request_id, size, etag,
                      last_modified, storage_class, before_size, before_etag, before_last_modified,
                      before_storage_class, before_is_delete_marker)
                 select $1, $2, new.*
                 from unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[],
                             $10::int8[], $11::text[], $12::timestamptz[], $13::text[], $14::int8[], $15::text[],
                             $16::timestamptz[], $17::text[], $18::bool[]) as new",
            )
            .bind(bucket)
            .bind(cause.as_str())
            .bind(&self.key[some.clone()])
            .bind(&self.version_id[some.clone()])
            .bind(&self.change[some.clone()])
            .bind(&self.event_time[some.clone()])
            .bind(&self.requester[some.clone()])
            .bind(&self.source_ip[some.clone()])
            .bind(&self.request_id[some.clone()])
            .bind(&self.after.size[some.clone()])
            .bind(&self.after.etag[some.clone()])
            .bind(&self.after.last_modified[some.clone()])
            .bind(&self.after.storage_class[some.clone()])
            .bind(&self.before.size[some.clone()])
            .bind(&self.before.etag[some.clone()])
            .bind(&self.before.last_modified[some.clone()])
            .bind(&self.before.storage_class[some.clone()])
            .bind(&self.before_is_delete_marker[some.clone()])
            .execute(&mut *connection)
            .await?;
        }
        Ok(lines)
    }
}
