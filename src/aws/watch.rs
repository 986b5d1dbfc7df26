//! Watches a call: where it went, between which moments of S3's clock it was answered, and how each
//! of its attempts ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
    FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::Instant;

use super::xml::Malformed;
use crate::metrics;
use crate::model::{Timestamp, Window};

/// `Date` headers are whole seconds
/// (<https://www.rfc-editor.org/rfc/rfc9110.html#name-date-time-formats>): what really was the
/// time is up to that much later.
const DATE_GRAIN: Duration = Duration::from_secs(1);

/// What S3 answers with to those who ask too fast
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>), and other stores.
const THROTTLING: [u16; 2] = [429, 503];

/// An interceptor that remembers the last attempt of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Attempt>>);

#[derive(Debug, Default)]
struct Attempt {
    endpoint: Option<String>,
    access_key: Option<String>,
    sent: Option<Instant>,
    took: Duration,
    date: Option<String>,
    /// What is counted, by the name S3 has for it, as long as it is under way.
    counted: Counted,
}

/// A request that is counted when its end is known, or when nobody waits for that any more.
#[derive(Debug, Default)]
struct Counted {
    operation: Option<&'static str>,
    is_under_way: bool,
}

impl Counted {
    fn begin(&mut self) {
        self.end("cancelled");
        self.is_under_way = true;
    }

    fn end(&mut self, outcome: &'static str) {
        if let Some(operation) = self.operation.filter(|_| self.is_under_way) {
            metrics::s3_requests(operation, outcome).increment(1);
        }
        self.is_under_way = false;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}

impl Watch {
    /// One that counts the attempts of a call to S3.
    pub(crate) fn counting(operation: &'static str) -> Self {
        let counted = Counted { operation: Some(operation), is_under_way: false };
        Self(Arc::new(Mutex::new(Attempt { counted, ..Attempt::default() })))
    }

    /// The window that holds the moment of the last answer. S3 dated the answer and made it
    /// between our sending the request and having the body, so both moments are at most that
    /// far apart; our own clock plays no part.
    ///
    /// # Errors
    ///
    /// When the answer had no `Date`, or one that cannot be read.
    pub(crate) fn window(&self) -> Result<Window, Malformed> {
        let attempt = self.attempt();
        let Some(date) = &attempt.date else {
            return Err(Malformed::new("the answer has no date header, so nobody can say when it was true"));
        };
        let date = parse_date(date)
            .ok_or_else(|| Malformed::new(format!("the date header {date:?} cannot be read as a date")))?;
        Ok(Window::around(date, attempt.took + DATE_GRAIN))
    }

    /// Where the last request went, as `scheme://host:port`.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.attempt().endpoint.clone()
    }

    /// The id of the access key that the last request was signed with: it names whoever asks, and is no
    /// secret.
    pub(crate) fn access_key(&self) -> Option<String> {
        self.attempt().access_key.clone()
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let endpoint = url::Url::parse(context.request().uri()).ok();
        let mut attempt = self.attempt();
        attempt.access_key = context.request().headers().get("authorization").and_then(access_key);
        attempt.endpoint = endpoint.map(|url| url.origin().ascii_serialization());
        attempt.sent = Some(Instant::now());
        (attempt.took, attempt.date) = (Duration::ZERO, None);
        attempt.counted.begin();
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut attempt = self.attempt();
        attempt.took = attempt.sent.map(|sent| sent.elapsed()).unwrap_or_default();
        attempt.date = context.response().headers().get("date").map(str::to_owned);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|response| response.status().as_u16());
        let outcome = match context.output_or_error() {
            Some(Ok(_)) => "ok",
            _ if status.is_some_and(|status| THROTTLING.contains(&status)) => "throttled",
            _ => "error",
        };
        self.attempt().counted.end(outcome);
        Ok(())
    }
}

/// `AWS4-HMAC-SHA256 Credential=AKIA…/20261101/eu-central-1/s3/aws4_request, …`
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>).
fn access_key(authorization: &str) -> Option<String> {
    let (_, scope) = authorization.split_once("Credential=")?;
    scope.split_once('/').map(|(key, _)| key.to_owned())
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_micros()).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(date: Option<&str>) -> Result<Window, String> {
        let took = Duration::from_millis(250);
        let attempt = Attempt { took, date: date.map(str::to_owned), ..Attempt::default() };
        Watch(Arc::new(Mutex::new(attempt))).window().map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn the_window_is_the_date_and_what_the_call_took_and_the_grain() {
        let from = Timestamp::from_micros(1_784_541_598_750_000);
        let to = Timestamp::from_micros(1_784_541_601_250_000);
        assert_eq!(window(Some("Mon, 20 Jul 2026 10:00:00 GMT")), Ok(Window { from, to }));
    }

    #[test]
    fn an_answer_without_a_date_is_refused() {
        assert!(window(None).unwrap_err().contains("no date header"));
        assert!(window(Some("yesterday")).unwrap_err().contains("\"yesterday\""));
    }

    #[test]
    fn a_signature_names_its_key_and_nothing_secret() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIA1/20261101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=f00";
        assert_eq!(access_key(header).as_deref(), Some("AKIA1"));
        assert_eq!(access_key("Bearer secret"), None);
    }
}
