//! Where traces go, and what is said of a collector that does not take them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::time::Instant;

/// How long a collector may take for some spans, and for the last ones when the process ends: it has other things
/// to do then.
pub(super) const EXPORT_PATIENCE: Duration = Duration::from_secs(2);
/// One that comes and goes is complained of no more often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(600);

/// Takes spans, and sends them to a collector in batches
/// (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>). The standard's own variables say the rest: which
/// share of traces (`OTEL_TRACES_SAMPLER`), and what else is told of us (`OTEL_RESOURCE_ATTRIBUTES`).
pub(super) fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
    let exporter = builder.with_endpoint(endpoint).with_timeout(EXPORT_PATIENCE).build();
    let exporter = exporter.with_context(|| format!("prepare to send traces to {endpoint}"))?;
    let collector = Collector { exporter, endpoint: endpoint.to_owned(), silence: Mutex::default() };
    let resource = Resource::builder()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(collector).with_resource(resource).build())
}

/// A collector, and whether it takes what it is sent: OpenTelemetry itself says nothing where it does not.
#[derive(Debug)]
struct Collector<E> {
    exporter: E,
    endpoint: String,
    silence: Mutex<Silence>,
}

impl<E: SpanExporter> SpanExporter for Collector<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let news = {
            let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
            silence.learn(exported.is_err(), Instant::now())
        };
        let endpoint = &self.endpoint;
        match (news, &exported) {
            (Some(News::Began), Err(error)) => tracing::warn!(
                remedy = "see that a collector listens there for OTLP over gRPC, or take trace.endpoint out; all else goes on",
                "traces are lost: the collector at {endpoint} does not take them: {error}"
            ),
            (Some(News::Ended), _) => tracing::info!("the collector at {endpoint} takes traces again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Whether a collector is silent, and what was said of that.
#[derive(Debug, Default)]
struct Silence {
    is_told: bool,
    told_at: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    Began,
    Ended,
}

impl Silence {
    /// What is worth telling once a collector took what it was sent, or did not.
    fn learn(&mut self, is_silent: bool, now: Instant) -> Option<News> {
        let is_recent = self.told_at.is_some_and(|told_at| now - told_at < COMPLAIN_EVERY);
        match (is_silent, self.is_told) {
            (true, false) if !is_recent => {
                *self = Self { is_told: true, told_at: Some(now) };
                Some(News::Began)
            }
            (false, true) => {
                self.is_told = false;
                Some(News::Ended)
            }
            _ => None,
        }
    }
}

/// What is wrong with the variables that say which share of traces is sent, if something is: OpenTelemetry then sends
/// all of them, without a word.
pub(super) fn unusable_sampler(sampler: Option<&str>, argument: Option<&str>) -> Option<String> {
    let is_of_share = match sampler {
        None => false,
        Some("traceidratio" | "parentbased_traceidratio") => true,
        Some("always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off") => return None,
        Some(other) => {
            return Some(format!(
                "OTEL_TRACES_SAMPLER is {other:?}, which is not known here: all traces are sent; set it to always_on, always_off \
                 or traceidratio, or one of these with parentbased_ before it"
            ));
        }
    };
    let share =
        argument.map(|argument| argument.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share)));
    match (is_of_share, share) {
        (true, Some(Some(_))) | (false, None) => None,
        (true, _) => Some(format!(
            "OTEL_TRACES_SAMPLER_ARG is {}: all traces are sent; set it to the share that is to be, a number from 0 to 1",
            argument.map_or("not set".to_owned(), |argument| format!("{argument:?}, which is no share"))
        )),
        (false, Some(_)) => Some(
            "OTEL_TRACES_SAMPLER_ARG says nothing without a sampler: all traces are sent; set OTEL_TRACES_SAMPLER to \
             parentbased_traceidratio"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_and_not_of_one_that_comes_and_goes() {
        let began = Instant::now();
        let mut silence = Silence::default();
        let mut learn = |is_silent, seconds| silence.learn(is_silent, began + Duration::from_secs(seconds));
        assert_eq!(learn(false, 0), None);
        assert_eq!(learn(true, 5), Some(News::Began));
        assert_eq!(learn(true, 10), None);
        assert_eq!(learn(true, 10_000), None);
        assert_eq!(learn(false, 10_005), Some(News::Ended));
        assert_eq!(learn(false, 10_010), None);
        assert_eq!(learn(true, 20_000), Some(News::Began));
        assert_eq!(learn(false, 20_005), Some(News::Ended));
        assert_eq!((learn(true, 20_010), learn(false, 20_015)), (None, None), "so soon again");
        assert_eq!(learn(true, 20_600), Some(News::Began));
    }

    #[test]
    fn a_sampler_that_is_none_is_named() {
        for (sampler, argument) in [
            (None, None),
            (Some("always_off"), None),
            (Some("parentbased_always_on"), Some("1")),
            (Some("traceidratio"), Some("0")),
            (Some("parentbased_traceidratio"), Some("0.01")),
        ] {
            assert_eq!(unusable_sampler(sampler, argument), None, "{sampler:?} {argument:?}");
        }
        for (sampler, argument, words) in [
            (Some("always-on"), None, "OTEL_TRACES_SAMPLER is \"always-on\""),
            (Some(""), None, "OTEL_TRACES_SAMPLER is \"\""),
            (Some("xray"), Some("0.1"), "OTEL_TRACES_SAMPLER is \"xray\""),
            (Some("traceidratio"), None, "OTEL_TRACES_SAMPLER_ARG is not set"),
            (Some("traceidratio"), Some("1%"), "OTEL_TRACES_SAMPLER_ARG is \"1%\", which is no share"),
            (Some("parentbased_traceidratio"), Some("2"), "is \"2\", which is no share"),
            (Some("parentbased_traceidratio"), Some("NaN"), "is \"NaN\", which is no share"),
            (None, Some("0.01"), "OTEL_TRACES_SAMPLER_ARG says nothing without a sampler"),
        ] {
            let told = unusable_sampler(sampler, argument).unwrap_or_default();
            assert!(told.contains(words), "{told}");
        }
    }
}
