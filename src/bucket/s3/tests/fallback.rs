//! Stores that cannot list versions.

use super::*;

fn objects(keys: &[&str], is_truncated: bool) -> String {
    let contents = keys.iter().map(|key| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-07-20T10:00:00.000Z</LastModified><Size>1</Size>\
             </Contents>"
        )
    });
    let contents: String = contents.collect();
    format!(
        "<ListBucketResult><EncodingType>url</EncodingType>{contents}<IsTruncated>{is_truncated}</IsTruncated>\
         </ListBucketResult>"
    )
}

const UNVERSIONED: &str = "<VersioningConfiguration/>";

#[tokio::test]
async fn a_store_without_versions_is_listed_by_its_objects() {
    let unsupported =
        [answer(501, &error("NotImplemented")), answer(405, ""), answer(400, &error("UnsupportedOperation"))];
    for unsupported in unsupported {
        let region = answer_with(200, "x-amz-bucket-region: eu-north-1\r\n", "");
        let answers = [
            unsupported,
            answer(200, UNVERSIONED),
            region,
            answer(200, &objects(&["a+b", "a%2Bb"], true)),
            answer(200, &objects(&["c"], false)),
        ];
        let (server, bucket) = serve(answers).await;
        let page = bucket.list("", None).await.unwrap();
        let keys: Vec<_> = page.keys.iter().map(|key| key.name).collect();
        assert_eq!(keys, ["a b", "a+b"]);
        assert!(page.keys.entries().all(|(_, told)| told.version == VersionId::NULL && told.is_latest));
        let next = Cursor::after("a+b");
        assert_eq!(page.next.as_ref(), Some(&next));
        // It is not asked for versions again.
        let last = bucket.list("", page.next.as_ref()).await.unwrap();
        assert_eq!((last.keys.len(), last.next), (1, None));
        let common = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1000"), ("prefix", "")];
        assert_eq!(query(&server, 3), pairs(&common));
        assert_eq!(query(&server, 4), pairs(&[&common[..], &[("start-after", "a+b")]].concat()));
    }
}

#[tokio::test]
async fn a_store_that_keeps_versions_must_list_them() {
    let enabled = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let (_server, bucket) = serve([answer(501, &error("NotImplemented")), answer(200, enabled)]).await;
    let fault = bucket.list("", None).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Unsupported);
    assert_eq!(
        fault.to_string(),
        "list versions of \"genomics\": NotImplemented: because, and yet the versioning of the bucket is suspended"
    );
    assert!(fault.remedy.contains("can list the versions"), "{}", fault.remedy);

    // Nor is it listed by its objects any longer once it is asked to keep versions.
    let answers = [
        answer(501, &error("NotImplemented")),
        answer(200, UNVERSIONED),
        answer_with(200, "x-amz-bucket-region: eu-north-1\r\n", ""),
        answer(200, &objects(&[], false)),
        answer(200, enabled),
        answer(501, &error("NotImplemented")),
        answer(200, enabled),
    ];
    let (_server, bucket) = serve(answers).await;
    bucket.list("", None).await.unwrap();
    assert_eq!(bucket.versioning().await.unwrap().0, Versioning::Suspended);
    assert_eq!(bucket.list("", None).await.unwrap_err().kind, Kind::Unsupported);
}

#[tokio::test]
async fn who_knows_of_no_versioning_keeps_no_versions() {
    let (_server, bucket) = serve([answer(501, &error("NotImplemented"))]).await;
    assert_eq!(bucket.versioning().await.unwrap().0, Versioning::Unversioned);
    let (_server, bucket) = serve([answer(403, &error("AccessDenied"))]).await;
    assert_eq!(bucket.versioning().await.unwrap_err().kind, Kind::Denied);
}

#[tokio::test]
async fn a_directory_bucket_is_refused_with_the_reason() {
    let told = "x-amz-bucket-region: eu-north-1\r\nx-amz-bucket-location-type: AvailabilityZone\r\n";
    let directory = || answer_with(200, told, "");
    let (_server, bucket) = serve([directory()]).await;
    let fault = bucket.region().await.unwrap_err();
    assert_eq!(fault.kind, Kind::Unsupported);
    assert!(fault.answer.contains("directory bucket") && fault.remedy.contains("general purpose"), "{fault}");
    // Nor is it listed by its objects, which come in no order.
    let answers = [answer(405, &error("MethodNotAllowed")), answer(200, UNVERSIONED), directory()];
    let (_server, bucket) = serve(answers).await;
    assert!(bucket.list("", None).await.unwrap_err().answer.contains("directory bucket"));
}

#[tokio::test]
async fn odd_keys_come_through_either_list() {
    let long = "é".repeat(512);
    let keys =
        [" ", "\u{1}\u{1f}", "%", "%2B", "+", "a b+c%20", "\r\n\t", "\u{7f}", "Ã©", "\u{fffd}", "\u{10ffff}"];
    let keys: Vec<&str> = keys.into_iter().chain([long.as_str()]).collect();
    let encoded: Vec<String> =
        keys.iter().map(|key| url::form_urlencoded::byte_serialize(key.as_bytes()).collect()).collect();
    let versions: String = encoded.iter().map(|key| entry("Version", key, "1")).collect();
    let encoded: Vec<&str> = encoded.iter().map(String::as_str).collect();
    let answers = [
        answer(200, &listing(&format!("{versions}{END}"))),
        answer(501, &error("NotImplemented")),
        answer(200, UNVERSIONED),
        answer_with(200, "x-amz-bucket-region: eu-north-1\r\n", ""),
        answer(200, &objects(&encoded, false)),
    ];
    let (_server, bucket) = serve(answers).await;
    for list in ["versions", "objects"] {
        let page = bucket.list("", None).await.unwrap();
        let found: Vec<_> = page.keys.iter().map(|key| key.name).collect();
        assert_eq!(found, keys, "in a list of {list}");
    }
    // And as markers they go out as they are.
    for key in keys {
        let (server, bucket) = serve([answer(200, &listing(END))]).await;
        let after = Cursor { version: Some(VersionId::parse(Some("1"))), ..Cursor::after(key.to_owned()) };
        bucket.list("", Some(&after)).await.unwrap();
        assert!(query(&server, 0).contains(&("key-marker".to_owned(), key.to_owned())), "{key:?}");
    }
}
