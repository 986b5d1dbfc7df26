//! AWS, looked at through the SDK.

use std::error::Error;
use std::fmt;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::estate::{
    BridgeRule, BucketLook, Estate, Identity, Key, Looked, Prober, QueueLook, Sample, Side, Topic,
};
use crate::aws::{self, Call, Watch};
use crate::queue::sqs::url_beside;

mod bucket;
mod build;
mod hops;
mod queue;

/// As many messages as one receive brings.
const MESSAGES_MAX: i32 = 10;

/// A bucket with all that is around it, asked with the credentials of its own section and with those
/// of the section of its queues.
pub(crate) struct Account {
    bucket: String,
    of_bucket: Clients,
    of_queue: Clients,
}

/// What asks, with the same credentials.
struct Clients {
    config: SdkConfig,
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
    fn new(config: &SdkConfig) -> Self {
        Self {
            config: config.clone(),
            s3: aws::s3(config),
            sqs: aws::sqs(config),
            sns: aws_sdk_sns::Client::new(config),
            events: aws_sdk_eventbridge::Client::new(config),
            kms: aws_sdk_kms::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
        }
    }
}

impl Account {
    /// The bucket called `bucket`. Asks nobody yet.
    pub(crate) fn new(bucket: &str, of_bucket: &SdkConfig, of_queue: &SdkConfig) -> Self {
        Self {
            bucket: bucket.to_owned(),
            of_bucket: Clients::new(of_bucket),
            of_queue: Clients::new(of_queue),
        }
    }

    fn clients(&self, side: Side) -> &Clients {
        match side {
            Side::Bucket => &self.of_bucket,
            Side::Queue => &self.of_queue,
        }
    }
}

impl Estate for Account {
    async fn identity(&self, side: Side) -> Looked<Identity> {
        let clients = self.clients(side);
        let call = call("ask who we are".to_owned(), "sts:GetCallerIdentity", "*");
        let watch = Watch::default();
        let request = clients.sts.get_caller_identity().customize().interceptor(watch.clone());
        let output = told(&call, request.send().await, &watch)?;
        let credentials = match clients.config.credentials_provider() {
            // Whatever is wrong with them, the call above would have told.
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        Ok(Identity {
            arn: output.arn.unwrap_or_default(),
            account: output.account.unwrap_or_default(),
            expires: credentials.and_then(|credentials| aws::end(&credentials)).map(Into::into),
        })
    }

    async fn bucket(&self, prefix: &str) -> BucketLook {
        bucket::look(&self.of_bucket, &self.bucket, prefix).await
    }

    async fn is_owned_by(&self, account: &str) -> Looked<bool> {
        bucket::is_owned_by(&self.of_bucket, &self.bucket, account).await
    }

    async fn queue(&self, url: &str) -> Looked<QueueLook> {
        queue::look(&self.of_queue, url).await
    }

    async fn queue_beside(&self, url: &str, arn: &str) -> Looked<QueueLook> {
        queue::look(&self.of_queue, &url_beside(url, arn)).await
    }

    async fn sample(&self, url: &str) -> Looked<Option<Sample>> {
        queue::sample(&self.of_queue, url).await
    }

    async fn may_delete(&self, url: &str) -> Looked<()> {
        queue::may_delete(&self.of_queue, url).await
    }

    async fn topic(&self, arn: &str) -> Looked<Topic> {
        // A topic may be of the account of the bucket or of that of the queue.
        match hops::topic(&self.of_bucket, arn).await {
            Ok(topic) => Ok(topic),
            Err(fault) => hops::topic(&self.of_queue, arn).await.map_err(|_| fault),
        }
    }

    async fn bridge(&self, queue: &str) -> Looked<Vec<BridgeRule>> {
        hops::bridge(&self.of_bucket, queue).await
    }

    async fn key(&self, side: Side, id: &str) -> Looked<Key> {
        hops::key(self.clients(side), id).await
    }
}

impl Prober for Account {
    async fn peek(&self, url: &str) -> Looked<Vec<Sample>> {
        queue::peek(&self.of_queue, url, MESSAGES_MAX).await
    }

    async fn write(&self, key: &str) -> Looked<Option<String>> {
        bucket::write(&self.of_bucket, &self.bucket, key).await
    }

    async fn remove(&self, key: &str, version: Option<&str>) -> Looked<()> {
        bucket::remove(&self.of_bucket, &self.bucket, key, version).await
    }
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
