//! What lies between a bucket and the daemon, and how it is looked at and built.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use time::OffsetDateTime;

use crate::bucket::Versioning;
use crate::bucket::details::Enrich;
use crate::bucket::rules::Rules;
use crate::fault::Fault;

/// What came of a look.
pub type Looked<T> = Result<T, Fault>;

/// On whose behalf something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side<'a> {
    /// As the section of the bucket says.
    Bucket,
    /// As the section of the queue with this URL says.
    Queue(&'a str),
}

/// Who we are to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user, or the session in a role.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// When the credentials end, if they do.
    pub expires: Option<OffsetDateTime>,
}

/// A role that is taken on for longer than everybody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOn {
    /// The role.
    pub role: String,
    /// Who takes it on, by ARN.
    pub by: String,
    /// For how long.
    pub lasts: Duration,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Whether it does.
    pub state: Versioning,
    /// Whether deleting them takes another factor.
    pub mfa_delete: bool,
    /// The time on S3's clock when it said so, within a second or two.
    pub at: OffsetDateTime,
}

/// A rule that makes S3 itself change or remove objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Its name.
    pub id: String,
    /// What keys begin with that it is for.
    pub prefix: String,
    /// What it does: `expires objects`.
    pub does: Vec<&'static str>,
}

/// What a rule of lifecycle does that is no removal.
pub const MOVES: &str = "moves objects to other storage classes";

/// A rule that copies objects to another bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Its name.
    pub id: String,
    /// What keys begin with that it is for.
    pub prefix: String,
    /// The other bucket, by its ARN.
    pub to: String,
}

/// What S3 tells about a bucket and that matters here, beside where it is.
#[derive(Debug)]
pub struct BucketLook {
    /// Whether it keeps versions.
    pub versions: Looked<Versions>,
    /// Whether versions can be listed below our prefix, as runs do it.
    pub listing: Looked<()>,
    /// Where no version is below our prefix: prefixes of keys that differ from it in what is easily overlooked.
    pub neighbours: Option<Looked<Vec<String>>>,
    /// And of one key, as rechecks do it.
    pub one_key: Looked<()>,
    /// Whether a version that was listed can be looked at, and whether it is a replica of another bucket's; none
    /// where that is not wanted, or none was listed.
    pub details: Option<Looked<bool>>,
    /// Who is told what.
    pub rules: Looked<Rules>,
    /// The key that new objects are encrypted with; none if it is S3's own.
    pub kms_key: Looked<Option<String>>,
    /// Rules that are in force.
    pub lifecycle: Looked<Vec<Lifecycle>>,
    /// Rules that are in force.
    pub replication: Looked<Vec<Replication>>,
    /// Whether versions may be locked.
    pub object_lock: Looked<bool>,
    /// Whether whoever asks pays.
    pub requester_pays: Looked<bool>,
}

/// What a queue is set to
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLook {
    /// Its ARN.
    pub arn: String,
    /// Its policy; none if only its owner may do anything.
    pub policy: Option<String>,
    /// The key it is encrypted with, by id, ARN or alias.
    pub kms_key: Option<String>,
    /// How long a message is kept.
    pub retention: Duration,
    /// How long one that was received stays invisible.
    pub visibility: Duration,
    /// How long a receive waits for one, where it does not say.
    pub wait: Duration,
    /// How long one that was sent stays invisible.
    pub delay: Duration,
    /// The largest message it takes, in bytes.
    pub message_bytes_max: u64,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Which queues may send their dead letters here.
    pub takes: Takes,
    /// How many messages wait.
    pub waiting: u64,
    /// How many are in somebody's hands.
    pub in_hand: u64,
    /// Whether it keeps the order, which S3 cannot send to.
    pub is_fifo: bool,
}

/// Which queues may have this one for their dead letters: its `RedriveAllowPolicy`
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Takes {
    /// All of its account and region, as where nothing is set.
    #[default]
    All,
    /// None.
    None,
    /// Those with these ARNs.
    Of(Vec<String>),
}

/// A queue's way to its dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    pub to: String,
    /// After how many receives.
    pub receives_max: u64,
}

/// A message, looked at and left where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its body.
    pub body: String,
    /// When it was sent.
    pub sent_at: Option<OffsetDateTime>,
}

/// A topic that a bucket tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its policy.
    pub policy: Option<String>,
    /// The key it is encrypted with.
    pub kms_key: Option<String>,
    /// Who hears of it.
    pub subscriptions: Vec<Subscription>,
}

/// Somebody who hears of a topic's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `sqs`, `lambda`.
    pub protocol: String,
    /// The queue's ARN, for queues.
    pub endpoint: String,
    /// Whether the owner of the endpoint has agreed.
    pub is_confirmed: bool,
    /// Which messages; all if none.
    pub filter: Option<String>,
}

/// A rule of EventBridge's default bus that leads to a queue of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeRule {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// What it is for, as JSON.
    pub pattern: String,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// Where it leads.
    pub targets: Vec<Target>,
}

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The queue's ARN, or somebody else's.
    pub arn: String,
    /// Whether the event is changed on the way.
    pub is_transformed: bool,
}

