//! The SDK's default chain, asked anew each time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, Result, future};

use crate::clock;

/// How long keys without an end of their own are used before they are looked for again, in whatever file
/// they are: soon enough after somebody has changed them, and a read of a file costs nothing. The SDK
/// looks ten seconds before credentials end, and keeps those without an end for 15 minutes at least; so
/// they get one.
const LOOK_EVERY: Duration = Duration::from_secs(40);

/// A mark on keys that really have no end.
#[derive(Clone, Debug)]
struct Endless;

/// When credentials end, if they do.
pub(crate) fn end(credentials: &Credentials) -> Option<SystemTime> {
    credentials.expiry().filter(|_| credentials.get_property::<Endless>().is_none())
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
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (found, last.clone()) {
            (Ok(mut found), _) => {
                if found.expiry().is_none() {
                    found.set_property(Endless);
                    *found.expiry_mut() = Some(SystemTime::from(clock::now()) + LOOK_EVERY);
                }
                *last = Some(found.clone());
                Ok(found)
            }
            // A file that is just being written, or an instance that is slow to answer.
            (Err(error), Some(mut last)) => {
                if end(&last).is_none() {
                    *last.expiry_mut() = Some(SystemTime::from(clock::now()) + LOOK_EVERY);
                }
                tracing::debug!(%error, "look for credentials; the last ones are used again");
                Ok(last)
            }
            (Err(error), None) => Err(error),
        }
    }
}

impl ProvideCredentials for Anew {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.look())
    }
}
