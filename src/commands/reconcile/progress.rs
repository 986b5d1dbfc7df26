//! How far a run has come, told while it goes on: a bar on a terminal, else a line in the log now and then.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::catalog::{Catalog, Connection, Counts, Standing};
use crate::reconcile::Rehearsal;
use crate::screen::BARS;
use crate::words::{counted, grouped, lasting, printable};

/// How often a bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
const WITH_TOTAL: &str = "{prefix} {bar:20} {msg}";
const WITHOUT_TOTAL: &str = "{prefix} {spinner} {msg}";

/// What is watched.
pub(super) enum Watched {
    /// The run over what is below the prefix, whoever is at work on it.
    Run,
    /// A rehearsal in this process.
    Rehearsal(Arc<Rehearsal>),
    /// The doubts that are left when a run is complete.
    Doubts,
}

/// Whoever tells how far one connection has come.
pub(super) struct Progress<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) connection: &'a Connection,
    pub(super) prefix: &'a str,
}

impl Progress<'_> {
    /// Does `work`, and tells meanwhile how far `watched` has come.
    pub(super) async fn beside<T>(&self, watched: Watched, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.tell(watched) => never,
        }
    }

    async fn tell<T>(&self, watched: Watched) -> T {
        let bar = std::io::stderr().is_terminal().then(|| Bar::new(&self.place()));
        let every = if bar.is_some() { DRAW_EVERY } else { LINE_EVERY };
        let mut pace: Option<Pace> = None;
        loop {
            tokio::time::sleep(every).await;
            // Who watches is no trouble: if Postgres is away, the run itself will say so.
            let Ok(Some(seen)) = self.look(&watched).await else { continue };
            if let (Seen::Doubts(left), Some(bar)) = (&seen, &bar) {
                bar.draw(
                    None,
                    0,
                    &format!("all is listed, {} in doubt are asked about", counted(*left, "key")),
                );
                continue;
            }
            let standing = match seen {
                Seen::Standing(standing) => standing,
                Seen::Doubts(left) => {
                    tracing::info!(
                        "{}: all is listed, {} in doubt are asked about",
                        self.place(),
                        counted(left, "key")
                    );
                    continue;
                }
            };
            let pace = match &mut pace {
                Some(pace) => pace,
                none => {
                    let total = self.catalog.expected_versions(self.connection, self.prefix).await;
                    none.insert(Pace {
                        total: total.unwrap_or_default(),
                        from: standing.counts,
                        since: Instant::now(),
                    })
                }
            };
            let line = pace.line(&standing);
            match &bar {
                Some(bar) => bar.draw(pace.total, standing.counts.versions, &line.to_string()),
                None => tracing::info!("{}: {line}", self.place()),
            }
        }
    }

    async fn look(&self, watched: &Watched) -> Result<Option<Seen>, sqlx::Error> {
        Ok(match watched {
            Watched::Run => self.catalog.standing(self.connection, self.prefix).await?.map(Seen::Standing),
            Watched::Doubts => {
                let left = self.catalog.count_rechecks(self.connection, usize::MAX >> 1).await?;
                (left > 0).then_some(Seen::Doubts(left))
            }
            Watched::Rehearsal(rehearsal) => {
                let found = rehearsal.found();
                let drift = found.drift.values().sum();
                let (counts, withheld) = (found.counts, found.removals);
                Some(Seen::Standing(Standing { counts, drift, withheld, ..Standing::default() }))
            }
        })
    }

    fn place(&self) -> String {
        let Self { connection, prefix, .. } = self;
        let slash = if prefix.is_empty() { "" } else { "/" };
        printable(&format!("{}{slash}{prefix}", connection.bucket))
    }
}

enum Seen {
    Standing(Standing),
    Doubts(usize),
}

/// A bar, which goes with whoever draws it.
struct Bar(ProgressBar);

impl Bar {
    fn new(place: &str) -> Self {
        Self(BARS.add(ProgressBar::no_length().with_prefix(place.to_owned())))
    }

    fn draw(&self, total: Option<i64>, done: i64, message: &str) {
        let total = total.and_then(|total| u64::try_from(total).ok()).filter(|total| *total > 0);
        let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.0.set_style(style.progress_chars("=> "));
        self.0.set_message(message.to_owned());
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(u64::try_from(done).unwrap_or_default());
        self.0.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        BARS.remove(&self.0);
    }
}