/// A key in KMS.
#[derive(Debug)]
pub struct Key {
    /// Its ARN.
    pub arn: String,
    /// Whether it can be used.
    pub is_enabled: bool,
    /// Whether it is AWS's own, with a policy that nobody can change.
    pub is_aws: bool,
    /// Its policy.
    pub policy: Looked<String>,
}

/// What is between a bucket and its queues, to look at. Nothing is changed. The one real
/// implementation asks AWS; tests make one up.
pub trait Estate: Send + Sync {
    /// Asks who we are.
    fn identity(&self, side: Side<'_>) -> impl Future<Output = Looked<Identity>> + Send;
    /// Asks who takes on the role that is taken on for longer than an hour, if one is.
    fn taken_on(&self, side: Side<'_>) -> impl Future<Output = Looked<Option<TakenOn>>> + Send;
    /// Asks whether the bucket is there, and where.
    fn region(&self) -> impl Future<Output = Looked<String>> + Send;
    /// Asks S3 about the bucket, lists a page of versions below `prefix`, and looks at one of them as `enrich` says.
    fn bucket(&self, prefix: &str, enrich: Enrich) -> impl Future<Output = BucketLook> + Send;
    /// Asks whether an account owns the bucket.
    fn is_owned_by(&self, account: &str) -> impl Future<Output = Looked<bool>> + Send;
    /// Asks what a queue is set to.
    fn queue(&self, url: &str) -> impl Future<Output = Looked<QueueLook>> + Send;
    /// The same of a queue that an ARN names, and that is in the account and region of another.
    fn queue_beside(&self, url: &str, arn: &str) -> impl Future<Output = Looked<QueueLook>> + Send;
    /// Receives a message and lets it be visible again at once.
    fn sample(&self, url: &str) -> impl Future<Output = Looked<Option<Sample>>> + Send;
    /// Asks whether messages might be deleted, without deleting one.
    fn may_delete(&self, url: &str) -> impl Future<Output = Looked<()>> + Send;
    /// Asks whether messages might be kept from others and given back, without doing it to one.
    fn may_give_back(&self, url: &str) -> impl Future<Output = Looked<()>> + Send;
    /// Asks about a topic and who hears of it.
    fn topic(&self, arn: &str) -> impl Future<Output = Looked<Topic>> + Send;
    /// Asks which rules of EventBridge lead to `queue`.
    fn bridge(&self, queue: &str) -> impl Future<Output = Looked<Vec<BridgeRule>>> + Send;
    /// Asks about a key.
    fn key(&self, side: Side<'_>, id: &str) -> impl Future<Output = Looked<Key>> + Send;
}

/// The same, to build on. Each does one thing, and can be done again.
pub trait Builder: Estate + Notices {
    /// Looks for a queue of our account by its name.
    fn queue_url(&self, name: &str) -> impl Future<Output = Looked<Option<String>>> + Send;
    /// Asks for a queue's tags.
    fn tags(&self, url: &str) -> impl Future<Output = Looked<BTreeMap<String, String>>> + Send;
    /// Makes a queue.
    fn make_queue(
        &self,
        name: &str,
        settings: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> impl Future<Output = Looked<()>> + Send;
    /// Changes some settings of a queue; an empty text takes one away.
    fn set_queue(
        &self,
        url: &str,
        settings: &BTreeMap<String, String>,
    ) -> impl Future<Output = Looked<()>> + Send;
    /// Gives a queue more tags.
    fn tag(&self, url: &str, tags: &BTreeMap<String, String>) -> impl Future<Output = Looked<()>> + Send;
    /// Takes tags away.
    fn untag(&self, url: &str, tags: &[String]) -> impl Future<Output = Looked<()>> + Send;
    /// Deletes a queue with all that is in it.
    fn delete_queue(&self, url: &str) -> impl Future<Output = Looked<()>> + Send;
}

/// A bucket's notification configuration, which S3 gives and takes as a whole only.
pub trait Notices: Send + Sync {
    /// Reads who is told what.
    fn rules(&self) -> impl Future<Output = Looked<Rules>> + Send;
    /// Reads the bucket's whole notification configuration, as S3 wrote it.
    fn configuration(&self) -> impl Future<Output = Looked<String>> + Send;
    /// Writes the whole of it.
    fn configure(&self, text: &str, skip_validation: bool) -> impl Future<Output = Looked<()>> + Send;
}

/// The same, to try it.
pub trait Prober: Estate {
    /// Receives up to ten messages and lets them be visible again at once.
    fn peek(&self, url: &str) -> impl Future<Output = Looked<Vec<Sample>>> + Send;
    /// Writes an empty object, and says its version, if it has one.
    fn write(&self, key: &str) -> impl Future<Output = Looked<Option<String>>> + Send;
    /// Removes it, this version of it if it has one.
    fn remove(&self, key: &str, version: Option<&str>) -> impl Future<Output = Looked<()>> + Send;
}
