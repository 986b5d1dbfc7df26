//! Inventory reports, a day old, in no order, and of a bucket that has changed since.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, Effect, MIGRATOR, Reason};
use stocktake::inventory::{self, Source};
use stocktake::model::{Claim, Fact, Listed, State};
use stocktake::recheck;
use stocktake::reconcile::{self, Summary, Trouble};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use crate::support::report::{self, ALL_VERSIONS, CURRENT, Row};
use crate::support::{NOW, Store, at, claim, connected, listed, put, rows, runs, versions};

mod starts;

const PREFIX: &str = "daily/genomics/all/";
/// Seconds after noon: when S3 began to make the report, and the time that it is read.
const BEGAN: i64 = 10_000;
const LATER: i64 = 100_000;
const QUEUE: inventory::Settings =
    inventory::Settings { effect: Effect::Keep, reason: Reason::Operator, limit: 100 };

fn now() -> OffsetDateTime {
    NOW + Duration::from_secs(LATER as u64)
}

/// A bucket whose reports are delivered into itself.
fn source(store: &Arc<Store>) -> Source<Store> {
    Source { bucket: Arc::clone(store), name: "reports".to_owned(), prefix: PREFIX.to_owned() }
}

async fn read(store: &Arc<Store>, catalog: &Catalog, connection: &Connection) -> Result<Summary, Trouble> {
    let (source, shutdown) = (source(store), CancellationToken::new());
    inventory::run(&source, catalog, connection, &connection.prefix, QUEUE, now, &shutdown).await
}

/// A bucket that was listed when it held this, at noon.
async fn listed_at_noon(pool: &PgPool, entries: &[(&str, Listed)]) -> (Catalog, Connection, Arc<Store>) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(10, 0, entries));
    let settings = reconcile::Settings { concurrency: 1, ..reconcile::Settings::default() };
    let shutdown = CancellationToken::new();
    reconcile::run(&store, &catalog, &connection, "", &settings, || NOW, &shutdown).await.unwrap();
    (catalog, connection, store)
}

fn rows_of(entries: &[(&str, Listed)]) -> Vec<Row> {
    let row = |(key, listed): &(&str, Listed)| {
        let date = OffsetDateTime::from(listed.last_modified);
        let content = match &listed.state {
            State::Object(content) => content.clone(),
            _ => Default::default(),
        };
        let null = listed.version.is_null();
        Row {
            bucket: "genomics".to_owned(),
            key: (*key).to_owned(),
            version: if null { String::new() } else { listed.version.to_string() },
            is_latest: listed.is_latest,
            is_marker: listed.state == State::Marker,
            size: content.size.unwrap_or_default(),
            date: (date.format(&Rfc3339).unwrap(), listed.last_modified.as_micros() / 1_000),
            etag: content.etag.unwrap_or_default(),
            class: listed.storage_class.clone().unwrap_or_default(),
        }
    };
    // In no order.
    entries.iter().rev().map(row).collect()
}

fn began(seconds: i64) -> i64 {
    at(seconds).as_micros() / 1_000
}

/// Delivers a report in CSV that S3 began to make at `began` seconds after noon, into that day's folder.
fn deliver(store: &Store, day: &str, seconds: i64, entries: &[(&str, Listed)]) -> String {
    let folder = format!("{PREFIX}2026-11-{day}T01-00Z/");
    let file = report::csv(&rows_of(entries), ALL_VERSIONS);
    store.deliver(report::deliver(&folder, "genomics", began(seconds), Some(ALL_VERSIONS), &[file]));
    folder
}

fn object(key: &str) -> (&str, Listed) {
    (key, listed("v1", "e1", -9_000, true))
}

async fn apply(catalog: &Catalog, connection: &Connection, key: &str, claim: Claim) {
    catalog.apply(connection, &[(key, &claim)], NOW).await.unwrap();
}

