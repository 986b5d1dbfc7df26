use super::*;

const DATE: &str = "2026-07-20T10:00:00.000Z";

fn version(key: &str, id: &str) -> String {
    format!(
        "<Version><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>true</IsLatest>\
         <LastModified>{DATE}</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size>\
         <StorageClass>GLACIER_IR</StorageClass><Owner><ID>x</ID></Owner></Version>"
    )
}

fn marker(key: &str, id: &str) -> String {
    format!(
        "<DeleteMarker><Owner><Key>no</Key></Owner><Key>{key}</Key><VersionId>{id}</VersionId>\
         <IsLatest>false</IsLatest><LastModified>{DATE}</LastModified></DeleteMarker>"
    )
}

fn document(parts: &[&str]) -> String {
    let parts = parts.concat();
    format!("<?xml version=\"1.0\"?>\n<ListVersionsResult xmlns=\"http://s3\">{parts}</ListVersionsResult>")
}

fn last_page(parts: &[&str]) -> Result<Listing, String> {
    parse_str(&document(&[&parts.concat(), "<IsTruncated>false</IsTruncated>"]))
}

fn parse_str(document: &str) -> Result<Listing, String> {
    parse(document.as_bytes(), "genomics").map_err(|malformed| malformed.to_string())
}

fn keys(listing: &Listing) -> Vec<&str> {
    listing.keys.entries().map(|(key, _)| key).collect()
}

fn cursor(key: &str, version: Option<&str>) -> Cursor {
    Cursor {
        version: version.map(|version| VersionId::parse(Some(version))),
        ..Cursor::after(key.to_owned())
    }
}

#[test]
fn versions_and_markers_keep_their_order() {
    let listing = last_page(&[&version("a", "3"), &marker("a", "2"), &version("a", "1")]).unwrap();
    let ids: Vec<_> = listing.keys.entries().map(|(_, told)| told.version).collect();
    assert_eq!(ids, ["3", "2", "1"]);
    assert_eq!(listing.next, None);
    let [(_, object), (key, marker), _] = listing.keys.entries().collect::<Vec<_>>()[..] else {
        panic!("{listing:?}")
    };
    let last_modified = Timestamp::from_micros(1_784_541_600_000_000);
    let expected = Told {
        version: "3",
        is_latest: true,
        is_marker: false,
        etag: Some("e"),
        size: Some(7),
        last_modified,
        storage_class: Some("GLACIER_IR"),
    };
    assert_eq!(object, expected);
    assert_eq!(key, "a");
    assert_eq!((marker.is_marker, marker.is_latest, marker.storage_class), (true, false, None));
}

#[test]
fn keys_are_decoded_only_where_the_document_says_so() {
    let encoding = "<EncodingType>url</EncodingType>";
    let entry = version("a+b%2B%20%C3%A9%01%zz", "1+%20");
    for (parts, key) in [
        ([encoding, &entry], "a b+ é\u{1}%zz"),
        ([&entry, encoding], "a b+ é\u{1}%zz"),
        ([&entry, ""], "a+b%2B%20%C3%A9%01%zz"),
        ([&entry, "<EncodingType/>"], "a+b%2B%20%C3%A9%01%zz"),
    ] {
        let listing = last_page(&parts).unwrap();
        assert_eq!(keys(&listing), [key]);
        assert_eq!(listing.keys.entries().map(|(_, told)| told.version).collect::<Vec<_>>(), ["1+%20"]);
    }
}

#[test]
fn control_characters_survive() {
    let entries = [version("a\u{1}\r\nb", "1"), version("a&#x1;&#13;&amp;b", "2")];
    let listing = last_page(&[&entries[0], &entries[1]]).unwrap();
    assert_eq!(keys(&listing), ["a\u{1}\r\nb", "a\u{1}\r&b"]);
}

#[test]
fn every_null_is_null_and_what_is_missing_is_unknown() {
    let spare = format!("<IsLatest>true</IsLatest><LastModified>{DATE}</LastModified>");
    for id in ["", "<VersionId/>", "<VersionId></VersionId>", "<VersionId>null</VersionId>"] {
        let entry = format!("<Version><Key>a</Key>{id}{spare}<ETag/></Version>");
        let listing = last_page(&[&entry]).unwrap();
        let (_, told) = listing.keys.entries().next().unwrap();
        assert_eq!((told.version, told.etag, told.size), ("null", None, None), "{id}");
    }
}

#[test]
fn dates_may_have_fractions() {
    for (text, micros) in
        [("2026-07-20T10:00:00Z", 0), ("2026-07-20T10:00:00.123456789Z", 123_456), (DATE, 0)]
    {
        assert_eq!(date(text), Ok(Timestamp::from_micros(1_784_541_600_000_000 + micros)), "{text}");
    }
}

