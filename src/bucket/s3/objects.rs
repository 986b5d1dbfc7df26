//! Objects of a bucket in S3.

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::Bucket;
use crate::aws::{BROKEN_OFF, Call, Watch};
use crate::bucket::Objects;
use crate::fault::{Fault, Kind};

/// What S3 answers where a range begins at the end of the object or beyond
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
const BEYOND_THE_END: &str = "InvalidRange";
/// The most pages of folders, of a thousand each: reports of two centuries.
const PAGES_MAX: usize = 100;

impl Objects for Bucket {
    async fn folders(&self, prefix: &str, after: &str) -> Result<Vec<String>, Fault> {
        let call =
            self.call(format!("list the folders of {:?} under {prefix:?}", self.name), "s3:ListBucket");
        let (mut folders, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let watch = Watch::counting("ListObjectsV2");
            let request = (self.client.list_objects_v2().bucket(&self.name).prefix(prefix).delimiter("/"))
                .set_start_after((!after.is_empty()).then(|| after.to_owned()))
                .set_continuation_token(token)
                .customize()
                .interceptor(watch.clone())
                .send();
            let page = request.await.map_err(|error| call.fault(error, &watch))?;
            folders
                .extend(page.common_prefixes().iter().filter_map(|folder| Some(folder.prefix()?.to_owned())));
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(folders);
            }
        }
        Err(Fault {
            action: call.action,
            kind: Kind::Malformed,
            answer: format!("no end after {PAGES_MAX} pages"),
            remedy: "see whether the store's listing repeats itself, and take old reports away".to_owned(),
            source: None,
        })
    }

    async fn read(&self, key: &str, from: u64, length: u64) -> Result<Vec<u8>, Fault> {
        let call = Call {
            action: format!("read {key:?} of {:?}", self.name),
            permission: "s3:GetObject, and kms:Decrypt on the key that encrypts it if there is one,",
            resource: format!("{}/{key}", self.arn()),
        };
        let watch = Watch::counting("GetObject");
        let request = (self.client.get_object().bucket(&self.name).key(key))
            .range(format!("bytes={from}-{}", (from + length).saturating_sub(1)))
            .customize()
            .interceptor(watch.clone())
            .send();
        let output = match request.await {
            Ok(output) => output,
            Err(error) if error.code() == Some(BEYOND_THE_END) => return Ok(Vec::new()),
            Err(error) => return Err(call.fault(error, &watch)),
        };
        output.body.collect().await.map(|body| body.to_vec()).map_err(|error| Fault {
            action: call.action,
            kind: Kind::Unreachable,
            answer: "the answer broke off".to_owned(),
            remedy: BROKEN_OFF.to_owned(),
            source: Some(Box::new(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::scripted::{Server, answer};

    async fn serve(answers: impl IntoIterator<Item = String>) -> (Server, Bucket) {
        let server = Server::start(answers).await;
        let client = crate::aws::s3(&server.config().await);
        (server, Bucket::new("reports", client))
    }

    #[tokio::test]
    async fn folders_come_on_pages() {
        let page = |folder: &str, rest: &str| {
            let folder = format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
            answer(200, &format!("<ListBucketResult>{folder}{rest}</ListBucketResult>"))
        };
        let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        let (server, bucket) = serve([page("p/a/", more), page("p/b/", "")]).await;
        assert_eq!(bucket.folders("p/", "p/A/").await.unwrap(), ["p/a/", "p/b/"]);
        let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.target).collect();
        for part in ["delimiter=%2F", "prefix=p%2F", "start-after=p%2FA%2F"] {
            assert!(asked.iter().all(|target| target.contains(part)), "{part} in {asked:?}");
        }
        assert!(asked[1].contains("continuation-token=t"), "{asked:?}");
    }

    #[tokio::test]
    async fn an_object_is_read_in_ranges_to_its_end() {
        let beyond = answer(416, "<Error><Code>InvalidRange</Code></Error>");
        let (server, bucket) = serve([answer(206, "abc"), beyond]).await;
        assert_eq!(bucket.read("k", 4, 3).await.unwrap(), b"abc");
        assert_eq!(bucket.read("k", 7, 3).await.unwrap(), b"");
        let heads: Vec<_> = server.asked().into_iter().map(|asked| asked.head).collect();
        assert!(heads[0].contains("range: bytes=4-6\r\n"), "{heads:?}");
        assert!(heads[1].contains("range: bytes=7-9\r\n"), "{heads:?}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_told_in_words() {
        let short = answer(206, "abc").replace("Content-Length: 3", "Content-Length: 9");
        let (_server, bucket) = serve([short]).await;
        let fault = bucket.read("k", 0, 9).await.unwrap_err();
        let told = crate::chain::chain(&fault);
        assert!(told.starts_with("read \"k\" of \"reports\": the answer broke off: "), "{told}");
        assert!(!told.contains(['{', '(']), "{told}");
        assert_eq!(fault.kind, Kind::Unreachable);
    }

    #[tokio::test]
    async fn who_may_not_read_is_told_what_to_allow() {
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        let absent = "<Error><Code>NoSuchKey</Code></Error>";
        let (_server, bucket) = serve([answer(403, denied), answer(404, absent)]).await;
        let fault = bucket.read("k", 0, 1).await.unwrap_err();
        assert_eq!(fault.to_string(), "read \"k\" of \"reports\": AccessDenied: no");
        assert!(
            fault.remedy.contains("s3:GetObject") && fault.remedy.contains("kms:Decrypt"),
            "{}",
            fault.remedy
        );
        assert_eq!(bucket.read("k", 0, 1).await.unwrap_err().kind, Kind::Absent);
    }
}
