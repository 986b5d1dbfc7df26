//! What a service manager is told, if there is one: systemd's protocol
//! (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>).

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::pulse::{self, Pulses, Sign};

/// The daemon serves.
pub(crate) fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// It ends.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the daemon lives, as often as is asked for, for as long as all loops turn. One that hangs is
/// named, and then nothing is said any more: the service manager ends the process and starts it anew.
pub(crate) async fn watchdog(pulses: Pulses, stop: CancellationToken) {
    // Twice as often as must be: so the manual.
    let Some(every) = sd_notify::watchdog_enabled().map(|limit| limit / 2) else {
        return pulse::rest(stop.cancelled()).await;
    };
    let mut is_told = false;
    loop {
        pulse::beat();
        let stuck = pulses.stuck();
        if stuck.is_empty() {
            tell(&[NotifyState::Watchdog]);
        } else if !is_told {
            let loops: Vec<&str> = stuck.iter().map(|Sign { name, .. }| &**name).collect();
            tracing::error!(
                loops = loops.join(", "),
                "the watchdog is not told that all is well: loops hang"
            );
        }
        is_told = !stuck.is_empty();
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "tell the service manager");
    }
}
