use std::error::Error;
use std::time::Duration;

use super::*;
use crate::aws::scripted::{Server, answer, answer_with};
use crate::bucket::Bucket as _;
use crate::bucket::rules::{Destination, Filter, Rule};
use crate::model::VersionId;

mod fallback;
mod unrepresentable;

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
    let found: Vec<_> = page.keys.entries().map(|(key, told)| (key, told.version, told.is_marker)).collect();
    assert_eq!(found, [("a =+", "3", false), ("a =+", "2", true)]);
    let cursor = Cursor { version: Some(VersionId::parse(Some("2"))), ..Cursor::after("a =+".to_owned()) };
    assert_eq!(page.next, Some(cursor));

    let page = bucket.list("a ", page.next.as_ref()).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(page.keys.len(), 1);

    let common = [("versions", ""), ("encoding-type", "url")];
    let rest = [("max-keys", "1000"), ("prefix", "a ")];
    assert_eq!(query(&server, 0), pairs(&[&common[..], &rest].concat()));
    let markers = ([("key-marker", "a =+")], [("version-id-marker", "2")]);
    assert_eq!(query(&server, 1), pairs(&[&common[..], &markers.0, &rest, &markers.1].concat()));
}

#[tokio::test]
async fn a_key_alone_goes_out_without_a_version() {
    let (server, bucket) = serve([answer(200, &listing(END))]).await;
    let after = Cursor::after("a");
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
    assert_eq!(bucket.list("", None).await.unwrap().keys.first().unwrap().name, "a\u{1}b");
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
        (answer(403, &error("SignatureDoesNotMatch")), Kind::Credentials, "Signature", "secret key"),
        (answer(200, &listing(endless)), Kind::Malformed, "does not advance", "endpoint"),
        (answer(200, &listing(&stray)), Kind::Malformed, "\"other\" is listed", "endpoint"),
        (answer_with(200, "", &listing(END)), Kind::Malformed, "no date header", "endpoint"),
        (answer_with(200, "Date: soon\r\n", &listing(END)), Kind::Malformed, "\"soon\"", "endpoint"),
    ] {
        let (_server, bucket) = serve([answer]).await;
        let after = Cursor { version: Some(VersionId::parse(Some("1"))), ..Cursor::after("k=".to_owned()) };
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
    for (body, words) in [
        ("<VersioningConfiguration><Status>Odd</Status></VersioningConfiguration>", "\"Odd\""),
        ("\n <HTML><title>Log in</title>", "HTTP status 200 with a web page"),
        ("Service unavailable", "the answer cannot be read: error parsing XML: no root element"),
    ] {
        let (_server, bucket) = serve([answer(200, body)]).await;
        let fault = bucket.versioning().await.unwrap_err();
        assert_eq!(fault.kind, Kind::Malformed, "{fault}");
        let chain = crate::chain::chain(&fault);
        assert!(chain.contains(words) && !chain.contains("bug") && chain.len() < 160, "{chain}");
    }
}

