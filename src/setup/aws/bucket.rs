//! What S3 tells of a bucket.

use aws_sdk_s3::types::{
    BucketVersioningStatus, ExpirationStatus, LifecycleRule, MfaDeleteStatus, ObjectLockEnabled, Payer,
    ReplicationRule, ReplicationRuleStatus,
};

use super::neighbours::neighbours;
use super::{Clients, call, told};
use crate::aws::{Watch, bucket_arn};
use crate::bucket::details::{Details as _, Enrich};
use crate::bucket::{Bucket as _, Page, Versioning, s3};
use crate::fault::{Fault, Kind};
use crate::model::VersionId;
use crate::setup::estate::{BucketLook, Lifecycle, Looked, MOVES, Replication, Versions};

/// A key that nobody has: what a recheck of it asks is allowed or not all the same.
const NO_KEY: &str = ".stocktake-looks-for-this";

pub(super) async fn look(clients: &Clients, name: &str, prefix: &str, enrich: Enrich) -> BucketLook {
    let bucket = s3::Bucket::new(name, clients.s3.clone());
    let key = format!("{prefix}{NO_KEY}");
    let (versions, listing, one_key, rules) = tokio::join!(
        versions(clients, name),
        bucket.list(prefix, None),
        bucket.list(&key, None),
        bucket.notifications(),
    );
    let (kms_key, lifecycle, replication, object_lock, requester_pays) = tokio::join!(
        kms_key(clients, name),
        lifecycle(clients, name),
        replication(clients, name),
        object_lock(clients, name),
        requester_pays(clients, name),
    );
    let details = match &listing {
        Ok(page) => details(&bucket, page, enrich).await,
        Err(_) => None,
    };
    let is_empty = listing.as_ref().is_ok_and(|page| page.keys.is_empty() && page.unrepresentable.is_empty());
    let neighbours = match is_empty {
        true => Some(neighbours(clients, name, prefix).await),
        false => None,
    };
    BucketLook {
        versions,
        neighbours,
        details,
        listing: listing.map(drop),
        one_key: one_key.map(drop),
        rules,
        kms_key,
        lifecycle,
        replication,
        object_lock,
        requester_pays,
    }
}

/// Looks at the first version of a page that is no marker, as it is done with new ones. Whether it is a replica:
/// S3 says so of versions, and not of buckets.
async fn details(bucket: &s3::Bucket, page: &Page, enrich: Enrich) -> Option<Looked<bool>> {
    let (key, told) = page.keys.entries().find(|(_, told)| !told.is_marker)?;
    let version = VersionId::parse(Some(told.version));
    let look = async {
        let head = if enrich.head { bucket.head(key, &version).await? } else { None };
        if enrich.tags {
            bucket.tags(key, &version).await?;
        }
        Ok(head.is_some_and(|head| head.replication.as_deref() == Some("REPLICA")))
    };
    if enrich.is_on() { Some(look.await) } else { None }
}

/// With the wrong owner, S3 refuses even what would be allowed
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html>).
pub(super) async fn is_owned_by(clients: &Clients, name: &str, account: &str) -> Looked<bool> {
    let watch = Watch::default();
    let call = about(clients, name, "whose it is", "s3:GetBucketVersioning");
    let request = clients.s3.get_bucket_versioning().bucket(name).expected_bucket_owner(account);
    match told(&call, request.customize().interceptor(watch.clone()).send().await, &watch) {
        Ok(_) => Ok(true),
        Err(fault) if fault.kind == Kind::Denied => {
            let watch = Watch::default();
            let request = clients.s3.get_bucket_versioning().bucket(name);
            told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(|_| false)
        }
        Err(fault) => Err(fault),
    }
}

async fn versions(clients: &Clients, name: &str) -> Looked<Versions> {
    let watch = Watch::default();
    let call = about(clients, name, "whether it keeps versions", "s3:GetBucketVersioning");
    let request = clients.s3.get_bucket_versioning().bucket(name).customize().interceptor(watch.clone());
    let output = told(&call, request.send().await, &watch)?;
    let state = match output.status() {
        Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
        Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
        _ => Versioning::Unversioned,
    };
    let window = watch.window().map_err(|malformed| call.malformed(&malformed))?;
    Ok(Versions {
        state,
        mfa_delete: output.mfa_delete() == Some(&MfaDeleteStatus::Enabled),
        at: window.from.plus(window.to.distance(window.from) / 2).into(),
    })
}

async fn kms_key(clients: &Clients, name: &str) -> Looked<Option<String>> {
    let watch = Watch::default();
    let call = about(clients, name, "how it encrypts", "s3:GetEncryptionConfiguration");
    let request = clients.s3.get_bucket_encryption().bucket(name).customize().interceptor(watch.clone());
    let output =
        told(&call, request.send().await, &watch).map(|output| output.server_side_encryption_configuration);
    let rules = unless(output, "ServerSideEncryptionConfigurationNotFound")?.map(|rules| rules.rules);
    let defaults =
        rules.unwrap_or_default().into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default);
    Ok(defaults.filter(|default| default.sse_algorithm.as_str().contains("kms")).map(|default| {
        default.kms_master_key_id.unwrap_or_else(|| "AWS's own key in KMS (aws/s3)".to_owned())
    }))
}

