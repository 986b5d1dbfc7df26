//! What every call to AWS shares: who we are there, how long we wait, and what a failure means.

use std::time::Duration;

use aws_config::retry::{RetryConfig, RetryMode};
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::retry::RetryPartition;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider};

mod codes;
mod credentials;
mod fault;
mod partition;
mod remedy;
#[cfg(test)]
pub(crate) mod scripted;
mod watch;
pub(crate) mod xml;

pub use codes::CODES;
pub(crate) use credentials::end;
pub(crate) use fault::Call;
pub(crate) use partition::{bucket_arn, domain, partition};
pub(crate) use remedy::BROKEN_OFF;
pub(crate) use watch::Watch;

/// How often the SDK tries a call before it gives the fault to us, the first time included.
pub const ATTEMPTS_MAX: u32 = 5;

/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the first byte of an answer may take: more than the longest wait for messages,
/// [`crate::queue::WAIT_MAX`].
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one attempt may take, with its whole body.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a call may take, with all its attempts.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(150);

/// What our sessions are called in the logs of the account whose role we take on, unless somebody
/// has another name for them.
const SESSION_NAME: &str = "stocktake";

/// How a bucket or a queue is reached. Equal ones can share one [`SdkConfig`], and with it the
/// cache of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The region; where there is none, the SDK asks the environment, the profile, the instance.
    pub region: Option<String>,
    /// The URL of an S3-compatible store; S3, SQS and STS are all asked there.
    pub endpoint_url: Option<String>,
    /// A role to take on.
    pub role_arn: Option<String>,
    /// What that role's owner wants to hear. AWS does not count it a secret
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html>).
    pub external_id: Option<String>,
    /// What a session in that role is called, `stocktake` where unset: it is part of our ARN, and may be
    /// what the role's owner tells us from others by.
    pub session_name: Option<String>,
    /// How long a session in that role lasts, in whole seconds; an hour where unset.
    pub session_duration: Option<Duration>,
}

impl Access {
    /// The same before any role is taken on.
    pub(crate) fn without_role(&self) -> Self {
        let Self { region, endpoint_url, .. } = self.clone();
        Self { region, endpoint_url, ..Self::default() }
    }
}

/// Reads the environment for what `access` leaves open. Asks nobody for credentials yet: that
/// happens, and fails, in the first call.
pub async fn sdk_config(access: &Access) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let region = access.region.clone().map(Region::new);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .credentials_provider(credentials::Anew::new(region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(region);
    }
    if let Some(url) = &access.endpoint_url {
        // Compatible stores know few of the checksums that the SDK would send unasked.
        loader = loader
            .endpoint_url(url)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    with_role(loader.load().await, access).await
}

/// Takes on the role, if there is one, with the credentials that `base` has.
async fn with_role(base: SdkConfig, access: &Access) -> SdkConfig {
    let Some(role_arn) = &access.role_arn else { return base };
    let name = access.session_name.as_deref().unwrap_or(SESSION_NAME);
    let mut role = AssumeRoleProvider::builder(role_arn).configure(&base).session_name(name);
    if let Some(external_id) = &access.external_id {
        role = role.external_id(external_id);
    }
    if let Some(duration) = access.session_duration {
        role = role.session_length(duration);
    }
    let credentials = SharedCredentialsProvider::new(role.build().await);
    base.into_builder().credentials_provider(credentials).build()
}

/// A client for S3. Where an endpoint is set, buckets are named in paths, since few compatible
/// stores have a DNS name for each.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config =
        aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some()).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A client for listing one bucket. Where S3 answers that we ask too fast, the SDK asks less often until