/// `key reason run_id` of what is in doubt.
async fn doubts(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select concat_ws(' ', key, reason, run_id) from catalog.rechecks order by key")
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn keys(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select key from catalog.objects order by key").fetch_all(pool).await.unwrap()
}

/// `source status error` of each run.
async fn ledger(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', source, status, error) from catalog.reconciliations order by run_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What a report says is old; what the catalog and the bucket say is new. In both formats.
async fn a_day_old_report(pool: PgPool, file: fn(&[Row]) -> Vec<u8>, schema: Option<&str>) {
    let at_noon = ["early", "gone", "late", "leaves", "stays"].map(object);
    let (catalog, connection, store) = listed_at_noon(&pool, &at_noon).await;
    let watermark = catalog.horizon(&connection).await.unwrap().watermark;

    // Before the report: `gone` goes and `lost` comes, and no event tells. The report has not heard of
    // `late`, though it is there; `early` was removed since, and so was the event of that.
    let lost = ("lost", listed("v1", "e1", 5_000, true));
    let reported = [object("early"), object("leaves"), object("stays"), lost.clone()];
    // Files in no order, and no file in order.
    let (first, second) = reported.split_at(2);
    let files = [file(&rows_of(second)), file(&rows_of(first))];
    let folder = format!("{PREFIX}2026-11-02T01-00Z/");
    store.deliver(report::deliver(&folder, "genomics", began(BEGAN), schema, &files));
    // Since then: `comes` comes and `leaves` leaves, as events tell; `unheard` comes, and none tells.
    apply(&catalog, &connection, "comes", put("v1", "e1", "01", 50_000)).await;
    apply(&catalog, &connection, "leaves", claim("v1", Fact::Removed, "02", 60_000)).await;
    let since = [
        ("comes", listed("v1", "e1", 50_000, true)),
        object("late"),
        lost,
        object("stays"),
        object("unheard"),
    ];
    store.become_at(LATER, &since);

    let requests = store.requests();
    let before = rows(&pool).await;
    let summary = read(&store, &catalog, &connection).await.unwrap();
    let run_id = summary.run_id.unwrap();
    assert_eq!((summary.counts.keys, summary.counts.versions, summary.doubts), (4, 4, 3));
    let nominated = ["gone", "late", "lost"].map(|key| format!("{key} inventory {run_id}"));
    assert_eq!(doubts(&pool).await, nominated);
    assert_eq!(
        (rows(&pool).await, store.requests()),
        (before, requests),
        "it changes nothing, and lists nothing"
    );

    let (patience, shutdown) = (Duration::from_secs(20), CancellationToken::new());
    let later = || now() + Duration::from_secs(60);
    let left = recheck::settle_all(&*store, &catalog, &connection, patience, later, &shutdown).await.unwrap();
    assert_eq!((left, store.requests()), (0, requests + 3), "one small listing each");
    assert_eq!(keys(&pool).await, ["comes", "early", "late", "lost", "stays"]);
    let drift: Vec<String> =
        sqlx::query_scalar("select concat_ws(' ', drift.run_id, key, kind) from catalog.drift order by key")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(drift, [format!("{run_id} gone ghost"), format!("{run_id} lost missing")]);
    let changes: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', key, change) from catalog.changes where cause = 'inventory' order by key",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(changes, ["gone removed", "lost created"]);
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (watermark, None), "it proves nothing complete");
    assert_eq!(ledger(&pool).await, ["listing complete", "inventory complete"]);
    let folder: String = sqlx::query_scalar("select report from catalog.reconciliations where run_id = $1")
        .bind(run_id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(folder, format!("{PREFIX}2026-11-02T01-00Z/manifest.json"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_day_old_report_in_csv_nominates_and_removes_nothing(pool: PgPool) {
    a_day_old_report(pool, |rows| report::csv(rows, ALL_VERSIONS), Some(ALL_VERSIONS)).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_day_old_report_in_parquet_nominates_and_removes_nothing(pool: PgPool) {
    a_day_old_report(pool, |rows| report::parquet(rows, 1), None).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_report_of_current_versions_is_compared_with_those(pool: PgPool) {
    let old = ("k", listed("v1", "e1", -9_000, false));
    let at_noon = [("k", listed("v2", "e2", -8_000, true)), old, object("m")];
    let (catalog, connection, store) = listed_at_noon(&pool, &at_noon).await;
    let file = report::csv(&rows_of(&[("k", listed("v2", "e2", -8_000, true))]), CURRENT);
    let folder = format!("{PREFIX}2026-11-02T01-00Z/");
    store.deliver(report::deliver(&folder, "genomics", began(BEGAN), Some(CURRENT), &[file]));
    let summary = read(&store, &catalog, &connection).await.unwrap();
    assert_eq!(doubts(&pool).await, [format!("m inventory {}", summary.run_id.unwrap())]);
    assert_eq!(versions(&pool, "k").await, ["v1 e1", "v2 e2 latest"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_newest_complete_report_is_read_once(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &[object("a")]).await;
    let none = async |why: &str| {
        let trouble = read(&store, &catalog, &connection).await.unwrap_err();
        assert!(
            matches!(trouble, Trouble::NoReport { .. }) && trouble.to_string().contains(why),
            "{trouble}"
        );
    };
    none("there is none yet").await;
    deliver(&store, "01", -100, &[object("a")]);
    none("from before the last listing").await;
    deliver(&store, "02", BEGAN, &[object("a")]);
    // One without its end, and one that is being written anew.
    let unfinished = deliver(&store, "03", BEGAN + 100, &[]);
    store.deliver([(format!("{unfinished}manifest.checksum"), Vec::new())]);
    let torn = deliver(&store, "04", BEGAN + 200, &[]);
    store.deliver([(format!("{torn}manifest.json"), b"{}".to_vec())]);
    read(&store, &catalog, &connection).await.unwrap();
    none("has a manifest that does not fit its checksum").await;
    assert_eq!((runs(&pool).await.len(), doubts(&pool).await.len()), (2, 0));

    deliver(&store, "05", BEGAN + 300, &[object("a"), ("b", listed("v1", "e1", 5_000, true))]);
    assert_eq!(read(&store, &catalog, &connection).await.unwrap().doubts, 1);
    none("2026-11-05T01-00Z/manifest.json, was read already").await;
    // Its place is another now: how that is called says nothing of what is newer.
    for (place, count) in [("a/", 1), ("z/", 1)] {
        let folder = format!("{place}2026-11-04T01-00Z/");
        let file = report::csv(&rows_of(&[object("a"), object("c")]), ALL_VERSIONS);
        store.deliver(report::deliver(&folder, "genomics", began(BEGAN), Some(ALL_VERSIONS), &[file]));
        let moved = Source { prefix: place.to_owned(), ..source(&store) };
        let shutdown = CancellationToken::new();
        let read = async || inventory::run(&moved, &catalog, &connection, "", QUEUE, now, &shutdown).await;
        assert_eq!(read().await.unwrap().doubts, count, "{place}");
        assert!(read().await.unwrap_err().to_string().contains("was read already"), "{place}");
        let empty = Source { prefix: format!("{place}none/"), ..source(&store) };
        let trouble = inventory::run(&empty, &catalog, &connection, "", QUEUE, now, &shutdown).await;
        assert!(trouble.unwrap_err().to_string().contains("there is none yet"), "{place}");
    }
    deliver(&store, "06", BEGAN + 400, &[object("a")]);
    read(&store, &catalog, &connection).await.unwrap();
    let runs_before = runs(&pool).await.len();
    // A rehearsal may read it as often as it likes, and queues nothing.
    let rehearsal = inventory::Settings { effect: Effect::Rehearse, ..QUEUE };
    let (source, shutdown) = (source(&store), CancellationToken::new());
    let summary =
        inventory::run(&source, &catalog, &connection, "", rehearsal, now, &shutdown).await.unwrap();
    assert_eq!((summary.run_id, summary.doubts, runs(&pool).await.len()), (None, 0, runs_before));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_report_that_is_broken_is_not_applied_in_part(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &[object("a"), object("b")]).await;
    let good = report::csv(&rows_of(&[object("c")]), ALL_VERSIONS);
    let alien = Row { bucket: "other".to_owned(), ..rows_of(&[object("d")]).remove(0) };
    let alien = report::csv(&[alien], ALL_VERSIONS);
    let key = |day: usize| format!("daily/genomics/all/data/{}-1.csv.gz", began(BEGAN + day as i64));
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&[u8], Damage, &str); 4] = [
        (&good, |_| Vec::new(), "NoSuchKey"),
        (&good, |bytes| bytes[..bytes.len() - 1].to_vec(), "and its manifest says"),
        (&good, |bytes| bytes.iter().map(|byte| byte ^ 1).collect(), "its MD5 is"),
        (&alien, |bytes| bytes, "of bucket \"other\""),
    ];
    for (day, (file, damage, reason)) in damages.into_iter().enumerate() {
        let folder = format!("{PREFIX}2026-11-0{}T01-00Z/", day + 1);
        let files = [good.clone(), file.to_vec()];
        store.deliver(report::deliver(
            &folder,
            "genomics",
            began(BEGAN + day as i64),
            Some(ALL_VERSIONS),
            &files,
        ));
        store.deliver([(key(day), damage(file.to_vec()))]);
        let trouble = read(&store, &catalog, &connection).await.unwrap_err();
        let Trouble::Report(broken) = &trouble else { panic!("{trouble}") };
        assert!(broken.place.starts_with(&format!("s3://reports/{}", key(day))), "{broken}");
        assert!(broken.reason.contains(reason), "{broken}");
        assert_eq!(doubts(&pool).await, Vec::<String>::new());
        assert!(ledger(&pool).await[day + 1].starts_with("inventory failed read inventory report s3://"));
        // It is not tried again and again.
        let again = read(&store, &catalog, &connection).await.unwrap_err();
        assert!(matches!(again, Trouble::NoReport { .. }) && again.to_string().ends_with("was of no use"));
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_report_that_could_not_be_read_is_read_again(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &[object("a")]).await;
    deliver(&store, "02", BEGAN, &[]);
    // The manifest and its checksum may be read, and the rows not.
    store.answer_reads(Some(2));
    let trouble = read(&store, &catalog, &connection).await.unwrap_err();
    assert!(matches!(trouble, Trouble::S3(_)), "{trouble}");
    store.answer_reads(None);
    assert_eq!(read(&store, &catalog, &connection).await.unwrap().doubts, 1);
    assert_eq!(ledger(&pool).await[1..], ["inventory failed try: AccessDenied", "inventory complete"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_whose_process_died_is_taken_over_when_its_lease_is_over(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &[object("a")]).await;
    let folder = deliver(&store, "02", BEGAN, &[]);
    let manifest = format!("{folder}manifest.json");
    let begin = || catalog.begin_report(&connection, "", &manifest, at(BEGAN), Reason::Operator, now());
    let dead = begin().await.unwrap().unwrap();
    assert_eq!(begin().await.unwrap(), None);
    assert!(matches!(read(&store, &catalog, &connection).await, Err(Trouble::Elsewhere(_))));
    sqlx::query("update catalog.ranges set leased_until = clock_timestamp()").execute(&pool).await.unwrap();
    assert_eq!(read(&store, &catalog, &connection).await.unwrap().run_id, Some(dead.run.run_id));
    // Were it not dead, it would find out.
    let done =
        catalog.complete_report(&connection, &dead, Default::default(), &["x".to_owned()], now()).await;
    assert!(!done.unwrap() && !catalog.renew_report(&dead, Default::default()).await.unwrap());
    assert_eq!(doubts(&pool).await, [format!("a inventory {}", dead.run.run_id)]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_report_is_read_beside_a_listing_under_way(pool: PgPool) {
    let (catalog, connection, store) = listed_at_noon(&pool, &[object("a")]).await;
    deliver(&store, "02", BEGAN, &[]);
    let listing = crate::support::started(&catalog, &connection, at(LATER)).await;
    store.answer_reads(Some(2));
    read(&store, &catalog, &connection).await.unwrap_err();
    store.answer_reads(None);
    assert_eq!(read(&store, &catalog, &connection).await.unwrap().doubts, 1);
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!(horizon.run_started, Some(at(LATER)));
    assert_eq!(catalog.open_run(&connection, "").await.unwrap(), Some(listing));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bucket_that_was_never_listed_is_to_be_listed_first(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let store = Arc::new(Store::new(10, 0, &[]));
    deliver(&store, "02", BEGAN, &[object("a")]);
    let trouble = read(&store, &catalog, &connection).await.unwrap_err();
    assert!(matches!(trouble, Trouble::NeverListed(_)) && trouble.remedy().contains("--source listing"));
    assert_eq!(runs(&pool).await.len(), 0);
}