async fn lifecycle(clients: &Clients, name: &str) -> Looked<Vec<Lifecycle>> {
    let watch = Watch::default();
    let call = about(clients, name, "which lifecycle rules it has", "s3:GetLifecycleConfiguration");
    let request = clients.s3.get_bucket_lifecycle_configuration().bucket(name);
    let output = told(&call, request.customize().interceptor(watch.clone()).send().await, &watch);
    let rules = unless(output.map(|output| output.rules), "NoSuchLifecycleConfiguration")?;
    let rules = rules.unwrap_or_default();
    Ok(rules.iter().filter(|rule| rule.status == ExpirationStatus::Enabled).map(lifecycle_rule).collect())
}

#[expect(deprecated, reason = "rules of old buckets have their prefix outside of a filter")]
fn lifecycle_rule(rule: &LifecycleRule) -> Lifecycle {
    let filter = rule.filter.as_ref();
    let of_filter =
        filter.and_then(|filter| filter.prefix.clone().or_else(|| filter.and.as_ref()?.prefix.clone()));
    let removes_markers = rule.expiration.as_ref().is_some_and(|expiration| {
        expiration.expired_object_delete_marker == Some(true)
            && expiration.days.is_none()
            && expiration.date.is_none()
    });
    let does = [
        (rule.expiration.is_some() && !removes_markers, "expires objects"),
        (removes_markers, "removes expired delete markers"),
        (rule.noncurrent_version_expiration.is_some(), "removes noncurrent versions"),
        (!rule.transitions().is_empty() || !rule.noncurrent_version_transitions().is_empty(), MOVES),
    ];
    Lifecycle {
        id: rule.id.clone().unwrap_or_default(),
        prefix: of_filter.or_else(|| rule.prefix.clone()).unwrap_or_default(),
        does: does.into_iter().filter(|(is, _)| *is).map(|(_, words)| words).collect(),
    }
}

async fn replication(clients: &Clients, name: &str) -> Looked<Vec<Replication>> {
    let watch = Watch::default();
    let call = about(clients, name, "where it is replicated to", "s3:GetReplicationConfiguration");
    let request = clients.s3.get_bucket_replication().bucket(name).customize().interceptor(watch.clone());
    let output = told(&call, request.send().await, &watch).map(|output| output.replication_configuration);
    let configuration = unless(output, "ReplicationConfigurationNotFound")?;
    let rules = configuration.map(|configuration| configuration.rules).unwrap_or_default();
    Ok(rules
        .iter()
        .filter(|rule| rule.status == ReplicationRuleStatus::Enabled)
        .map(replication_rule)
        .collect())
}

#[expect(deprecated, reason = "rules of old buckets have their prefix outside of a filter")]
fn replication_rule(rule: &ReplicationRule) -> Replication {
    let filter = rule.filter.as_ref();
    let of_filter =
        filter.and_then(|filter| filter.prefix.clone().or_else(|| filter.and.as_ref()?.prefix.clone()));
    Replication {
        id: rule.id.clone().unwrap_or_default(),
        prefix: of_filter.or_else(|| rule.prefix.clone()).unwrap_or_default(),
        to: rule.destination.as_ref().map(|destination| destination.bucket.clone()).unwrap_or_default(),
    }
}

async fn object_lock(clients: &Clients, name: &str) -> Looked<bool> {
    let watch = Watch::default();
    let call = about(clients, name, "whether versions are locked", "s3:GetBucketObjectLockConfiguration");
    let request =
        clients.s3.get_object_lock_configuration().bucket(name).customize().interceptor(watch.clone());
    let output = told(&call, request.send().await, &watch).map(|output| output.object_lock_configuration);
    let configuration = unless(output, "ObjectLockConfigurationNotFound")?;
    Ok(configuration.is_some_and(|lock| lock.object_lock_enabled == Some(ObjectLockEnabled::Enabled)))
}

async fn requester_pays(clients: &Clients, name: &str) -> Looked<bool> {
    let watch = Watch::default();
    let call = about(clients, name, "who pays for requests", "s3:GetBucketRequestPayment");
    let request = clients.s3.get_bucket_request_payment().bucket(name).customize().interceptor(watch.clone());
    Ok(told(&call, request.send().await, &watch)?.payer == Some(Payer::Requester))
}

/// Writes an empty object.
pub(super) async fn write(clients: &Clients, name: &str, key: &str) -> Looked<Option<String>> {
    let watch = Watch::default();
    let call =
        call(format!("write {key:?} to {name:?}"), "s3:PutObject", &format!("{}/{key}", arn(clients, name)));
    let request = clients.s3.put_object().bucket(name).key(key).customize().interceptor(watch.clone());
    Ok(told(&call, request.send().await, &watch)?.version_id)
}

/// Removes an object, or a version of one.
pub(super) async fn remove(clients: &Clients, name: &str, key: &str, version: Option<&str>) -> Looked<()> {
    let watch = Watch::default();
    let permission = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let call =
        call(format!("remove {key:?} from {name:?}"), permission, &format!("{}/{key}", arn(clients, name)));
    let request = clients.s3.delete_object().bucket(name).key(key).set_version_id(version.map(str::to_owned));
    told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(drop)
}

fn about(clients: &Clients, name: &str, question: &str, permission: &'static str) -> crate::aws::Call {
    call(format!("ask of {name:?} {question}"), permission, &arn(clients, name))
}

fn arn(clients: &Clients, name: &str) -> String {
    bucket_arn(clients.s3.config().region(), name)
}

/// To have none is an error for S3, of this code.
fn unless<T>(answer: Result<Option<T>, Fault>, code: &str) -> Looked<Option<T>> {
    match answer {
        Err(fault) if fault.answer.starts_with(code) => Ok(None),
        answer => answer,
    }
}