/// it does not any more, in this bucket and no other
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
pub fn s3_adaptive(config: &SdkConfig, bucket: &str) -> aws_sdk_s3::Client {
    let retries = config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
    let config = s3(config).config().to_builder();
    let config = config
        .retry_config(retries.with_retry_mode(RetryMode::Adaptive))
        .retry_partition(RetryPartition::new(format!("stocktake {bucket}")));
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A client for SQS. It asks the region's endpoint, or the one that is set; the host in a
/// queue's URL is a name only.
pub fn sqs(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}

/// The region in the host of a queue's URL, such as `https://sqs.eu-west-1.amazonaws.com/…`
/// (<https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>).
pub fn queue_region(queue_url: &str) -> Option<String> {
    let url = url::Url::parse(queue_url).ok()?;
    let labels: Vec<&str> = url.host_str()?.split('.').collect();
    let is_sqs = |label: &&str| *label == "sqs" || *label == "sqs-fips";
    let region = match labels.iter().position(is_sqs) {
        Some(place) => labels.get(place + 1),
        // The old form, `eu-west-1.queue.amazonaws.com`.
        None => labels.first().filter(|_| labels.get(1) == Some(&"queue")),
    };
    // Regions have dashes, and hosts that only happen to begin with `sqs.` hardly do.
    region.filter(|region| region.contains('-')).map(|region| (*region).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::scripted::{Server, answer, credentials};

    const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
        </AssumeRoleResponse>";
    const UNVERSIONED: &str = "<VersioningConfiguration/>";

    #[tokio::test]
    async fn a_role_is_taken_on_once_for_all_clients() {
        let answers = [ASSUMED, UNVERSIONED, UNVERSIONED].map(|body| answer(200, body));
        let server = Server::start(answers).await;
        let access = Access {
            region: Some("eu-west-1".to_owned()),
            endpoint_url: Some(server.url.clone()),
            role_arn: Some("arn:aws:iam::1:role/r".to_owned()),
            external_id: Some("partner 7".to_owned()),
            session_name: Some("ours".to_owned()),
            session_duration: Some(Duration::from_secs(900)),
        };
        let base = Access { role_arn: None, ..access.clone() };
        let base = sdk_config(&base).await.into_builder().credentials_provider(credentials()).build();
        let config = with_role(base, &access).await;
        for _ in 0..2 {
            s3(&config).get_bucket_versioning().bucket("b").send().await.unwrap();
        }
        let asked = server.asked();
        for part in ["ExternalId=partner%207", "RoleSessionName=ours", "DurationSeconds=900"] {
            assert!(asked[0].body.contains(part), "{part} in {}", asked[0].body);
        }
        for asked in &asked[1..] {
            assert!(asked.head.contains("ASIAROLE"), "{}", asked.head);
            assert!(asked.target.starts_with("/b"), "the path style: {}", asked.target);
        }
        assert_eq!(asked.len(), 3);
    }

    #[tokio::test]
    async fn names_that_dns_cannot_have_stand_in_the_path() {
        // Without the environment, which may have an endpoint.
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12());
        let config = config.region(Region::new("us-east-1")).credentials_provider(credentials()).build();
        let long = "x".repeat(255);
        for (name, url) in [
            ("genomics", "https://genomics.s3.us-east-1.amazonaws.com/k?"),
            ("My_Bucket", "https://s3.us-east-1.amazonaws.com/My_Bucket/k?"),
            ("UPPER.Case", "https://s3.us-east-1.amazonaws.com/UPPER.Case/k?"),
            (&long, &format!("https://s3.us-east-1.amazonaws.com/{long}/k?")),
        ] {
            let signed = aws_sdk_s3::presigning::PresigningConfig::expires_in(CONNECT_TIMEOUT).unwrap();
            let request = s3(&config).get_object().bucket(name).key("k").presigned(signed).await.unwrap();
            assert!(request.uri().starts_with(url), "{}", request.uri());
        }
    }

    #[test]
    fn the_region_is_in_the_host_of_a_queue() {
        for (url, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/123/q", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123/q", Some("cn-north-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/123/q", Some("us-gov-west-1")),
            ("https://vpce-0a.sqs.us-east-2.vpce.amazonaws.com/123/q", Some("us-east-2")),
            ("https://eu-central-1.queue.amazonaws.com/123/q", Some("eu-central-1")),
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/0/q", Some("us-east-1")),
            ("http://localhost:9324/0/q", None),
            ("http://sqs.internal/0/q", None),
            ("not a url", None),
        ] {
            assert_eq!(queue_region(url).as_deref(), region, "{url}");
        }
    }
}
