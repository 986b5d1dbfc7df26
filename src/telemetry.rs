//! The log: to standard error, for people or as JSON, with RFC 3339 timestamps in UTC.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{Log, LogFormat};
use crate::screen::Screen;

/// Directives before those of the configuration.
const QUIET: &str = "aws_config=warn,aws_config::sts=error";

/// Starts the log of this process; to be called once, before anything is worth logging.
pub fn start(log: &Log) -> anyhow::Result<()> {
    // https://no-color.org: any value but an empty one.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = io::stderr().is_terminal() && !plain;
    tracing::subscriber::set_global_default(subscriber(log, colours, || Screen)?).context("start the log")
}

fn subscriber<W>(log: &Log, colours: bool, writer: W) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The SDK tells each time that it found keys, and of roles what we tell, too, in the form of its code.
    let filter = format!("{QUIET},{}", log.filter);
    let filter = EnvFilter::builder().parse(filter).context("read log.filter")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let no_secrets = filter_fn(|metadata| !tells_secrets(metadata));
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish().with(no_secrets)),
        // Fields stand beside the message, not in an object of their own, which is where
        // collectors look for them.
        LogFormat::Json => {
            Box::new(builder.json().flatten_event(true).with_span_list(false).finish().with(no_secrets))
        }
    })
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
