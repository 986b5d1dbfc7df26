//! The reference must itself be S3-like, or the rest proves nothing.

use stocktake::bucket::Versioning::{self, Enabled, Suspended, Unversioned};
use stocktake::model::{Content, Listed, State, Timestamp};

use super::{Bucket, DAY, Event, Millis, Personality, RemovalStamp, SECOND};

/// A day at noon.
const NOON: Millis = 20 * DAY + DAY / 2;

fn bucket(versioning: Versioning) -> Bucket {
    Bucket::new(versioning, Personality::Stamps)
}

fn bytes(etag: &str) -> Content {
    Content { etag: Some(etag.to_owned()), size: Some(1) }
}

/// The entries of `a`, newest first, as entity tags or `-` for markers, with `0` for null.
fn stack(bucket: &Bucket) -> Vec<String> {
    let read = |entry: Listed| {
        let etag = match entry.state {
            State::Object(content) => content.etag.unwrap_or_default(),
            State::Marker | State::Removed => "-".to_owned(),
        };
        if entry.version.is_null() { format!("0{etag}") } else { etag }
    };
    bucket.listed('a').into_iter().map(read).collect()
}

fn digits(event: &Event) -> i64 {
    i64::from_str_radix(event.sequencer.as_ref().unwrap(), 16).unwrap()
}

#[test]
fn an_unversioned_bucket_is_a_register() {
    let mut bucket = bucket(Unversioned);
    bucket.put('a', bytes("x"), NOON);
    bucket.put('a', bytes("y"), NOON);
    assert_eq!(stack(&bucket), ["0y"]);
    assert_eq!(bucket.delete('a', NOON).name, "ObjectRemoved:Delete");
    assert_eq!(stack(&bucket), [""; 0]);
    assert_eq!(bucket.delete('a', NOON).name, "ObjectRemoved:Delete", "also where nothing is");
}

#[test]
fn an_enabled_bucket_is_a_stack() {
    let mut bucket = bucket(Enabled);
    bucket.delete('a', NOON);
    bucket.put('a', bytes("x"), NOON);
    bucket.put('a', bytes("y"), NOON);
    assert_eq!(bucket.delete('a', NOON).name, "ObjectRemoved:DeleteMarkerCreated");
    assert_eq!(stack(&bucket), ["-", "y", "x", "-"], "a missing key gets a marker, too");
    bucket.delete_version('a', 0, RemovalStamp::Fresh, NOON);
    assert_eq!(stack(&bucket), ["y", "x", "-"]);
    let latest: Vec<bool> = bucket.listed('a').iter().map(|entry| entry.is_latest).collect();
    assert_eq!(latest, [true, false, false]);
}

#[test]
fn a_suspended_bucket_writes_its_null_version_and_keeps_the_others() {
    let mut bucket = bucket(Unversioned);
    bucket.put('a', bytes("x"), NOON);
    bucket.switch();
    bucket.put('a', bytes("y"), NOON);
    assert_eq!(stack(&bucket), ["y", "0x"], "what was there before is the null version");
    bucket.switch();
    bucket.put('a', bytes("z"), NOON);
    assert_eq!(stack(&bucket), ["0z", "y"]);
    bucket.delete('a', NOON);
    assert_eq!(stack(&bucket), ["0-", "y"], "a marker takes the place of the null version");
}

#[test]
fn an_upload_has_the_place_and_the_date_of_its_start() {
    let mut bucket = bucket(Enabled);
    bucket.begin(0, 'a', NOON);
    bucket.put('a', bytes("x"), NOON + 5 * SECOND);
    let event = bucket.complete(0, bytes("y"), NOON + 60 * SECOND).unwrap();
    assert_eq!(stack(&bucket), ["x", "y"]);
    assert_eq!((digits(&event), event.time), (NOON * 1_000, NOON + 60 * SECOND));
    assert_eq!(bucket.listed('a')[1].last_modified, Timestamp::from_micros(NOON * 1_000));
}

#[test]
fn an_upload_that_was_overtaken_is_told_of_and_never_seen() {
    let overtaken_by = |overtake: fn(&mut Bucket)| {
        let mut bucket = bucket(Suspended);
        bucket.put('a', bytes("v"), NOON);
        bucket.begin(0, 'a', NOON);
        overtake(&mut bucket);
        let event = bucket.complete(0, bytes("y"), NOON).unwrap();
        assert_eq!(event.name, "ObjectCreated:CompleteMultipartUpload");
        stack(&bucket)
    };
    let put = |bucket: &mut Bucket| drop(bucket.put('a', bytes("x"), NOON));
    assert_eq!(overtaken_by(put), ["0x"]);
    let delete = |bucket: &mut Bucket| drop(bucket.delete('a', NOON));
    assert_eq!(overtaken_by(delete), ["0-"]);
    let remove = |bucket: &mut Bucket| drop(bucket.delete_version('a', 0, RemovalStamp::Fresh, NOON));
    assert_eq!(overtaken_by(remove), [""; 0]);
}

