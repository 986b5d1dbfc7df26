//! A `[[queue]]` entry.

use std::time::Duration;

use super::access;
use super::section::Section;
use crate::aws::{Access, queue_region};
use crate::queue::VISIBILITY_MAX;

/// At 20 ms an answer these bring 100,000 messages a second, more than can be committed.
const RECEIVERS_MAX: usize = 256;

/// A second is the least SQS counts in, beside none.
const VISIBILITY_MIN: Duration = Duration::from_secs(1);

/// A queue that notifications arrive in, for one bucket or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its URL; required.
    pub url: String,
    /// How many requests for messages there are at once at most, 32, and as many that acknowledge. Each is
    /// about ten messages at most. There is one as long as there is no backlog.
    pub receivers: usize,
    /// How long a message stays invisible to others once it is received, 30 s, whatever the queue
    /// itself is set to. While it is in hand the time is extended; if we die, it has to pass.
    pub visibility_timeout: Duration,
    /// The key that messages are encrypted with, if it is not AWS's: policies have to name it.
    pub kms_key: Option<String>,
    /// How to reach it. Its own keys come first, then the region its URL names, then `[aws]`.
    pub access: Access,
}

impl Queue {
    pub(super) fn read(section: &mut Section<'_>, aws: &Access) -> Self {
        let url = section.optional("url").unwrap_or_default();
        let region = if url.is_empty() { None } else { region_of(section, &url) };
        let inherited = Access { region: region.clone().or_else(|| aws.region.clone()), ..aws.clone() };
        let access = access::read(section, &inherited);
        if region.is_some() && access.region != region {
            let (url, own) = (region.unwrap_or_default(), access.region.clone().unwrap_or_default());
            section
                .mistake("region", format_args!("is {own}, but the url is in {url}: leave one of them out"));
        }
        Self {
            url,
            receivers: section.number("receivers", 1..=RECEIVERS_MAX),
            visibility_timeout: section.duration("visibility_timeout", VISIBILITY_MIN..=VISIBILITY_MAX),
            kms_key: access::kms_key(section),
            access,
        }
    }
}

/// Checks the URL, and returns the region it names.
fn region_of(section: &mut Section<'_>, url: &str) -> Option<String> {
    const FORM: &str = "\"https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake\"";
    if url.starts_with("arn:") {
        section.mistake("url", format_args!("is an ARN: write the queue's URL, such as {FORM}"));
        return None;
    }
    if url.trim_end_matches('/').ends_with(".fifo") {
        // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
        section.mistake("url", "is a FIFO queue, which S3 cannot notify: make a standard queue, whose name does not end in .fifo");
    }
    match access::http_url(url) {
        Ok(parsed) if parsed.path().trim_matches('/').is_empty() => {
            section.mistake("url", format_args!("names no queue: write its whole URL, such as {FORM}"));
            None
        }
        Ok(_) => queue_region(url),
        Err(message) => {
            section.mistake("url", message);
            None
        }
    }
}