#[tokio::test]
async fn whoever_answers_in_the_place_of_s3_is_told_from_it() {
    for (answer, kind, words) in [
        (answer(200, "<!DOCTYPE html>"), Kind::Malformed, "HTTP status 200 with a web page"),
        (answer(403, "<html>"), Kind::Malformed, "HTTP status 403 with a web page"),
        (answer(502, "<html>"), Kind::Throttled, "HTTP status 502 with a web page"),
        (
            answer_with(302, "Location: https://login/\r\n", ""),
            Kind::Malformed,
            "HTTP status 302 with the way to \"https://login/\"",
        ),
    ] {
        let (_server, bucket) = serve(vec![answer; crate::aws::ATTEMPTS_MAX as usize]).await;
        let fault = bucket.versioning().await.unwrap_err();
        assert_eq!((fault.kind, fault.answer.as_str()), (kind, words));
        assert!(fault.remedy.contains("a portal where one logs in"), "{}", fault.remedy);
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
async fn every_attempt_is_counted_by_how_it_ended() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let answers = [
        answer(503, &error("SlowDown")),
        answer(500, "<html>oops"),
        answer(200, &error("InternalError")),
        answer(200, &listing(END)),
    ];
    let (_server, bucket) = serve(answers).await;
    bucket.list("", None).await.unwrap();
    assert_eq!(bucket.list("", None).await.unwrap_err().kind, Kind::Unreachable);
    // Nobody waits for the end of this one.
    let server = Server::start_slow(Duration::from_secs(600), [answer(200, &listing(END))]).await;
    let slow = Bucket::new("genomics", crate::aws::s3(&server.config().await));
    let cut = tokio::time::timeout(Duration::from_millis(500), slow.list("", None)).await;
    assert!(cut.is_err() && server.asked().len() == 1);

    let text = recorder.handle().render();
    for (outcome, count) in
        [("ok", 1), ("throttled", 1), ("error", 2 + crate::aws::ATTEMPTS_MAX), ("cancelled", 1)]
    {
        let line = format!(
            "stocktake_s3_requests_total{{operation=\"ListObjectVersions\",outcome=\"{outcome}\"}} {count}"
        );
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn who_is_throttled_asks_less_often() {
    let answers = [answer(503, &error("SlowDown")), answer(200, &listing(END))];
    let server = Server::start(answers).await;
    let client = crate::aws::s3_adaptive(&server.config().await, "throttled");
    let began = tokio::time::Instant::now();
    Bucket::new("genomics", client).list("", None).await.unwrap();
    // The pause between attempts is a millisecond here: it is the pace that has changed.
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn pages_are_asked_for_no_faster_than_is_allowed() {
    let answers = vec![answer(200, &listing(END)); 6];
    let server = Server::start(answers).await;
    let bucket = Bucket::paced("genomics", crate::aws::s3(&server.config().await), 20);
    let began = tokio::time::Instant::now();
    for _ in 0..6 {
        bucket.list("", None).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
}

#[tokio::test]
async fn notifications_are_read_whole() {
    let filter = "<Filter><S3Key><FilterRule><Name>Prefix</Name><Value>a+b/</Value></FilterRule>\
         <FilterRule><Name>suffix</Name><Value>.bam</Value></FilterRule></S3Key></Filter>";
    let created = "<Event>s3:ObjectCreated:*</Event>";
    let body = [
        "<NotificationConfiguration>",
        &format!("<TopicConfiguration><Id>t</Id><Topic>arn:t</Topic>{created}</TopicConfiguration>"),
        &format!(
            "<QueueConfiguration><Id>q</Id><Queue>arn:q</Queue>{created}<Event>s3:Novel:*</Event>{filter}\
             </QueueConfiguration>"
        ),
        &format!(
            "<CloudFunctionConfiguration><CloudFunction>arn:f</CloudFunction>{created}</CloudFunctionConfiguration>"
        ),
        "<EventBridgeConfiguration/></NotificationConfiguration>",
    ];
    let (server, bucket) =
        serve([answer(200, &body.concat()), answer(200, "<NotificationConfiguration/>")]).await;
    let rule = |id: &str, destination, events: &[&str], filters: &[(&str, &str)]| Rule {
        id: id.to_owned(),
        destination,
        events: events.iter().map(|&event| event.to_owned()).collect(),
        filters: filters
            .iter()
            .map(|&(name, value)| Filter { name: name.to_owned(), value: value.to_owned() })
            .collect(),
    };
    let created = "s3:ObjectCreated:*";
    let rules = vec![
        rule(
            "q",
            Destination::Queue("arn:q".to_owned()),
            &[created, "s3:Novel:*"],
            &[("Prefix", "a+b/"), ("suffix", ".bam")],
        ),
        rule("t", Destination::Topic("arn:t".to_owned()), &[created], &[]),
        rule("", Destination::Function("arn:f".to_owned()), &[created], &[]),
    ];
    assert_eq!(bucket.notifications().await.unwrap(), Rules { rules, event_bridge: true });
    assert_eq!(bucket.notifications().await.unwrap(), Rules::default());
    assert_eq!(query(&server, 0), pairs(&[("notification", "")]));

    let (_server, bucket) = serve([answer(403, &error("AccessDenied"))]).await;
    let fault = bucket.notifications().await.unwrap_err();
    assert_eq!((fault.kind, fault.remedy.contains("s3:GetBucketNotification on")), (Kind::Denied, true));
}

#[tokio::test]
async fn debug_shows_no_secrets() {
    let (_server, bucket) = serve([]).await;
    assert_eq!(format!("{bucket:?}"), "Bucket { name: \"genomics\", .. }");
}