#[test]
fn an_upload_younger_than_what_lifecycle_removed_is_seen() {
    let mut bucket = bucket(Unversioned);
    bucket.put('a', bytes("v"), NOON);
    bucket.begin(0, 'a', NOON);
    bucket.expire('a', 0, NOON + SECOND);
    bucket.complete(0, bytes("y"), NOON + 2 * SECOND);
    assert_eq!(stack(&bucket), ["0y"]);
}

#[test]
fn lifecycle_stamps_removals_like_their_victims_and_markers_at_midnight() {
    let mut unversioned = bucket(Unversioned);
    let put = unversioned.put('a', bytes("x"), NOON);
    let expired = unversioned.expire('a', 0, NOON + 9 * DAY).unwrap();
    assert_eq!((expired.name, digits(&expired)), ("LifecycleExpiration:Delete", digits(&put)));

    let mut enabled = bucket(Enabled);
    enabled.put('a', bytes("x"), NOON - DAY);
    let buried = enabled.bury('a', NOON).unwrap();
    assert_eq!(buried.name, "LifecycleExpiration:DeleteMarkerCreated");
    assert_eq!(digits(&buried), (NOON - DAY / 2) * 1_000);
    assert!(enabled.bury('a', NOON).is_none(), "once a night");
    assert_eq!(stack(&enabled), ["-", "x"]);
    enabled.expire('a', 0, NOON).unwrap();
    assert!(enabled.reap('a'), "a marker alone");
    assert_eq!(stack(&enabled), [""; 0]);
}

#[test]
fn a_replica_keeps_its_date() {
    let mut bucket = bucket(Enabled);
    bucket.put('a', bytes("x"), NOON);
    let event = bucket.replicate('a', bytes("y"), 60 * SECOND, NOON + SECOND).unwrap();
    assert_eq!(stack(&bucket), ["x", "y"]);
    assert!(digits(&event) < NOON * 1_000 && event.time == NOON + SECOND);
}

#[test]
fn events_have_the_fields_of_their_kind() {
    let has = |event: &Event| {
        [event.etag.is_some(), event.size.is_some(), event.version_id.is_some(), event.sequencer.is_some()]
    };
    for versioning in [Unversioned, Enabled, Suspended] {
        let is_enabled = versioning == Enabled;
        let mut bucket = bucket(versioning);
        assert_eq!(has(&bucket.put('a', bytes("x"), NOON)), [true, true, is_enabled, true]);
        let moved = bucket.transition('a', 0, "GLACIER", NOON).unwrap();
        assert_eq!(has(&moved), [false, false, is_enabled, false]);
        let deleted = bucket.delete('a', NOON);
        assert_eq!(has(&deleted), [versioning != Unversioned, false, is_enabled, true]);
        if let Some(removed) = bucket.delete_version('a', 0, RemovalStamp::Victims, NOON) {
            assert_eq!(has(&removed), [false, false, is_enabled, true]);
        }
    }
    let sequencer = |personality| Bucket::new(Enabled, personality).put('a', bytes("x"), NOON).sequencer;
    assert_eq!(sequencer(Personality::Nothing), None);
    assert_eq!(sequencer(Personality::Constant).as_deref(), Some("0055AED6DCD90281E5"));
}

#[test]
fn pages_of_a_bucket_at_rest_are_the_bucket() {
    let mut bucket = bucket(Enabled);
    for (place, key) in ['a', 'b', 'b', 'b', 'c', 'a'].into_iter().enumerate() {
        bucket.put(key, bytes(&place.to_string()), NOON);
    }
    bucket.delete('b', NOON);
    let whole: Vec<(char, Listed)> = ['a', 'b', 'c']
        .into_iter()
        .flat_map(|key| bucket.listed(key).into_iter().map(move |entry| (key, entry)))
        .collect();
    for limit in 1..9 {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = bucket.page(after.as_ref(), 'a', 'c', limit);
            assert!(page.entries.len() <= limit);
            entries.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(entries, whole, "{limit} on a page");
    }
}

#[test]
fn a_page_resumes_behind_what_is_gone_and_does_not_see_what_is_new_before_it() {
    let mut bucket = bucket(Enabled);
    for etag in ["x", "y", "z"] {
        bucket.put('a', bytes(etag), NOON);
    }
    let first = bucket.page(None, 'a', 'c', 2);
    bucket.delete_version('a', 1, RemovalStamp::Fresh, NOON);
    bucket.put('a', bytes("new"), NOON);
    let second = bucket.page(first.next.as_ref(), 'a', 'c', 2);
    let states: Vec<State> = second.entries.into_iter().map(|(_, entry)| entry.state).collect();
    assert_eq!(states, [State::Object(bytes("x"))]);
}