/// How fast it went since somebody watched. A run that is gone on with had a start before that.
struct Pace {
    /// How many versions there will be, about; none if nobody knows.
    total: Option<i64>,
    from: Counts,
    since: Instant,
}

impl Pace {
    fn line(&self, standing: &Standing) -> Line {
        let seconds = self.since.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let a_second = |now: i64, before: i64| (now - before) as f64 / seconds;
        let keys_a_second = a_second(standing.counts.keys, self.from.keys);
        let versions_a_second = a_second(standing.counts.versions, self.from.versions);
        // What is not in the listing will not be listed.
        let passed = standing.counts.versions + standing.withheld;
        let left = self.total.map(|total| total - passed).filter(|left| *left > 0);
        let seconds_left =
            left.filter(|_| versions_a_second > 0.0).map(|left| left as f64 / versions_a_second);
        Line { standing: *standing, total: self.total, keys_a_second, seconds_left }
    }
}

/// How far it has come, in words.
struct Line {
    standing: Standing,
    total: Option<i64>,
    keys_a_second: f64,
    seconds_left: Option<f64>,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { standing, total, keys_a_second, seconds_left } = self;
        let Standing { counts, drift, withheld, ranges, ranges_done } = standing;
        write!(formatter, "{}", grouped(counts.versions))?;
        match total {
            None => write!(
                formatter,
                " versions, how many there are is not known before the first listing is complete"
            )?,
            Some(total) if *total < counts.versions => {
                write!(formatter, " versions, more than the {} that the catalog has", grouped(*total))?;
            }
            Some(total) => write!(formatter, " of about {} versions", grouped(*total))?,
        }
        write!(formatter, ", {} keys/s", grouped(*keys_a_second as i64))?;
        if let Some(seconds) = seconds_left.and_then(|left| Duration::try_from_secs_f64(left).ok()) {
            // Nobody wants to know more than that of an estimate.
            let seconds =
                if seconds.as_secs() > 600 { seconds.as_secs() / 60 * 60 } else { seconds.as_secs() };
            write!(formatter, ", about {} left", lasting(Duration::from_secs(seconds.max(1))))?;
        }
        write!(formatter, ", drift {}", grouped(*drift))?;
        if *withheld > 0 {
            write!(formatter, ", {} not in the listing", grouped(*withheld))?;
        }
        if *ranges > 0 {
            write!(formatter, ", {ranges_done} of {ranges} parts done")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn line(total: Option<i64>, standing: Standing) -> String {
        let pace = Pace { total, from: Counts { keys: 1_000, versions: 2_000 }, since: Instant::now() };
        tokio::time::advance(Duration::from_secs(10)).await;
        pace.line(&standing).to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_promises_no_more_than_is_known() {
        let standing = Standing {
            counts: Counts { keys: 124_456, versions: 202_000 },
            drift: 1_234,
            withheld: 0,
            ranges: 64,
            ranges_done: 3,
        };
        assert_eq!(
            line(Some(1_000_000), standing).await,
            "202,000 of about 1,000,000 versions, 12,345 keys/s, about 39s left, drift 1,234, 3 of 64 parts done"
        );
        assert_eq!(
            line(None, standing).await,
            "202,000 versions, how many there are is not known before the first listing is complete, \
             12,345 keys/s, drift 1,234, 3 of 64 parts done"
        );
        assert_eq!(
            line(Some(100), Standing { withheld: 7, ranges: 0, ..standing }).await,
            "202,000 versions, more than the 100 that the catalog has, 12,345 keys/s, drift 1,234, 7 not in the listing"
        );
        let gone = line(Some(1_000_000), Standing { withheld: 798_000, ..standing }).await;
        assert!(gone.contains("12,345 keys/s, drift 1,234, 798,000 not in the listing"), "{gone}");
        let hours = line(Some(200_000_000), standing).await;
        assert!(hours.contains("about 2h 46m left"), "{hours}");
        let stalled = Standing { counts: Counts { keys: 1_000, versions: 2_000 }, ..standing };
        assert!(line(Some(1_000_000), stalled).await.contains("versions, 0 keys/s, drift"));
    }
}
