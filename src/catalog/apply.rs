//! Applies a batch of claims in one transaction.

use time::OffsetDateTime;

use super::blocking::with_versions;
use super::connections::{Hold, hold};
use super::details::{Versions, follow};
use super::journal::{Cause, Event, Journal};
use super::rechecks::{Ask, ask};
use super::retry::retry;
use super::rows::load;
use super::write::write;
use super::{Catalog, Connection};
use crate::model::{Fact, Outcome, Verdict};

impl Catalog {
    /// Merges what events claim about keys of one bucket into what is held of them, queues the keys
    /// in doubt, and enters each claim that changed something in the journal. All or nothing; the
    /// verdicts are in the order of the events.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn apply<'a, E: Copy + Into<Event<'a>>>(
        &self,
        connection: &Connection,
        events: &[E],
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        let _batch = self.precedence.batch();
        let events: Vec<Event<'a>> = events.iter().map(|event| (*event).into()).collect();
        retry("apply", || self.apply_once(connection, &events, now)).await
    }

    async fn apply_once(
        &self,
        connection: &Connection,
        events: &[Event<'_>],
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        let bucket = &connection.bucket;
        let mut transaction = self.pool.begin().await?;
        let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
        let before = load(&mut transaction, bucket, events.iter().map(|event| event.key).collect()).await?;

        let versions = before.values().map(|stack| stack.slots().len()).sum();
        let (after, journal, verdicts, doubts, again) = with_versions(versions, || {
            let mut after = before.clone();
            let mut journal = Journal::new(connection.terms.is_journaled);
            let mut verdicts = Vec::with_capacity(events.len());
            let (mut doubts, mut again) = (Vec::new(), Versions::new());
            for event in events {
                let stack = after.entry(event.key.to_owned()).or_default();
                let verdict = journal.follow(*event, stack, |stack| stack.apply(event.claim, &horizon));
                doubts.extend(verdict.doubt.map(|reason| Ask {
                    key: event.key.to_owned(),
                    reason,
                    run_id: None,
                }));
                if matches!(event.claim.fact, Fact::Attributes(_)) && verdict.outcome != Outcome::Stale {
                    again.insert((event.key, &event.claim.version));
                }
                verdicts.push(verdict);
            }
            (after, journal, verdicts, doubts, again)
        });

        write(&mut transaction, bucket, &before, &after, now).await?;
        follow(&mut transaction, connection, &before, &after, again, false, now).await?;
        let changes = journal.write(&mut transaction, bucket, Cause::Event).await?;
        ask(&mut transaction, bucket, doubts, now, connection.terms.recheck_delay).await?;
        transaction.commit().await?;
        self.news.note(bucket, changes);
        Ok(verdicts)
    }
}
