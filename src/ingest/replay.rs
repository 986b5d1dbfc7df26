//! Puts what is in quarantine through again, on the way that messages take.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::read::{Reading, read};
use crate::catalog::{Aside, Catalog, Connection, Trouble, trouble};
use crate::chain::chain;

/// Records that are named where a message stays.
const NAMED_MAX: usize = 5;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// All of it is in the catalog, or nobody's business. Its records, by what became of them: the
    /// words of `stocktake_events_total`.
    Through(BTreeMap<&'static str, usize>),
    /// It stays, and this is why. What could be read of it is in the catalog all the same.
    Stays(String),
}

/// Puts one item through, and notes what came of it. Done again it changes nothing.
///
/// # Errors
/// When Postgres is away, or refuses for a reason that has nothing to do with the item: then it stays
/// as it was.
pub async fn replay(
    catalog: &Catalog,
    connections: &[Arc<Connection>],
    item: &Aside,
    now: OffsetDateTime,
) -> Result<Replayed, sqlx::Error> {
    // It was sent before it was received.
    let replayed = match read(connections, &item.body, Some(item.received_at.into())) {
        Err(reason) => Replayed::Stays(reason),
        Ok(readings) => apply(catalog, readings, item.record, now).await?,
    };
    let reason = match &replayed {
        Replayed::Through(_) => None,
        Replayed::Stays(reason) => Some(reason.as_str()),
    };
    catalog.note_replay(item.quarantine_id, reason, now).await?;
    Ok(replayed)
}

/// Applies the reading in one place, from 1, or all for 0: one at a time, so that one which Postgres
/// does not take holds up no other.
async fn apply(
    catalog: &Catalog,
    readings: Vec<Reading>,
    wanted: i32,
    now: OffsetDateTime,
) -> Result<Replayed, sqlx::Error> {
    let mut outcomes = BTreeMap::new();
    let mut unfit = Vec::new();
    for (place, reading) in (1..).zip(readings).filter(|(place, _)| wanted == 0 || wanted == *place) {
        let outcome = match reading {
            Reading::Claim(claimed) => {
                match catalog.apply(&claimed.connection, &[claimed.event()], now).await {
                    Ok(verdicts) => {
                        verdicts.first().map_or(Ok("ignored"), |verdict| Ok(verdict.outcome.as_str()))
                    }
                    Err(error) if trouble(&error) == Trouble::Unfit => Err(chain(&error)),
                    Err(error) => return Err(error),
                }
            }
            Reading::Ignored { .. } | Reading::Unknown { .. } => Ok("ignored"),
            Reading::Unfit(unfit) => Err(unfit.reason),
        };
        match outcome {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(reason) if wanted == 0 => unfit.push(format!("record {place}: {reason}")),
            Err(reason) => unfit.push(reason),
        }
    }
    if outcomes.is_empty() && unfit.is_empty() && wanted > 0 {
        unfit.push("the message has no such record any more".to_owned());
    }
    let more = unfit.len().saturating_sub(NAMED_MAX);
    unfit.truncate(NAMED_MAX);
    if more > 0 {
        unfit.push(format!("and {more} more"));
    }
    Ok(if unfit.is_empty() { Replayed::Through(outcomes) } else { Replayed::Stays(unfit.join("; ")) })
}
