//! The edge to SQS: deliveries in, acknowledgements out.

use std::future::Future;
use std::time::Duration;

use crate::fault::Fault;
use crate::model::Timestamp;

pub mod sqs;

/// The most messages SQS gives, or takes back, in one request
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
pub const BATCH_MAX: usize = 10;

/// The longest SQS waits for messages
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// The longest a message may be kept invisible, counted from when it was received
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>).
pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3_600);

/// One message in our hands until it is acknowledged, released, or its visibility ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// SQS's id of the message, the same each time it is delivered.
    pub message_id: String,
    /// What this delivery is acknowledged by.
    pub receipt: String,
    /// The body as it was sent.
    pub body: String,
    /// When it was sent to the queue, on SQS's clock.
    pub sent_at: Option<Timestamp>,
    /// How often it was delivered, this time included.
    pub receive_count: Option<u32>,
}

/// One entry of a batch that SQS refused, by its place in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The place in the batch that was sent.
    pub index: usize,
    /// SQS's code and message.
    pub reason: String,
    /// Whether the same again would be refused again: the receipt is not valid any more, and the
    /// message was deleted or comes again.
    pub is_final: bool,
}

/// What a queue is set to, and how much is in it
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// When the queue was made, on SQS's clock: one that was deleted and made again is another queue. None if SQS did
    /// not tell.
    pub made_at: Option<Timestamp>,
    /// How long a message is kept that nobody deletes.
    pub retention: Duration,
    /// How long a message that was received stays invisible, where the receiver does not say.
    pub visibility_timeout: Duration,
    /// About how many messages wait.
    pub waiting: u64,
    /// About how many are in somebody's hands.
    pub in_hand: u64,
    /// About how many do not wait yet, because the queue delays them.
    pub delayed: u64,
}

/// A queue of notifications. The one real implementation is [`sqs::Queue`]; tests script faults.
pub trait Queue: Send + Sync + 'static {
    /// Waits up to `wait` for messages and takes up to [`BATCH_MAX`], which stay invisible for
    /// `visibility`. Safe to drop while it waits, though messages that were under way then stay
    /// invisible until that is over.
    fn receive(
        &self,
        wait: Duration,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, Fault>> + Send;

    /// Deletes up to [`BATCH_MAX`] messages by their receipts; those that SQS refused come again.
    fn acknowledge(&self, receipts: &[String]) -> impl Future<Output = Result<Vec<Refused>, Fault>> + Send;

    /// Keeps up to [`BATCH_MAX`] messages invisible for so long from now on; zero makes them visible
    /// again at once.
    fn change_visibility(
        &self,
        receipts: &[String],
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Refused>, Fault>> + Send;

    /// Asks what the queue is set to and how much is in it.
    fn attributes(&self) -> impl Future<Output = Result<Attributes, Fault>> + Send;

    /// Asks about how many messages its dead-letter queue has; none where there is no such queue.
    fn dead_letters(&self) -> impl Future<Output = Result<Option<u64>, Fault>> + Send {
        std::future::ready(Ok(None))
    }
}
