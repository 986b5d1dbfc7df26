//! The SDK's default chain, asked anew each time.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};

use crate::{clock, metrics};

/// How long keys without an end of their own are used before they are looked for again, in whatever file
/// they are: soon enough after somebody has changed them, and a read of a file costs nothing. The SDK
/// looks ten seconds before credentials end, and keeps those without an end for 15 minutes at least; so
/// they get one.
const LOOK_EVERY: Duration = Duration::from_secs(40);

/// How long before their end others are looked for, and from then on every [`LOOK_EVERY`]: whoever cannot
/// renew them has so long to be told of it. Services renew what they hand out earlier than that.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// When credentials really end: what the SDK is told is only when to look again.
#[derive(Clone, Debug)]
struct End(Option<SystemTime>);

/// When credentials end, if they do.
pub(crate) fn end(credentials: &Credentials) -> Option<SystemTime> {
    credentials.get_property::<End>().map_or(credentials.expiry(), |End(end)| *end)
}

/// Credentials that the SDK looks for anew in time.
fn to_be_renewed(mut credentials: Credentials, now: SystemTime) -> Credentials {
    let end = end(&credentials);
    credentials.set_property(End(end));
    let look = now + LOOK_EVERY;
    *credentials.expiry_mut() = Some(end.map_or(look, |end| end.min(look.max(end - RENEW_BEFORE))));
    credentials
}

/// Credentials as they are now. The SDK's own chain reads a profile's file once, and would go on with keys
/// that were taken out of service since.
#[derive(Debug, Default)]
pub(super) struct Anew {
    region: Option<Region>,
    last: Mutex<Option<Credentials>>,
}

impl Anew {
    pub(super) fn new(region: Option<Region>) -> Self {
        Self { region, ..Self::default() }
    }

    async fn look(&self) -> Result {
        let mut chain = DefaultCredentialsChain::builder();
        if let Some(region) = &self.region {
            chain = chain.region(region.clone());
        }
        let found = chain.build().await.provide_credentials().await;
        let now = SystemTime::from(clock::now());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match (found, &*last) {
            (Ok(found), _) => found,
            // A file that is just being written, or an instance that is slow to answer.
            (Err(error), Some(last)) if end(last).is_none_or(|end| end > now) => {
                tracing::debug!(%error, "look for credentials; the last ones are used again");
                last.clone()
            }
            (Err(error), _) => return Err(with_token_file(error)),
        };
        let since_1970 = end(&found).and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        metrics::credentials_end().set(since_1970.unwrap_or_default().as_secs_f64());
        let found = to_be_renewed(found, now);
        *last = Some(found.clone());
        Ok(found)
    }
}

/// The error with the file of a web identity token that cannot be read, which the SDK does not name.
fn with_token_file(error: CredentialsError) -> CredentialsError {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    if !causes.any(|cause| cause.is::<io::Error>()) {
        return error;
    }
    let unreadable = |file: PathBuf| fs::File::open(&file).err().map(|error| (file, error));
    match token_files().into_iter().find_map(unreadable) {
        Some((file, error)) => CredentialsError::provider_error(format!(
            "failed to read the web identity token file {}: {error}",
            file.display()
        )),
        None => error,
    }
}

/// The files of web identity tokens that the environment and the profiles name.
fn token_files() -> Vec<PathBuf> {
    const KEY: &str = "web_identity_token_file";
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let of_home = |file: &str| named("HOME").map(|home| home.join(file));
    let profiles = [
        named("AWS_CONFIG_FILE").or_else(|| of_home(".aws/config")),
        named("AWS_SHARED_CREDENTIALS_FILE").or_else(|| of_home(".aws/credentials")),
    ];
    let mut files = Vec::from_iter(named("AWS_WEB_IDENTITY_TOKEN_FILE"));
    for text in profiles.into_iter().flatten().filter_map(|file| fs::read_to_string(file).ok()) {
        let of_line = |line: &str| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == KEY).then(|| PathBuf::from(value.trim()))
        };
        files.extend(text.lines().filter_map(of_line));
    }
    files
}

impl ProvideCredentials for Anew {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_looked_for_before_they_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |seconds: u64| Some(now + Duration::from_secs(seconds));
        for (ends, looked_for) in [
            (None, after(40)),
            (after(3_600), after(3_300)),
            (after(320), after(40)),
            (after(100), after(40)),
            (after(20), after(20)),
        ] {
            let credentials = Credentials::new("AKIA", "secret", None, ends, "test");
            let told = to_be_renewed(to_be_renewed(credentials, now), now);
            assert_eq!((told.expiry(), end(&told)), (looked_for, ends));
        }
    }
}
