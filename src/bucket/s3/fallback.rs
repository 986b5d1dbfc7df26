//! Buckets of which no versions can be listed: those of stores that know none, and directory buckets.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::EncodingType;

use super::{Bucket, list_action, page};
use crate::aws::Watch;
use crate::bucket::reader::{List, ListReader};
use crate::bucket::{Bucket as _, Cursor, PAGE_MAX, Page, Versioning};
use crate::fault::{Fault, Kind};

impl Bucket {
    /// Lists objects from now on, if there is nothing but objects: `unsupported` is what the store says when it
    /// is asked for versions.
    pub(super) async fn fall_back(&self, unsupported: Fault) -> Result<(), Fault> {
        let (versioning, _) = self.versioning().await?;
        if versioning != Versioning::Unversioned {
            return Err(Fault {
                answer: format!(
                    "{}, and yet the versioning of the bucket is {versioning}",
                    unsupported.answer
                ),
                remedy:
                    "use a store that can list the versions that it keeps, or a bucket that never kept any"
                        .to_owned(),
                ..unsupported
            });
        }
        // Which tells a directory bucket.
        self.region().await?;
        if !self.has_objects_only.swap(true, Ordering::Relaxed) {
            tracing::info!(
                bucket = self.name,
                answer = unsupported.answer,
                "list objects, as there are no versions"
            );
        }
        Ok(())
    }

    /// A page of what a bucket holds that never kept versions, in the words of one that does.
    pub(super) async fn list_objects(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, Fault> {
        self.pace.turn().await;
        let call = self.call(list_action("objects", &self.name, prefix, after), "s3:ListBucket");
        let (watch, reader) = (Watch::counting("ListObjectsV2"), ListReader::of(List::Objects, &self.name));
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .encoding_type(EncodingType::Url)
            .max_keys(PAGE_MAX)
            // It goes out decoded, like a marker.
            .set_start_after(after.map(|after| after.key.clone()))
            .customize()
            .interceptor(watch.clone())
            .interceptor(reader.clone())
            .send();
        request.await.map_err(|error| call.fault(error, &watch))?;
        // Each key has one version, so whoever was in the middle of one is past it.
        let after = after.map(|after| Cursor { version: None, ..after.clone() });
        page(&reader, &watch, prefix, after.as_ref()).map_err(|malformed| call.malformed(&malformed))
    }

    /// What is wrong with a bucket that turns out to be a directory bucket
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-overview.html>).
    pub(super) fn directory_bucket(&self, action: String) -> Fault {
        Fault {
            action,
            kind: Kind::Unsupported,
            answer: "it is a directory bucket, which keeps no versions, lists in no order and sends no notifications"
                .to_owned(),
            remedy: format!("connect a general purpose bucket instead of {:?}", self.name),
            source: None,
        }
    }
}
