//! From configuration to the edges: which clients, with whose credentials, for what.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use aws_config::SdkConfig;
use sqlx::postgres::PgConnectOptions;

use crate::aws::{self, Access};
use crate::bucket::s3;
use crate::catalog::{Catalog, Connection, Servers, Terms};
use crate::config::{self, Config, TargetSessionAttrs};
use crate::inventory::Source;
use crate::queue::sqs;
use crate::setup::Wish;
use crate::setup::aws::{Account, Keys};

/// AWS clients, where equal access shares credentials and their refresh.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: HashMap<Access, SdkConfig>,
}

impl Clients {
    /// The bucket of one `[[bucket]]` section. Asks nobody yet.
    pub(crate) async fn bucket(&mut self, bucket: &config::Bucket) -> s3::Bucket {
        let config = self.sdk_config(&bucket.access).await;
        let client = aws::s3_adaptive(&config, &bucket.name);
        s3::Bucket::paced(&bucket.name, client, bucket.requests_per_second)
    }

    /// Where the inventory reports of one `[[bucket]]` section are, if it says. Asks nobody yet.
    pub(crate) async fn inventory(&mut self, bucket: &config::Bucket) -> Option<Source<s3::Bucket>> {
        let place = bucket.inventory.as_ref()?;
        let config = self.sdk_config(&place.access).await;
        Some(Source {
            bucket: Arc::new(s3::Bucket::new(&place.bucket, aws::s3(&config))),
            name: place.bucket.clone(),
            prefix: place.prefix.clone(),
        })
    }

    /// The queue of one `[[queue]]` section. Asks nobody yet.
    pub(crate) async fn queue(&mut self, queue: &config::Queue) -> sqs::Queue {
        let config = self.sdk_config(&queue.access).await;
        sqs::Queue::new(&queue.url, aws::sqs(&config))
    }

    /// A bucket with what is around it, and its queues, by URL or name, each with how it is reached. Asks nobody
    /// yet.
    pub(crate) async fn account(&mut self, bucket: &config::Bucket, queues: &[(&str, &Access)]) -> Account {
        let of_bucket = self.keys(&bucket.access).await;
        let mut of_queues = Vec::new();
        for (url, access) in queues {
            of_queues.push(((*url).to_owned(), self.keys(access).await));
        }
        Account::new(&bucket.name, &of_bucket, &of_queues)
    }

    async fn keys(&mut self, access: &Access) -> Keys {
        Keys {
            config: self.sdk_config(access).await,
            before: self.sdk_config(&access.without_role()).await,
            access: access.clone(),
        }
    }

    async fn sdk_config(&mut self, access: &Access) -> SdkConfig {
        if let Some(config) = self.known.get(access) {
            return config.clone();
        }
        // It is large, and many futures hold it.
        let config = Box::pin(aws::sdk_config(access)).await;
        self.known.insert(access.clone(), config.clone());
        config
    }
}

/// The catalog behind `[database]`, on a server that takes writes. Connects when first used.
///
/// # Errors
/// When the URL means nothing to Postgres's driver.
pub(crate) fn catalog(config: &Config) -> anyhow::Result<Catalog> {
    let database = &config.database;
    let servers = Servers { options: servers(config)?, must_write: true };
    Ok(Catalog::new(servers, database.max_connections, database.connect_timeout))
}

/// The same for commands that look and change nothing: a standby will do, unless `target_session_attrs` says otherwise.
///
/// # Errors
/// As of [`catalog`].
pub(crate) fn catalog_to_look(config: &Config) -> anyhow::Result<Catalog> {
    let database = &config.database;
    let must_write = database.url.target_session_attrs() != TargetSessionAttrs::Any;
    let servers = Servers { options: servers(config)?, must_write };
    Ok(Catalog::new(servers, database.max_connections, database.connect_timeout))
}

/// The same catalog, for the status page, which only reads. A standby lags, so after a failover the page must not stay with one.
///
/// # Errors
/// As of [`catalog`].
pub(crate) fn catalog_to_read(config: &Config) -> anyhow::Result<Catalog> {
    Ok(Catalog::to_read(Servers { options: servers(config)?, must_write: true }))
}

/// The servers that `database.url` names, in the order in which they are tried.
///
/// # Errors
/// When the driver does not take what the configuration's check let pass.
fn servers(config: &Config) -> anyhow::Result<Vec<PgConnectOptions>> {
    let parsed = config.database.url.expose().map(|url| PgConnectOptions::from_str(&url));
    // The driver's own error may quote the URL, and with it the password.
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| anyhow::anyhow!("failed to read database.url: the driver does not take it"))
}

/// The queues that S3 may send a bucket's events to: those in its region, or where that is not known.
pub(crate) fn queues_of<'a>(config: &'a Config, bucket: &config::Bucket) -> Vec<&'a config::Queue> {
    let region = bucket.access.region.as_ref();
    let own = |queue: &&config::Queue| {
        let other = queue.access.region.as_ref();
        region.is_none() || other.is_none() || region == other
    };
    let near: Vec<_> = config.queues.iter().filter(own).collect();
    // SNS and EventBridge lead into other regions, too.
    if near.is_empty() { config.queues.iter().collect() } else { near }
}

/// The same, each with how it is reached.
pub(crate) fn accesses<'a>(queues: &[&'a config::Queue]) -> Vec<(&'a str, &'a Access)> {
    queues.iter().map(|queue| (queue.url.as_str(), &queue.access)).collect()
}

/// What the configuration wants of a bucket's set-up.
pub(crate) fn wish(bucket: &config::Bucket, queues: &[&config::Queue]) -> Wish {
    Wish {
        name: bucket.name.clone(),
        prefix: bucket.prefix.clone(),
        region: bucket.required_region.clone(),
        queues: queues.iter().map(|queue| queue.url.clone()).collect(),
        role: bucket.access.role_arn.clone(),
        enrich: bucket.enrich,
    }
}

/// What the catalog has to know of one `[[bucket]]` section.
pub(crate) fn connection(config: &Config, bucket: &config::Bucket) -> Arc<Connection> {
    Arc::new(Connection {
        bucket: bucket.name.clone(),
        prefix: bucket.prefix.clone(),
        ignore: bucket.ignore.clone(),
        partitions: bucket.partitions,
        terms: Terms {
            margin: config.merge.margin,
            trust_sequencers: bucket.trust_sequencers,
            has_raw_keys: bucket.has_raw_keys,
            recheck_delay: config.recheck.delay,
            is_enriched: bucket.enrich.is_on(),
            is_journaled: !config.journal.keep.is_zero(),
        },
    })
}
