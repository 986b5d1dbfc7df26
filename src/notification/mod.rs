//! What a message body says: which events it carries, and what each of them claims.
//!
//! Pure: text in, [`Body`] out, nothing is fetched and nothing panics. One queue may carry S3's own
//! records, SNS envelopes, EventBridge events and test events, from AWS and from stores that imitate
//! it, so [`decode`] looks at the fields that tell the shapes apart and then reads that one shape.
//! It is lenient about what senders leave out, add or spell differently, and strict about what
//! decides: a record without a bucket, key or time is [`Unreadable`], and its neighbours are not.

#![expect(clippy::doc_markdown, reason = "EventBridge and MinIO are names, not code")]

mod bodies;
mod envelope;
mod eventbridge;
mod field;
mod key;
mod name;
pub mod print;
mod record;
mod s3;

pub use bodies::bodies;
pub(crate) use key::from_form;
pub use name::Kind;
pub use record::{Record, Unstorable};

use std::error::Error;
use std::fmt;

use crate::model::{RawKey, Timestamp};

/// What a message body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Events, in the order they stand in. What cannot be read stands in its place.
    Records(Vec<Result<Record, Unreadable>>),
    /// What S3 sends when a notification configuration is saved; it says nothing of any object.
    TestEvent,
    /// None of the shapes that carry events, and why.
    Undecodable(String),
}

/// Why one record cannot be read. It names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    reason: String,
    /// The bucket and the key, where it is the key that the catalog cannot hold.
    key: Option<Box<(String, RawKey)>>,
}

/// What is known of a body beside its text.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// When it was sent: the latest moment that a record without a time can be of. Without it there is no such
    /// record.
    pub sent_at: Option<Timestamp>,
    /// Whether the key of a record in S3's shape, which is of that bucket and stands there so, is not encoded.
    pub is_raw: &'a dyn Fn(&str, &str) -> bool,
}

/// Reads a message body. Total: any text is one of the three.
pub fn decode(body: &str) -> Body {
    decode_in(body, Context { sent_at: None, is_raw: &|_, _| false })
}

/// The same, knowing more.
pub fn decode_in(body: &str, context: Context<'_>) -> Body {
    envelope::open(body, context)
}

/// Characters of a reason that are kept. Reasons quote what a sender wrote, and go into logs.
const MAX_REASON: usize = 300;
/// Characters of a sender's value that a reason quotes.
const MAX_QUOTE: usize = 60;

impl Body {
    fn undecodable(reason: &str) -> Self {
        Self::Undecodable(clip(reason, MAX_REASON))
    }
}

impl Unreadable {
    fn new(reason: &str) -> Self {
        Self { reason: clip(reason, MAX_REASON), key: None }
    }

    /// The same of a record whose key the catalog cannot hold.
    fn of_key(self, bucket: &str, key: RawKey) -> Self {
        Self { key: Some(Box::new((bucket.to_owned(), key))), ..self }
    }

    /// The bucket and the key, where the record tells that the bucket has a key which the catalog cannot hold.
    pub fn key(&self) -> Option<(&str, &RawKey)> {
        self.key.as_deref().map(|(bucket, key)| (bucket.as_str(), key))
    }

    /// The reason alone.
    pub fn as_str(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl Error for Unreadable {}

/// At most `max` characters of `text`; an ellipsis says that there was more.
fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` in quotes, escaped and not too long: how reasons show what a sender wrote.
fn quote(text: &str) -> String {
    format!("{:?}", clip(text, MAX_QUOTE))
}