#[test]
fn the_next_page_begins_at_the_markers_or_after_the_last_entry() {
    let truncated = "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>";
    let (key, id) = ("<NextKeyMarker>b+%3D</NextKeyMarker>", "<NextVersionIdMarker>%2</NextVersionIdMarker>");
    let entries = [version("a", "1"), marker("b+%3D", "2")].concat();
    for (parts, next) in [
        (vec![key, id], cursor("b =", Some("%2"))),
        (vec![&entries, key, id], cursor("b =", Some("%2"))),
        (vec![&entries, key], cursor("b =", Some("2"))),
        (vec![&entries, "<NextKeyMarker>c</NextKeyMarker>"], cursor("c", None)),
        (vec![&entries, "<NextKeyMarker/><NextVersionIdMarker/>"], cursor("b =", Some("2"))),
        (vec![&entries, id], cursor("b =", Some("2"))),
        // Ceph encodes the keys of entries, and not this one.
        (
            vec![&entries, &version("c%25cd%2B", "3"), "<NextKeyMarker>c%cd+</NextKeyMarker>"],
            cursor("c%cd+", Some("3")),
        ),
    ] {
        let listing = parse_str(&document(&[truncated, &parts.concat()])).unwrap();
        assert_eq!(listing.next, Some(next), "{parts:?}");
    }
    let unasked = last_page(&[&entries, key, id]).unwrap();
    assert_eq!(unasked.next, None);
}

