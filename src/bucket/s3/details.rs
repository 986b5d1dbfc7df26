//! Heads and tags of versions.

use std::collections::BTreeMap;
use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTimeFormat;
use aws_sdk_s3::types::{ChecksumMode, ObjectLockLegalHoldStatus};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::Bucket;
use crate::aws::{Call, Watch};
use crate::bucket::details::{Details, Head};
use crate::fault::Fault;
use crate::model::VersionId;

/// What S3 does not say, because nearly everything is in it.
const STANDARD: &str = "STANDARD";

impl Details for Bucket {
    async fn head(&self, key: &str, version: &VersionId) -> Result<Option<Head>, Fault> {
        let call = self.call(action("ask for the head of", &self.name, key, version), "s3:GetObjectVersion");
        let watch = Watch::counting("HeadObject");
        let request = self.client.head_object().bucket(&self.name).key(key).version_id(version.as_str());
        let request = request.checksum_mode(ChecksumMode::Enabled).customize().interceptor(watch.clone());
        let output = request.send().await;
        Ok(unless_gone(output, &call, &watch)?.map(head))
    }

    async fn tags(&self, key: &str, version: &VersionId) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let call =
            self.call(action("ask for the tags of", &self.name, key, version), "s3:GetObjectVersionTagging");
        let watch = Watch::counting("GetObjectTagging");
        let request = self.client.get_object_tagging().bucket(&self.name).key(key);
        let request = request.version_id(version.as_str()).customize().interceptor(watch.clone());
        let output = request.send().await;
        let output = unless_gone(output, &call, &watch)?;
        Ok(output.map(|output| output.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect()))
    }
}

fn action(what: &str, bucket: &str, key: &str, version: &VersionId) -> String {
    format!("{what} {key:?} in {bucket:?}, version {version}")
}

/// The answer; none where it is that there is nothing (404), or a delete marker (405).
fn unless_gone<T, E>(
    output: Result<T, SdkError<E, HttpResponse>>,
    call: &Call,
    watch: &Watch,
) -> Result<Option<T>, Fault>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match output {
        Ok(output) => Ok(Some(output)),
        Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(404 | 405) => Ok(None),
            _ => Err(call.fault(error, watch)),
        },
    }
}

fn head(output: HeadObjectOutput) -> Head {
    let checksums = [
        ("crc32", output.checksum_crc32),
        ("crc32c", output.checksum_crc32_c),
        ("crc64nvme", output.checksum_crc64_nvme),
        ("sha1", output.checksum_sha1),
        ("sha256", output.checksum_sha256),
        ("type", output.checksum_type.map(|kind| kind.as_str().to_owned())),
    ];
    let until = output.object_lock_retain_until_date;
    Head {
        content_type: output.content_type,
        content_encoding: output.content_encoding,
        content_language: output.content_language,
        content_disposition: output.content_disposition,
        cache_control: output.cache_control,
        metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        storage_class: output.storage_class.map_or(STANDARD.to_owned(), |class| class.as_str().to_owned()),
        checksums: checksums.into_iter().filter_map(|(name, sum)| Some((name, sum?))).collect(),
        encryption: output.server_side_encryption.map(|encryption| encryption.as_str().to_owned()),
        kms_key: output.ssekms_key_id,
        lock_mode: output.object_lock_mode.map(|mode| mode.as_str().to_owned()),
        lock_until: until.and_then(|until| until.fmt(DateTimeFormat::DateTime).ok()),
        legal_hold: output.object_lock_legal_hold_status.map(|hold| hold == ObjectLockLegalHoldStatus::On),
        replication: output.replication_status.map(|status| status.as_str().to_owned()),
        restore: output.restore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws;
    use crate::aws::scripted::{Server, answer, answer_with};
    use crate::fault::Kind;

    async fn serve(answers: impl IntoIterator<Item = String>) -> (Server, Bucket) {
        let server = Server::start(answers).await;
        let client = aws::s3(&server.config().await);
        (server, Bucket::new("genomics", client))
    }

    #[tokio::test]
    async fn a_head_is_all_that_s3_says() {
        let headers = "Content-Type: text/csv\r\nx-amz-meta-Lab: 7\r\nx-amz-checksum-crc32: AAAA\r\n\
            x-amz-server-side-encryption: aws:kms\r\nx-amz-server-side-encryption-aws-kms-key-id: k\r\n\
            x-amz-object-lock-mode: GOVERNANCE\r\nx-amz-object-lock-retain-until-date: 2030-01-02T03:04:05Z\r\n\
            x-amz-object-lock-legal-hold: ON\r\n";
        let (server, bucket) = serve([answer_with(200, headers, "")]).await;
        let told = bucket.head("a b", &VersionId::parse(Some("v1"))).await.unwrap();
        let text = |text: &str| Some(text.to_owned());
        let head = Head {
            content_type: text("text/csv"),
            metadata: [("lab".to_owned(), "7".to_owned())].into(),
            storage_class: "STANDARD".to_owned(),
            checksums: [("crc32", "AAAA".to_owned())].into(),
            encryption: text("aws:kms"),
            kms_key: text("k"),
            lock_mode: text("GOVERNANCE"),
            lock_until: text("2030-01-02T03:04:05Z"),
            legal_hold: Some(true),
            ..Head::default()
        };
        assert_eq!(told, Some(head));
        let asked = &server.asked()[0];
        assert!(asked.target.starts_with("/genomics/a%20b?versionId=v1"), "{}", asked.target);
        assert!(asked.head.to_ascii_lowercase().contains("x-amz-checksum-mode: enabled"), "{}", asked.head);
    }

    #[tokio::test]
    async fn tags_are_pairs() {
        let body = "<Tagging><TagSet><Tag><Key>lab</Key><Value>7</Value></Tag></TagSet></Tagging>";
        let (server, bucket) = serve([answer(200, body)]).await;
        let tags = bucket.tags("a", &VersionId::null()).await.unwrap();
        assert_eq!(tags, Some([("lab".to_owned(), "7".to_owned())].into()));
        assert!(server.asked()[0].target.contains("versionId=null"), "{}", server.asked()[0].target);
    }

    #[tokio::test]
    async fn what_is_gone_is_no_fault_and_what_is_denied_is() {
        let gone = "<Error><Code>NoSuchVersion</Code></Error>";
        let marker = "<Error><Code>MethodNotAllowed</Code></Error>";
        let denied = "<Error><Code>AccessDenied</Code></Error>";
        let (_server, bucket) = serve([
            answer(404, ""),
            answer(405, ""),
            answer(404, gone),
            answer(405, marker),
            answer(403, ""),
            answer(403, denied),
        ])
        .await;
        let version = VersionId::null();
        assert_eq!(bucket.head("a", &version).await.unwrap(), None);
        assert_eq!(bucket.head("a", &version).await.unwrap(), None);
        assert_eq!(bucket.tags("a", &version).await.unwrap(), None);
        assert_eq!(bucket.tags("a", &version).await.unwrap(), None);
        let head = bucket.head("a", &version).await.unwrap_err();
        let tags = bucket.tags("a", &version).await.unwrap_err();
        for (fault, permission) in [(head, "s3:GetObjectVersion"), (tags, "s3:GetObjectVersionTagging")] {
            assert_eq!(fault.kind, Kind::Denied);
            assert!(fault.remedy.contains(permission), "{}", fault.remedy);
        }
    }
}
