//! A bucket in S3, or in a store that speaks its language.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketLocationConstraint, BucketVersioningStatus, EncodingType};

use super::listing::{Listing, Malformed};
use super::pace::Pace;
use super::reader::{List, ListReader};
use super::rules::Rules;
use super::{Cursor, PAGE_MAX, Page, Versioning, raw};
use crate::aws::{Call, Watch, bucket_arn};
use crate::fault::{Fault, Kind};
use crate::model::Window;

mod details;
mod fallback;
mod notifications;
mod objects;
#[cfg(test)]
mod tests;

/// Where buckets are that name no region
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>).
const REGION_OF_NULL: &str = "us-east-1";

/// What the region `EU` is called elsewhere (same page).
const REGION_OF_EU: &str = "eu-west-1";

/// How many pages a second are asked for at most, where nobody says.
const REQUESTS_PER_SECOND: u32 = 1_000;

/// The header with a bucket's region, which also comes with refusals
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>).
const REGION_HEADER: &str = "x-amz-bucket-region";

/// A bucket, asked through the SDK, which signs and tries again.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    client: Client,
    pace: Arc<Pace>,
    /// The store has no list of versions, and the bucket keeps none.
    has_objects_only: Arc<AtomicBool>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket called `name`, asked with `client`.
    pub fn new(name: impl Into<String>, client: Client) -> Self {
        Self::paced(name, client, REQUESTS_PER_SECOND)
    }

    /// The same, where so many pages a second are asked for at most.
    pub fn paced(name: impl Into<String>, client: Client, requests_per_second: u32) -> Self {
        let pace = Arc::new(Pace::of(requests_per_second));
        Self { name: name.into(), client, pace, has_objects_only: Arc::default() }
    }

    /// As policies name it.
    fn arn(&self) -> String {
        bucket_arn(self.client.config().region(), &self.name)
    }

    fn call(&self, action: String, permission: &'static str) -> Call {
        Call { action, permission, resource: self.arn() }
    }

    async fn list_versions(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, Fault> {
        self.pace.turn().await;
        let call = self.call(list_action("versions", &self.name, prefix, after), "s3:ListBucketVersions");
        let (watch, reader) =
            (Watch::counting("ListObjectVersions"), ListReader::of(List::Versions, &self.name));
        let request = self
            .client
            .list_object_versions()
            .bucket(&self.name)
            .prefix(prefix)
            .encoding_type(EncodingType::Url)
            .max_keys(PAGE_MAX)
            // Markers go out decoded: encoded ones are taken literally, which never ends.
            .set_key_marker(after.map(|after| after.key.clone()))
            .set_version_id_marker(after.and_then(|after| Some(after.version.as_ref()?.as_str().to_owned())))
            .customize()
            .interceptor(watch.clone())
            .interceptor(reader.clone())
            .send();
        request.await.map_err(|error| call.fault(error, &watch))?;
        page(&reader, &watch, prefix, after).map_err(|malformed| call.malformed(&malformed))
    }

    async fn list_after(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, Fault> {
        if self.has_objects_only.load(Ordering::Relaxed) {
            return self.list_objects(prefix, after).await;
        }
        match self.list_versions(prefix, after).await {
            Err(fault) if fault.kind == Kind::Unsupported => {
                self.fall_back(fault).await?;
                self.list_objects(prefix, after).await
            }
            page => page,
        }
    }

    /// The region by its other name, for stores whose answers to `HeadBucket` leave it out.
    async fn location(&self) -> Option<String> {
        let watch = Watch::counting("GetBucketLocation");
        let request = self.client.get_bucket_location().bucket(&self.name);
        let output = request.customize().interceptor(watch).send().await.ok()?;
        Some(match output.location_constraint() {
            None => REGION_OF_NULL.to_owned(),
            Some(BucketLocationConstraint::Eu) => REGION_OF_EU.to_owned(),
            Some(region) if region.as_str().is_empty() => REGION_OF_NULL.to_owned(),
            Some(region) => region.as_str().to_owned(),
        })
    }
}

impl super::Bucket for Bucket {
    async fn list(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, Fault> {
        let Some(first) = after.filter(|after| after.is_skip) else {
            return self.list_after(prefix, after).await;
        };
        // Markers lead to what follows them, and a prefix leads to itself.
        let page = self.list_after(&first.key, None).await?;
        let next = page.next.clone().unwrap_or_else(|| raw::after_all(&first.key, &page));
        Ok(Page { next: Some(next), ..page })
    }

    async fn versioning(&self) -> Result<(Versioning, Window), Fault> {
        let call = self.call(format!("ask for the versioning of {:?}", self.name), "s3:GetBucketVersioning");
        let watch = Watch::counting("GetBucketVersioning");
        let request = self.client.get_bucket_versioning().bucket(&self.name);
        let output = request.customize().interceptor(watch.clone()).send().await;
        let versioning = match output.map_err(|error| call.fault(error, &watch)) {
            Ok(output) => match output.status() {
                None => Versioning::Unversioned,
                Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
                Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
                Some(other) => {
                    let what =
                        format!("the status of versioning is {:?}, which is unheard of", other.as_str());
                    return Err(call.malformed(&Malformed::new(what)));
                }
            },
            // Who knows of no versioning keeps no versions.
            Err(fault) if fault.kind == Kind::Unsupported => Versioning::Unversioned,
            Err(fault) => return Err(fault),
        };
        if versioning != Versioning::Unversioned {
            self.has_objects_only.store(false, Ordering::Relaxed);
        }
        Ok((versioning, watch.window().map_err(|malformed| call.malformed(&malformed))?))
    }

    async fn region(&self) -> Result<String, Fault> {
        let call = self.call(format!("ask for the region of {:?}", self.name), "s3:ListBucket");
        let watch = Watch::counting("HeadBucket");
        let request = self.client.head_bucket().bucket(&self.name);
        let told = match request.customize().interceptor(watch.clone()).send().await {
            Ok(output) if output.bucket_location_type().is_some() => {
                return Err(self.directory_bucket(call.action));
            }
            Ok(output) => output.bucket_region().map(str::to_owned),
            Err(error) => {
                let response = error.raw_response();
                let told = response.and_then(|response| response.headers().get(REGION_HEADER));
                let told = told.map(str::to_owned);
                let fault = call.fault(error, &watch);
                // A store may keep its bucket closed, or have no such call, and yet name a region.
                if told.is_none() && !matches!(fault.kind, Kind::Denied | Kind::Unsupported) {
                    return Err(fault);
                }
                told
            }
        };
        let told = match told {
            Some(region) => Some(region),
            None => self.location().await,
        };
        let configured = || self.client.config().region().map(ToString::to_string);
        Ok(told.or_else(configured).unwrap_or_else(|| REGION_OF_NULL.to_owned()))
    }

    async fn notifications(&self) -> Result<Rules, Fault> {
        let action = format!("read the notification configuration of {:?}", self.name);
        let call = self.call(action, "s3:GetBucketNotification");
        let watch = Watch::counting("GetBucketNotificationConfiguration");
        let request = self.client.get_bucket_notification_configuration().bucket(&self.name);
        let output = request.customize().interceptor(watch.clone()).send().await;
        output.map(notifications::rules).map_err(|error| call.fault(error, &watch))
    }
}

fn list_action(what: &str, name: &str, prefix: &str, after: Option<&Cursor>) -> String {
    let under = if prefix.is_empty() { String::new() } else { format!(" under {prefix:?}") };
    let from = after.map(|after| format!(" from {:?}", after.key)).unwrap_or_default();
    format!("list {what} of {name:?}{under}{from}")
}

fn page(reader: &ListReader, watch: &Watch, prefix: &str, after: Option<&Cursor>) -> Result<Page, Malformed> {
    let mut listing = reader.take().ok_or_else(|| Malformed::new("the answer was not read"))?;
    if let Some(after) = after {
        listing.next = listing.next.and_then(|next| raw::go_on(next, prefix, after));
        // What the page before showed as well.
        listing.unrepresentable.retain(|key| *key.bytes > *after.seen);
    }
    listing.check(prefix, after)?;
    let Listing { keys, unrepresentable, next } = listing;
    Ok(Page { keys, unrepresentable, next, window: watch.window()? })
}
