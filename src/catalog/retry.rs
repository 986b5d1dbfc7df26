//! Which errors of Postgres pass, and trying again after a race.

use std::io;
use std::time::Duration;

use sqlx::Error;

/// How often a transaction that lost a race is tried again before its caller hears of it.
const RACES_MAX: u32 = 10;
/// The longest pause before the second attempt; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a transaction may take. One that takes longer has lost its Postgres, or waits for
/// somebody who has; it is taken back.
const TRANSACTION_MAX: Duration = Duration::from_secs(60);

/// What an error of Postgres means for whoever met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another transaction was there first. With fresh rows it goes through.
    Race,
    /// Somebody else keeps a lock, and for long.
    Locked,
    /// Postgres is away, full, read-only or shutting down, or lets us in no more. It will be back.
    Away,
    /// Postgres will never take this: a NUL in a text, a value out of range.
    Unfit,
    /// The schema or a permission is not what this program expects.
    Other,
}

impl Trouble {
    /// Whether the same will go through later, without anybody's looking at this program.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Race | Self::Locked | Self::Away)
    }
}

/// Tells what an error means, by its SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub fn trouble(error: &Error) -> Trouble {
    let Error::Database(database) = error else {
        return match error {
            Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
                Trouble::Away
            }
            // A proxy in Postgres's place that takes connections and has nowhere to pass them on to.
            Error::Protocol(_) => Trouble::Away,
            Error::Encode(_) => Trouble::Unfit,
            _ => Trouble::Other,
        };
    };
    match database.code().as_deref() {
        Some("23505" | "40001" | "40P01") => Trouble::Race,
        Some("55P03") => Trouble::Locked,
        // Read-only (a standby), and a database that is starting, stopping, or full.
        Some("25006") => Trouble::Away,
        Some(code) if ["08", "28", "3D", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            Trouble::Away
        }
        Some(code) if code.starts_with("22") || code.starts_with("54") => Trouble::Unfit,
        _ => Trouble::Other,
    }
}

/// Runs a whole transaction, again as long as it loses races.
pub(super) async fn retry<T, F>(name: &'static str, transaction: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut pause = PAUSE_FIRST;
    let mut races = 0;
    loop {
        match within_time(Box::pin(transaction())).await {
            Err(error) if races < RACES_MAX && trouble(&error) == Trouble::Race => {
                tracing::debug!(transaction = name, %error, "lost a race, trying again");
                crate::metrics::commit_retries().increment(1);
            }
            result => return result,
        }
        races += 1;
        tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn within_time<T>(transaction: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| {
        Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TRANSACTION_MAX:?}")))
    };
    tokio::time::timeout(TRANSACTION_MAX, transaction).await.map_err(late)?
}