#[test]
fn hostile_documents_say_what_is_wrong() {
    let end = "<IsTruncated>false</IsTruncated>";
    let spare = format!("<IsLatest>true</IsLatest><LastModified>{DATE}</LastModified>");
    let entry = |inner: &str| document(&[end, "<Version>", inner, "</Version>"]);
    for (document, expected) in [
        (String::new(), "ends early"),
        ("503 Slow Down".to_owned(), "ends early"),
        ("<html><body>hello</body></html>".to_owned(), "<html>, not a list"),
        ("<ListBucketResult/>".to_owned(), "<ListBucketResult>, not a list"),
        (document(&[]), "the list has no IsTruncated"),
        (document(&["<IsTruncated>maybe</IsTruncated>"]), "\"maybe\""),
        (document(&["<IsTruncated>true</IsTruncated>"]), "nothing says from where"),
        (document(&[end, "<Version>"]), "broken"),
        (document(&[end, &version("a", "1")])[..300].to_owned(), "ends early, at byte 300"),
        ("<ListVersionsResult><Version><Key>a".to_owned(), "ends early"),
        (entry(&spare), "an entry has no Key"),
        (entry("<Key>a</Key><IsLatest>true</IsLatest>"), "\"a\" has no LastModified"),
        (entry(&format!("<Key>a</Key><LastModified>{DATE}</LastModified>")), "\"a\" has no IsLatest"),
        (entry(&format!("<Key>a</Key>{spare}<Size>-</Size>")), "\"-\", which is no number"),
        (entry(&format!("<Key>a</Key>{spare}<Size>-1</Size>")), "\"-1\", which is no number"),
        (entry("<LastModified>today</LastModified>"), "\"today\", which is no date"),
    ] {
        let error = parse_str(&document).unwrap_err();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

#[test]
fn a_page_must_be_the_one_asked_for() {
    let page = |keys: &[&str], next: Option<Cursor>| {
        let entries: String = keys.iter().map(|key| version(key, "1")).collect();
        Listing { next, ..last_page(&[&entries]).unwrap() }
    };
    let (within, after_key) = (cursor("b", Some("5")), cursor("b", None));
    for (page, prefix, after, expected) in [
        (page(&["b", "c"], Some(cursor("c", Some("1")))), "", Some(&within), None),
        (page(&["b"], Some(cursor("b", Some("1")))), "", Some(&within), None),
        (page(&["ba", "bb"], None), "b", None, None),
        (page(&[], None), "b", Some(&within), None),
        (page(&["ba", "c"], None), "b", None, Some("\"c\" is listed, which does not begin with \"b\"")),
        (page(&["a"], None), "", Some(&within), Some("\"a\" is listed, which is before")),
        (page(&["b"], None), "", Some(&after_key), Some("\"b\" is listed, which is before")),
        (page(&["b"], Some(within.clone())), "", Some(&within), Some("does not advance")),
        (page(&[], Some(cursor("a", None))), "", Some(&within), Some("does not advance")),
        (page(&[], Some(cursor("b", Some("1")))), "", Some(&after_key), Some("does not advance")),
    ] {
        let error = page.check(prefix, after).err().map(|malformed| malformed.to_string());
        match expected {
            None => assert_eq!(error, None),
            Some(expected) => assert!(error.as_ref().unwrap().contains(expected), "{error:?}"),
        }
    }
}

#[test]
fn a_list_of_objects_is_one_of_null_versions() {
    let object = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>{DATE}</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let document = |parts: &[&str]| {
        format!("<ListBucketResult><EncodingType>url</EncodingType>{}</ListBucketResult>", parts.concat())
    };
    let truncated = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let body = document(&[&object("a+b"), &object("a%2Bb"), truncated]);
    let listing = parse_objects(body.as_bytes(), "genomics").unwrap();
    assert_eq!(keys(&listing), ["a b", "a+b"]);
    let (_, told) = listing.keys.entries().next().unwrap();
    assert_eq!((told.version, told.is_latest, told.etag, told.size), ("null", true, Some("e"), Some(7)));
    assert_eq!(listing.next, Some(cursor("a+b", None)), "the next page begins after the last key");

    let message = |body: &str| parse_objects(body.as_bytes(), "genomics").unwrap_err().to_string();
    assert!(message(&document(&[truncated])).contains("nothing says from where"));
    assert!(message(&document(&[&object("a")])).contains("no IsTruncated"));
    assert!(message(&last_page_document()).contains("<ListVersionsResult>, not a list of objects"));
}

fn last_page_document() -> String {
    document(&["<IsTruncated>false</IsTruncated>"])
}

fn raw(listing: &Listing) -> Vec<(&[u8], &str)> {
    listing.unrepresentable.iter().map(|raw| (raw.bytes.as_slice(), raw.reason.as_str())).collect()
}

#[test]
fn keys_that_the_catalog_cannot_hold_stand_apart() {
    let long = "k".repeat(2_900);
    let encoded = ["a", "b%00c", "b%ED%A0%BDc", "b%FF%FEc", &long, "z"];
    let entries: String = encoded.iter().map(|key| version(key, "1")).collect();
    // Two versions of one key are one key.
    let entries = entries + &version("zz%FF", "2") + &version("zz%FF", "1");
    let listing = last_page(&["<EncodingType>url</EncodingType>", &entries]).unwrap();
    assert_eq!(keys(&listing), ["a", "z"]);
    let expected: [(&[u8], &str); 5] = [
        (b"b\0c", "nul"),
        (b"b\xED\xA0\xBDc", "not_utf8"),
        (b"b\xFF\xFEc", "not_utf8"),
        (long.as_bytes(), "too_long"),
        (b"zz\xFF", "not_utf8"),
    ];
    assert_eq!(raw(&listing), expected);
    // A document may tell at its end that its keys are encoded.
    assert_eq!(last_page(&[&entries, "<EncodingType>url</EncodingType>"]).unwrap(), listing);
}

#[test]
fn keys_that_are_not_encoded_are_bytes() {
    let entries = ["a", "b&#x0;c", "b&#xD83D;c", "e@@%FF+"].map(|key| version(key, "1")).concat();
    let text = document(&[&entries, "<IsTruncated>false</IsTruncated>"]);
    let mut bytes = text.into_bytes();
    for byte in bytes.iter_mut().filter(|byte| **byte == b'@') {
        *byte = 0xE9;
    }
    let listing = parse(&bytes, "genomics").unwrap();
    assert_eq!(keys(&listing), ["a"]);
    let expected: [(&[u8], &str); 3] =
        [(b"b\0c", "nul"), (b"b\xED\xA0\xBDc", "not_utf8"), (b"e\xE9\xE9%FF+", "not_utf8")];
    assert_eq!(raw(&listing), expected);
}

#[test]
fn a_key_is_held_as_long_as_its_version_fits() {
    let key = "k".repeat(2_600);
    let (fits, long) = (version(&key, "1"), version(&key, &"v".repeat(100)));
    let listing = last_page(&[&fits, &long, &fits]).unwrap();
    assert_eq!((listing.keys.len(), listing.keys.entries().count()), (1, 2));
    assert_eq!(raw(&listing), [(key.as_bytes(), "too_long")]);
    let listing = last_page(&[&long, &fits]).unwrap();
    assert_eq!(listing.keys.entries().count(), 1);
}

#[test]
fn a_page_may_end_with_a_key_that_is_not_utf8() {
    let truncated = "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>";
    let marker = "<NextKeyMarker>b%FF1</NextKeyMarker>";
    let entries = [version("a", "1"), version("b%FF1", "1")].concat();
    let expected = Cursor { seen: b"b\xFF1".to_vec(), ..cursor("b\u{10FFFF}", None) };
    for parts in [vec![truncated, &entries, marker], vec![truncated, &entries]] {
        let listing = parse_str(&document(&parts)).unwrap();
        assert_eq!(listing.next, Some(expected.clone()));
    }
    // The last text of the page is nearer, and may have more versions.
    let entries = [version("b%F4%8F%BF%BFx", "1"), version("b%FF1", "1")].concat();
    let listing = parse_str(&document(&[truncated, &entries])).unwrap();
    assert_eq!(listing.next, Some(Cursor { seen: b"b\xFF1".to_vec(), ..cursor("b\u{10FFFF}x", Some("1")) }));
    // One with a NUL, or a long one, is text enough.
    let listing = parse_str(&document(&[truncated, &version("b%00", "1")])).unwrap();
    assert_eq!(listing.next, Some(cursor("b\0", Some("1"))));
}
