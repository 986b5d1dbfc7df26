//! AWS, looked at through the SDK.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::estate::{
    BridgeRule, BucketLook, Estate, Identity, Key, Looked, Prober, QueueLook, Sample, Side, TakenOn, Topic,
};
use crate::aws::{self, Access, Call, Watch};
use crate::bucket::details::Enrich;
use crate::bucket::{Bucket as _, s3};
use crate::fault::Kind;
use crate::queue::sqs::url_beside;

mod bucket;
mod build;
mod hops;
mod neighbours;
mod queue;

/// How often a question is asked whose answer somebody waits for, the first time included.
const ATTEMPTS_MAX: u32 = 3;
/// A session in a role lasts no longer where one role leads to the next
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const CHAINED_MAX: Duration = Duration::from_secs(3_600);
/// As many messages as one receive brings.
const MESSAGES_MAX: i32 = 10;

/// A bucket with all that is around it, asked with the credentials of its own section and with those
/// of the section of its queues.
pub(crate) struct Account {
    bucket: String,
    of_bucket: Clients,
    /// By the URLs of the queues, or their names where they have none yet.
    of_queues: Vec<(String, Clients)>,
}

/// With whose credentials something is asked.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// As `access` says.
    pub(crate) config: SdkConfig,
    /// The same before a role is taken on.
    pub(crate) before: SdkConfig,
    /// Where it comes from.
    pub(crate) access: Access,
}

/// What asks, with the same credentials.
struct Clients {
    keys: Keys,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    events: aws_sdk_eventbridge::Client,
    kms: aws_sdk_kms::Client,
    sts: aws_sdk_sts::Client,
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Account").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Clients {
    fn new(keys: &Keys) -> Self {
        let config = &impatient(&keys.config);
        Self {
            s3: aws::s3(config),
            sqs: aws::sqs(config),
            sns: aws_sdk_sns::Client::new(config),
            events: aws_sdk_eventbridge::Client::new(config),
            kms: aws_sdk_kms::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            keys: keys.clone(),
        }
    }
}

fn impatient(config: &SdkConfig) -> SdkConfig {
    let retries = config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
    config.clone().into_builder().retry_config(retries.with_max_attempts(ATTEMPTS_MAX)).build()
}

impl Account {
    /// The bucket called `bucket`. Asks nobody yet.
    pub(crate) fn new(bucket: &str, of_bucket: &Keys, of_queues: &[(String, Keys)]) -> Self {
        let of_queues = of_queues.iter().map(|(url, keys)| (url.clone(), Clients::new(keys)));
        Self { bucket: bucket.to_owned(), of_bucket: Clients::new(of_bucket), of_queues: of_queues.collect() }
    }

    fn clients(&self, side: Side<'_>) -> &Clients {
        match side {
            Side::Bucket => &self.of_bucket,
            Side::Queue(url) => self.of_queue(url),
        }
    }

    /// Those of the queue with this URL. One that was just made is the only one.
    fn of_queue(&self, url: &str) -> &Clients {
        let own = self.of_queues.iter().find(|(known, _)| known == url).or(self.of_queues.first());
        own.map_or(&self.of_bucket, |(_, clients)| clients)
    }
}

impl Estate for Account {
    async fn identity(&self, side: Side<'_>) -> Looked<Identity> {
        let Clients { sts, keys, .. } = self.clients(side);
        let (arn, account) = who(sts).await?;
        let credentials = match keys.config.credentials_provider() {
            // Whatever is wrong with them, the call above would have told.
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        let expires = credentials.and_then(|credentials| aws::end(&credentials)).map(Into::into);
        Ok(Identity { arn, account, expires })
    }

    async fn taken_on(&self, side: Side<'_>) -> Looked<Option<TakenOn>> {
        let Keys { before, access, .. } = &self.clients(side).keys;
        let lasts = access.session_duration.filter(|lasts| *lasts > CHAINED_MAX);
        let (Some(role), Some(lasts)) = (access.role_arn.clone(), lasts) else { return Ok(None) };
        let (by, _) = who(&aws_sdk_sts::Client::new(&impatient(before))).await?;
        Ok(Some(TakenOn { role, by, lasts }))
    }

    async fn region(&self) -> Looked<String> {
        s3::Bucket::new(&self.bucket, self.of_bucket.s3.clone()).region().await
    }

    async fn bucket(&self, prefix: &str, enrich: Enrich) -> BucketLook {
        bucket::look(&self.of_bucket, &self.bucket, prefix, enrich).await
    }

    async fn is_owned_by(&self, account: &str) -> Looked<bool> {
        bucket::is_owned_by(&self.of_bucket, &self.bucket, account).await
    }

    async fn queue(&self, url: &str) -> Looked<QueueLook> {
        queue::look(self.of_queue(url), url).await
    }

    async fn queue_beside(&self, url: &str, arn: &str) -> Looked<QueueLook> {
        queue::look(self.of_queue(url), &url_beside(url, arn)).await
    }

    async fn sample(&self, url: &str) -> Looked<Option<Sample>> {
        queue::sample(self.of_queue(url), url).await
    }

    async fn may_delete(&self, url: &str) -> Looked<()> {
        queue::may_delete(self.of_queue(url), url).await
    }

    async fn may_give_back(&self, url: &str) -> Looked<()> {
        queue::may_give_back(self.of_queue(url), url).await
    }

    async fn topic(&self, arn: &str) -> Looked<Topic> {
        // A topic may be of the account of the bucket or of that of the queue.
        match hops::topic(&self.of_bucket, arn).await {
            Err(fault) if fault.kind == Kind::Denied => {
                hops::topic(self.of_queue(""), arn).await.map_err(|_| fault)
            }
            topic => topic,
        }
    }

    async fn bridge(&self, queue: &str) -> Looked<Vec<BridgeRule>> {
        hops::bridge(&self.of_bucket, queue).await
    }

    async fn key(&self, side: Side<'_>, id: &str) -> Looked<Key> {
        hops::key(self.clients(side), id).await
    }
}

impl Prober for Account {
    async fn peek(&self, url: &str) -> Looked<Vec<Sample>> {
        queue::peek(self.of_queue(url), url, MESSAGES_MAX).await
    }

    async fn write(&self, key: &str) -> Looked<Option<String>> {
        bucket::write(&self.of_bucket, &self.bucket, key).await
    }

    async fn remove(&self, key: &str, version: Option<&str>) -> Looked<()> {
        bucket::remove(&self.of_bucket, &self.bucket, key, version).await
    }
}

/// Who asks, by ARN and account.
async fn who(sts: &aws_sdk_sts::Client) -> Looked<(String, String)> {
    let call = call("ask who we are".to_owned(), "sts:GetCallerIdentity", "*");
    let watch = Watch::default();
    let request = sts.get_caller_identity().customize().interceptor(watch.clone());
    let output = told(&call, request.send().await, &watch)?;
    Ok((output.arn.unwrap_or_default(), output.account.unwrap_or_default()))
}

fn call(action: String, permission: &'static str, resource: &str) -> Call {
    Call { action, permission, resource: resource.to_owned() }
}

fn told<T, E>(call: &Call, answer: Result<T, SdkError<E, HttpResponse>>, watch: &Watch) -> Looked<T>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    answer.map_err(|error| call.fault(error, watch))
}
