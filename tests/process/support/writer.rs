//! Somebody who changes a bucket all the time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Stage;

/// Its keys: few, so that its operations meet.
pub(crate) const KEYS: usize = 37;
/// Versions that it remembers, to delete the oldest of them now and then.
const REMEMBERED: usize = 20;
/// It leaves some time to those who share the machine.
const PAUSE: Duration = Duration::from_millis(3);

/// Puts, overwrites and deletes, single versions too, until it is told to stop.
pub(crate) struct Writer {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Writer {
    /// Writes to keys whose names begin with `prefix`.
    pub(crate) fn start(stage: &Stage, bucket: &str, prefix: &str) -> Self {
        Self::writing(stage, bucket, prefix, true)
    }

    /// The same, without deleting single versions: when a page ends with a version that is deleted before the
    /// next page is asked for, the emulator leaves out all that follows of its key. S3 does not.
    pub(crate) fn beside_small_pages(stage: &Stage, bucket: &str) -> Self {
        Self::writing(stage, bucket, "", false)
    }

    fn writing(stage: &Stage, bucket: &str, prefix: &str, deletes_versions: bool) -> Self {
        let (s3, bucket, prefix) = (stage.s3.clone(), bucket.to_owned(), prefix.to_owned());
        let stop = CancellationToken::new();
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let mut versions: VecDeque<(String, String)> = VecDeque::new();
            for number in 0_usize.. {
                if told.is_cancelled() {
                    return;
                }
                let key = format!("{prefix}key {}", number * 7 % KEYS);
                let oldest = (deletes_versions && number % 6 == 5 && versions.len() >= REMEMBERED)
                    .then(|| versions.pop_front());
                if let Some((key, version)) = oldest.flatten() {
                    let delete = s3.delete_object().bucket(&bucket).key(key);
                    delete.version_id(version).send().await.unwrap();
                } else if number % 5 == 4 {
                    s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
                } else {
                    let body = format!("body {number}").into_bytes();
                    let put =
                        s3.put_object().bucket(&bucket).key(&key).body(body.into()).send().await.unwrap();
                    versions.extend(put.version_id.map(|version| (key, version)));
                    versions.truncate(REMEMBERED * 2);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
