//! From the body of a message to what is to be done about each of its records.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Connection, Event, Origin};
use crate::metrics::NO_BUCKET;
use crate::model::{Claim, RawKey, Timestamp};
use crate::notification::{self, Body, Kind, Record};

/// How much later than its message was sent an event may claim to be: more than the clocks of stores
/// and queues ever disagree.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be done about a record.
#[derive(Debug)]
pub(super) enum Reading {
    /// It is to be merged into the catalog.
    Claim(Claimed),
    /// Nothing: it is to stay out, or says nothing we understand.
    Ignored { bucket: String, kind: &'static str },
    /// Nothing, if nobody else has its bucket, either.
    Unknown { kind: &'static str },
    /// It cannot be read, or not be stored.
    Unfit(Unfit),
}

/// A record that cannot be read, or not be stored.
#[derive(Debug)]
pub(super) struct Unfit {
    /// Why.
    pub(super) reason: String,
    /// Its key and whose it is, where the bucket has that and the catalog cannot hold it.
    pub(super) key: Option<(Arc<Connection>, RawKey)>,
}

/// What a record claims, of which key of whose.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) connection: Arc<Connection>,
    pub(super) key: String,
    pub(super) claim: Claim,
    origin: Origin,
    /// The kind of its event, for metrics.
    pub(super) kind: &'static str,
}

impl Claimed {
    pub(super) fn event(&self) -> Event<'_> {
        Event { key: &self.key, claim: &self.claim, origin: Some(&self.origin) }
    }
}

/// Reads a message that was sent at that time; an error is why all of it is unfit.
pub(super) fn read(
    connections: &[Arc<Connection>],
    body: &str,
    sent_at: Option<Timestamp>,
) -> Result<Vec<Reading>, String> {
    let is_raw = |bucket: &str, key: &str| {
        connection_of(connections, bucket, key.as_bytes()).is_some_and(|of| of.terms.has_raw_keys)
    };
    match notification::decode_in(body, notification::Context { sent_at, is_raw: &is_raw }) {
        Body::Records(records) => {
            let read = |record| match record {
                Ok(record) => read_one(connections, credible(record, sent_at)),
                Err(unreadable) => Reading::Unfit(Unfit {
                    reason: notification::Unreadable::to_string(&unreadable),
                    key: unreadable.key().and_then(|(bucket, key)| owned(connections, bucket, key)),
                }),
            };
            Ok(records.into_iter().map(read).collect())
        }
        Body::TestEvent => Ok(vec![Reading::Ignored { bucket: NO_BUCKET.to_owned(), kind: "test_event" }]),
        Body::Undecodable(reason) => Err(reason),
    }
}

fn read_one(connections: &[Arc<Connection>], record: Record) -> Reading {
    if let Err(unstorable) = record.storable() {
        let key = record.unrepresentable().filter(|_| record.kind != Kind::Removed);
        let key = key.and_then(|key| owned(connections, &record.bucket, &key));
        return Reading::Unfit(Unfit { reason: unstorable.to_string(), key });
    }
    let kind = record.kind.as_str();
    let Some(connection) = connection_of(connections, &record.bucket, record.key.as_bytes()) else {
        return Reading::Unknown { kind };
    };
    let claim = if connection.ignore.has(&record.key) { None } else { record.claim() };
    match claim {
        Some(claim) => Reading::Claim(Claimed {
            connection: Arc::clone(connection),
            key: record.key,
            claim,
            origin: Origin {
                requester: record.requester,
                source_ip: record.source_ip,
                request_id: record.request_id,
            },
            kind,
        }),
        None => Reading::Ignored { bucket: record.bucket, kind },
    }
}

/// The record with a time that it can have. Nothing happens after it was told of; and no listing
/// removes what claims to be newer than it, so that a time far ahead would stay until it comes.
fn credible(record: Record, sent_at: Option<Timestamp>) -> Record {
    match sent_at {
        Some(sent_at) if record.time > sent_at.plus(AHEAD_MAX) => Record { time: sent_at, ..record },
        _ => record,
    }
}

/// The connection a key belongs to. Prefixes of one bucket do not overlap, so there is at most one.
fn connection_of<'a>(
    connections: &'a [Arc<Connection>],
    bucket: &str,
    key: &[u8],
) -> Option<&'a Arc<Connection>> {
    connections
        .iter()
        .find(|connection| connection.bucket == bucket && key.starts_with(connection.prefix.as_bytes()))
}

/// A key with whose it is.
fn owned(connections: &[Arc<Connection>], bucket: &str, key: &RawKey) -> Option<(Arc<Connection>, RawKey)> {
    connection_of(connections, bucket, &key.bytes).map(|connection| (Arc::clone(connection), key.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_is_much_later_than_its_message() {
        let body = r#"{"Records":[{"eventName":"ObjectCreated:Put","eventTime":"9999-12-31T23:59:59Z",
            "s3":{"bucket":{"name":"genomics"},"object":{"key":"a"}}}]}"#;
        let Body::Records(records) = notification::decode(body) else { panic!("no records") };
        let Some(Ok(record)) = records.into_iter().next() else { panic!("no record") };
        let second = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let day = 24 * 60 * 60;
        let time = |claimed, sent_at: Option<i64>| {
            credible(Record { time: second(claimed), ..record.clone() }, sent_at.map(second)).time
        };
        assert_eq!(credible(record.clone(), Some(second(day))).time, second(day));
        assert_eq!(time(3 * day, Some(day)), second(day));
        assert_eq!(time(2 * day, Some(day)), second(2 * day), "clocks may disagree");
        assert_eq!(time(0, Some(day)), second(0), "and messages may be late");
        assert_eq!(time(9 * day, None), second(9 * day));
    }
}
