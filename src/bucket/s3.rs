//! A bucket in S3, or in a store that speaks its language.

use std::fmt;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketLocationConstraint, BucketVersioningStatus, EncodingType};

use super::listing::Malformed;
use super::reader::VersionReader;
use super::{Cursor, PAGE_MAX, Page, Versioning};
use crate::aws::{Call, Watch};
use crate::fault::{Fault, Kind};
use crate::metrics::s3_request;
use crate::model::Window;

/// Where buckets are that name no region
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>).
const REGION_OF_NULL: &str = "us-east-1";

/// What the region `EU` is called elsewhere (same page).
const REGION_OF_EU: &str = "eu-west-1";

/// The header with a bucket's region, which also comes with refusals
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>).
const REGION_HEADER: &str = "x-amz-bucket-region";

/// A bucket, asked through the SDK, which signs and tries again.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    client: Client,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket called `name`, asked with `client`.
    pub fn new(name: impl Into<String>, client: Client) -> Self {
        Self { name: name.into(), client }
    }

    fn call(&self, action: String, permission: &'static str) -> Call {
        Call { action, permission, resource: format!("arn:aws:s3:::{}", self.name) }
    }

    /// The region by its other name, for stores whose answers to `HeadBucket` leave it out.
    async fn location(&self) -> Option<String> {
        let request = self.client.get_bucket_location().bucket(&self.name).send();
        let output = s3_request("GetBucketLocation", request).await.ok()?;
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
        let call = self.call(list_action(&self.name, prefix, after), "s3:ListBucketVersions");
        let (watch, reader) = (Watch::default(), VersionReader::default());
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
        s3_request("ListObjectVersions", request).await.map_err(|error| call.fault(error, &watch))?;
        page(&reader, &watch, prefix, after).map_err(|malformed| call.malformed(&malformed))
    }

    async fn versioning(&self) -> Result<(Versioning, Window), Fault> {
        let call = self.call(format!("ask for the versioning of {:?}", self.name), "s3:GetBucketVersioning");
        let watch = Watch::default();
        let request = self.client.get_bucket_versioning().bucket(&self.name);
        let output =
            s3_request("GetBucketVersioning", request.customize().interceptor(watch.clone()).send()).await;
        let versioning = match output.map_err(|error| call.fault(error, &watch))?.status() {
            None => Versioning::Unversioned,
            Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
            Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
            Some(other) => {
                let what = format!("the status of versioning is {:?}, which is unheard of", other.as_str());
                return Err(call.malformed(&Malformed::new(what)));
            }
        };
        Ok((versioning, watch.window().map_err(|malformed| call.malformed(&malformed))?))
    }

    async fn region(&self) -> Result<String, Fault> {
        let call = self.call(format!("ask for the region of {:?}", self.name), "s3:ListBucket");
        let watch = Watch::default();
        let request = self.client.head_bucket().bucket(&self.name);
        let told = match s3_request("HeadBucket", request.customize().interceptor(watch.clone()).send()).await
        {
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
}

fn list_action(name: &str, prefix: &str, after: Option<&Cursor>) -> String {
    let under = if prefix.is_empty() { String::new() } else { format!(" under {prefix:?}") };
    let from = after.map(|after| format!(" from {:?}", after.key)).unwrap_or_default();
    format!("list versions of {name:?}{under}{from}")
}

fn page(
    reader: &VersionReader,
    watch: &Watch,
    prefix: &str,
    after: Option<&Cursor>,
) -> Result<Page, Malformed> {
    let listing = reader.take().ok_or_else(|| Malformed::new("the answer was not read"))?;
    listing.check(prefix, after)?;
    Ok(Page { entries: listing.entries, next: listing.next, window: watch.window()? })
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use super::*;
    use crate::aws::scripted::{Server, answer, answer_with};
    use crate::bucket::Bucket as _;
    use crate::model::{State, VersionId};

    async fn serve(answers: impl IntoIterator<Item = String>) -> (Server, Bucket) {
        let server = Server::start(answers).await;
        let client = crate::aws::s3(&server.config().await);
        (server, Bucket::new("genomics", client))
    }

    fn entry(tag: &str, key: &str, id: &str) -> String {
        format!(
            "<{tag}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>true</IsLatest>\
             <LastModified>2026-07-20T10:00:00.000Z</LastModified></{tag}>"
        )
    }

    fn listing(inner: &str) -> String {
        format!("<ListVersionsResult><EncodingType>url</EncodingType>{inner}</ListVersionsResult>")
    }

    fn error(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>because</Message></Error>")
    }

    const END: &str = "<IsTruncated>false</IsTruncated>";

    /// The query, decoded: what the store understands.
    fn query(server: &Server, index: usize) -> Vec<(String, String)> {
        let url = url::Url::parse(&format!("http://x{}", server.asked()[index].target)).unwrap();
        assert_eq!(url.path().trim_end_matches('/'), "/genomics");
        url.query_pairs().into_owned().filter(|(name, _)| name != "x-id").collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_by_decoded_markers() {
        let first = [
            entry("Version", "a+%3D%2B", "3"),
            entry("DeleteMarker", "a+%3D%2B", "2"),
            "<IsTruncated>true</IsTruncated><NextKeyMarker>a+%3D%2B</NextKeyMarker>\
             <NextVersionIdMarker>2</NextVersionIdMarker>"
                .to_owned(),
        ];
        let second = [entry("Version", "a+%3D%2B", "1"), END.to_owned()];
        let answers = [first.concat(), second.concat()].map(|inner| answer(200, &listing(&inner)));
        let (server, bucket) = serve(answers).await;

        let page = bucket.list("a ", None).await.unwrap();
        let found: Vec<_> =
            page.entries.iter().map(|(key, entry)| (key.as_str(), entry.version.as_str())).collect();
        assert_eq!(found, [("a =+", "3"), ("a =+", "2")]);
        assert_eq!(page.entries[1].1.state, State::Marker);
        let cursor = Cursor { key: "a =+".to_owned(), version: Some(VersionId::parse(Some("2"))) };
        assert_eq!(page.next, Some(cursor));

        let page = bucket.list("a ", page.next.as_ref()).await.unwrap();
        assert_eq!(page.next, None);
        assert_eq!(page.entries.len(), 1);

        let common = [("versions", ""), ("encoding-type", "url")];
        let rest = [("max-keys", "1000"), ("prefix", "a ")];
        assert_eq!(query(&server, 0), pairs(&[&common[..], &rest].concat()));
        let markers = ([("key-marker", "a =+")], [("version-id-marker", "2")]);
        assert_eq!(query(&server, 1), pairs(&[&common[..], &markers.0, &rest, &markers.1].concat()));
    }

    #[tokio::test]
    async fn a_key_alone_goes_out_without_a_version() {
        let (server, bucket) = serve([answer(200, &listing(END))]).await;
        let after = Cursor { key: "a".to_owned(), version: None };
        bucket.list("", Some(&after)).await.unwrap();
        let sent = query(&server, 0);
        assert!(sent.contains(&("key-marker".to_owned(), "a".to_owned())), "{sent:?}");
        assert!(sent.iter().all(|(name, _)| name != "version-id-marker"), "{sent:?}");
    }

    #[tokio::test]
    async fn a_raw_control_character_is_no_obstacle() {
        let inner = [&entry("Version", "a\u{1}b", "1"), END].concat();
        let body = format!("<ListVersionsResult>{inner}</ListVersionsResult>");
        let (_server, bucket) = serve([answer(200, &body)]).await;
        assert_eq!(bucket.list("", None).await.unwrap().entries[0].0, "a\u{1}b");
    }

    #[tokio::test]
    async fn the_window_lies_around_the_date_of_the_answer() {
        let date = "Date: Mon, 20 Jul 2026 10:00:00 GMT\r\n";
        let pause = Duration::from_millis(100);
        let server = Server::start_slow(pause, [answer_with(200, date, &listing(END))]).await;
        let bucket = Bucket::new("genomics", crate::aws::s3(&server.config().await));
        let window = bucket.list("", None).await.unwrap().window;
        let width = window.to.distance(window.from);
        let shortest = (Duration::from_secs(1) + pause) * 2;
        assert!(width >= shortest && width < shortest * 4, "{width:?}");
        assert_eq!((window.from.as_micros() + window.to.as_micros()) / 2, 1_784_541_600_000_000);
    }

    #[tokio::test]
    async fn what_passes_is_tried_again() {
        let answers = [
            answer(503, &error("SlowDown")),
            answer(500, "<html>oops"),
            answer(200, &error("InternalError")),
            answer(200, "<ListVersionsResult><Version>"),
            answer(200, &listing(END)),
        ];
        let (server, bucket) = serve(answers).await;
        bucket.list("", None).await.unwrap();
        assert_eq!(server.asked().len(), 5);
    }

    #[tokio::test]
    async fn an_error_in_an_answer_of_200_is_an_error() {
        let answers = vec![answer(200, &error("SlowDown")); crate::aws::ATTEMPTS_MAX as usize];
        let (_server, bucket) = serve(answers).await;
        let fault = bucket.list("", None).await.unwrap_err();
        assert_eq!((fault.kind, fault.answer.as_str()), (Kind::Throttled, "SlowDown: because"));
    }

    #[tokio::test]
    async fn faults_say_what_was_done_and_what_to_do() {
        let told = "x-amz-bucket-region: eu-north-1\r\nx-amz-request-id: R1\r\n";
        let endless = "<IsTruncated>true</IsTruncated><NextKeyMarker>k%3D</NextKeyMarker>\
            <NextVersionIdMarker>1</NextVersionIdMarker>";
        let stray = [&entry("Version", "other", "1"), END].concat();
        let denied = "AccessDenied: because";
        for (answer, kind, text, remedy) in [
            (
                answer(403, &error("AccessDenied")),
                Kind::Denied,
                denied,
                "s3:ListBucketVersions on arn:aws:s3:::genomics",
            ),
            (
                answer_with(301, told, &error("PermanentRedirect")),
                Kind::WrongRegion,
                "PermanentRedirect",
                "eu-north-1",
            ),
            (answer(404, &error("NoSuchBucket")), Kind::Absent, "NoSuchBucket", "exists"),
            (answer(400, &error("ExpiredToken")), Kind::Credentials, "ExpiredToken", "credentials"),
            (answer(403, &error("SignatureDoesNotMatch")), Kind::Credentials, "Signature", "credentials"),
            (
                answer(501, &error("NotImplemented")),
                Kind::Unsupported,
                "NotImplemented",
                "s3:ListBucketVersions",
            ),
            (answer(405, ""), Kind::Unsupported, "HTTP status 405", "store"),
            (answer(200, &listing(endless)), Kind::Malformed, "does not advance", "endpoint"),
            (answer(200, &listing(&stray)), Kind::Malformed, "\"other\" is listed", "endpoint"),
            (answer_with(200, "", &listing(END)), Kind::Malformed, "no date header", "endpoint"),
            (answer_with(200, "Date: soon\r\n", &listing(END)), Kind::Malformed, "\"soon\"", "endpoint"),
        ] {
            let (_server, bucket) = serve([answer]).await;
            let after = Cursor { key: "k=".to_owned(), version: Some(VersionId::parse(Some("1"))) };
            let fault = bucket.list("k", Some(&after)).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{fault}");
            let action = "list versions of \"genomics\" under \"k\" from \"k=\": ";
            assert!(fault.to_string().starts_with(action), "{fault}");
            assert!(fault.answer.contains(text), "{fault}");
            assert!(fault.remedy.contains(remedy), "{}", fault.remedy);
        }
        let (_server, bucket) = serve([answer_with(403, told, &error("AccessDenied"))]).await;
        let fault = bucket.list("", None).await.unwrap_err();
        assert_eq!(fault.source().unwrap().to_string(), "request id R1");
    }

    #[tokio::test]
    async fn versioning_has_three_states() {
        for (status, expected) in [
            ("", Versioning::Unversioned),
            ("<Status>Enabled</Status>", Versioning::Enabled),
            ("<Status>Suspended</Status>", Versioning::Suspended),
        ] {
            let body = format!("<VersioningConfiguration>{status}</VersioningConfiguration>");
            let (_server, bucket) = serve([answer(200, &body)]).await;
            assert_eq!(bucket.versioning().await.unwrap().0, expected);
        }
        let (_server, bucket) = serve([answer_with(200, "", "<VersioningConfiguration/>")]).await;
        assert_eq!(bucket.versioning().await.unwrap_err().answer[..31], *"the answer has no date header, ");
        for body in ["<VersioningConfiguration><Status>Odd</Status></VersioningConfiguration>", "<html>"] {
            let (_server, bucket) = serve([answer(200, body)]).await;
            let fault = bucket.versioning().await.unwrap_err();
            assert_eq!(fault.kind, Kind::Malformed, "{fault}");
        }
    }

    #[tokio::test]
    async fn the_region_is_told_even_to_those_who_may_not_look() {
        let told = "x-amz-bucket-region: eu-north-1\r\n";
        let eu = answer(200, "<LocationConstraint>EU</LocationConstraint>");
        let null = answer(200, "<LocationConstraint/>");
        let unknown = || answer(501, &error("NotImplemented"));
        for (answers, region) in [
            (vec![answer_with(200, told, "")], "eu-north-1"),
            (vec![answer_with(301, told, "")], "eu-north-1"),
            (vec![answer_with(403, told, "")], "eu-north-1"),
            (vec![answer(200, ""), eu], "eu-west-1"),
            (vec![answer(403, ""), null], "us-east-1"),
            (vec![answer(200, ""), unknown()], "eu-west-1"),
        ] {
            let (_server, bucket) = serve(answers).await;
            assert_eq!(bucket.region().await.unwrap(), region);
        }
        let (_server, bucket) = serve([answer(404, "")]).await;
        assert_eq!(bucket.region().await.unwrap_err().kind, Kind::Absent);
    }

    #[tokio::test]
    async fn debug_shows_no_secrets() {
        let (_server, bucket) = serve([]).await;
        assert_eq!(format!("{bucket:?}"), "Bucket { name: \"genomics\", .. }");
    }
}
