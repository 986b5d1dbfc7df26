//! The log: to standard error, for people or as JSON, with RFC 3339 timestamps in UTC. And traces, where a collector
//! is named that takes them.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat, Trace};
use crate::screen::Screen;

mod traces;

/// Directives before those of the configuration.
const QUIET: &str = "aws_config=warn,aws_config::sts=error";

/// Where spans go, once [`start`] was told of a collector.
static SPANS: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Starts the log of this process, and its traces; to be called once, before anything is worth logging, within
/// a runtime.
///
/// # Errors
/// When a filter makes no sense, or the address of the collector.
pub fn start(log: &Log, trace: &Trace) -> anyhow::Result<()> {
    // https://no-color.org: any value but an empty one.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = io::stderr().is_terminal() && !plain;
    let spans = trace.endpoint.as_deref().map(traces::provider).transpose()?;
    let tracer = spans.map(|spans| SPANS.get_or_init(|| spans).tracer("stocktake"));
    let traces = tracer.map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // How long each took is told; where it stands in the code, and on which thread, is of no use to an operator.
        layer
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_traced))
    });
    let subscriber = subscriber(log, colours, || Screen)?.with(traces);
    tracing::subscriber::set_global_default(subscriber).context("start the log")?;
    if trace.endpoint.is_some() {
        let variable = |name| std::env::var(name).ok();
        let (sampler, argument) = (variable("OTEL_TRACES_SAMPLER"), variable("OTEL_TRACES_SAMPLER_ARG"));
        if let Some(warning) = traces::unusable_sampler(sampler.as_deref(), argument.as_deref()) {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// Sends the last spans. To be called when the process ends.
pub fn end() {
    if let Some(spans) = SPANS.get()
        && let Err(error) = spans.shutdown_with_timeout(traces::EXPORT_PATIENCE)
    {
        tracing::debug!(%error, "send the last spans");
    }
}

/// Our own spans, with what is wrong in them, and those of the requests to S3. Requests to a queue are nearly all
/// waiting.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let is_ours = metadata.target().starts_with(env!("CARGO_PKG_NAME"));
    let is_request = metadata.target().starts_with("aws_sdk_s3::");
    if metadata.is_span() { is_ours || is_request } else { is_ours && *metadata.level() <= Level::WARN }
}

fn subscriber<W>(
    log: &Log,
    colours: bool,
    writer: W,
) -> anyhow::Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The SDK tells each time that it found keys, and of roles what we tell, too, in the form of its code.
    let filter = format!("{QUIET},{}", log.filter);
    let filter = EnvFilter::builder().parse(filter).context("read log.filter")?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(colours).boxed(),
        // Fields stand beside the message, not in an object of their own, which is where
        // collectors look for them.
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A line tells by itself what it is about: spans are for traces.
    let is_told = filter_fn(|metadata| metadata.is_event() && !tells_secrets(metadata));
    let layer = layer.with_filter(filter).with_filter(is_told);
    Ok(tracing_subscriber::registry().with(layer))
}

/// What is not logged whatever `log.filter` says: at its finest the SDK tells all of each answer, and answers may repeat a
/// session's token.
fn tells_secrets(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && metadata.target().starts_with("aws_")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a line of the log looks like in this format.
    fn line(format: LogFormat) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = Log { format, filter: "info,stocktake=warn".into() };
        let subscriber = subscriber(&log, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("too fine");
            tracing::warn!(bucket = "genomics", keys = 3, "a run stopped");
        });
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn people_read_text() {
        let line = line(LogFormat::Text);
        let (at, rest) = line.split_once(' ').unwrap();
        assert!(at.ends_with('Z') && OffsetDateTime::parse(at, &Rfc3339).is_ok(), "{at}");
        assert_eq!(
            rest.trim_start(),
            "WARN stocktake::telemetry::tests: a run stopped bucket=\"genomics\" keys=3\n"
        );
    }

    #[test]
    fn machines_read_json() {
        let line: Value = serde_json::from_str(&line(LogFormat::Json)).unwrap();
        let at = line["timestamp"].as_str().unwrap();
        assert!(at.ends_with('Z') && OffsetDateTime::parse(at, &Rfc3339).is_ok(), "{at}");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "a run stopped");
        assert_eq!(line["bucket"], "genomics");
        assert_eq!(line["keys"], 3);
    }
}
