//! Runs over a bucket of some size, over HTTP, on the stand-in that the benches use.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::aws;
use stocktake::bucket::listing;
use stocktake::bucket::s3::Bucket;
use stocktake::catalog::{Catalog, MIGRATOR, Sighting};
use stocktake::clock;
use stocktake::model::Span;
use stocktake::reconcile::{Settings, run};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::store::page::{Request, write};
use crate::store::synthetic::{HUGE, HUGE_ONE};
use crate::store::{REGION, Synthetic, Weather, serve};
use crate::support::{connection, divided, eventually, rows, window};

const SEED: u64 = 7;

/// Key, version id, whether it is the latest, whether a marker; etag, size.
type Held = (String, String, bool, bool, Option<String>, Option<i64>);

/// `key version_id latest marker etag size`, in the order of a listing.
fn entries(bucket: &Synthetic) -> Vec<String> {
    let mut entries = Vec::new();
    for number in 0..bucket.keys() {
        let (key, mut before) = (bucket.key(number), None);
        for age in 0..bucket.versions(number) {
            let entry = bucket.entry(number, age, before);
            before = Some(entry.modified);
            let content = (!entry.is_marker).then_some((entry.etag, entry.size as i64));
            entries.push(show(&key, &entry.version_id, entry.is_latest, content));
        }
    }
    entries
}

fn show(key: &str, version_id: &str, is_latest: bool, content: Option<(String, i64)>) -> String {
    let content = content.map_or("marker".to_owned(), |(etag, size)| format!("{etag} {size}"));
    format!("{key:?} {version_id} {is_latest} {content}")
}

#[test]
fn the_stand_in_lists_every_version_once_on_pages_of_any_size() {
    let bucket = Synthetic::new(SEED, 3_000);
    let expected = entries(&bucket);
    assert_eq!(expected.len(), 3_000);
    assert!((1..bucket.keys()).all(|number| bucket.key(number - 1) < bucket.key(number)));
    for (max_keys, is_encoded) in [(7, true), (100, true), (999, false), (1_000, true)] {
        let (mut listed, mut next) = (Vec::new(), None::<(String, String)>);
        loop {
            let pairs = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let mut query = vec![pairs("max-keys", &max_keys.to_string())];
            query.extend(is_encoded.then(|| pairs("encoding-type", "url")));
            if let Some((key, version)) = &next {
                query.extend([pairs("key-marker", key), pairs("version-id-marker", version)]);
            }
            let page = write(&bucket, &Request::read(&query).unwrap());
            let page = listing::parse(page.as_bytes(), "genomics").unwrap();
            assert!(page.next.is_none() || page.keys.entries().count() == max_keys);
            listed.extend(page.keys.entries().map(|(key, told)| {
                let content = (!told.is_marker).then(|| (told.etag.unwrap().to_owned(), told.size.unwrap()));
                show(key, told.version, told.is_latest, content)
            }));
            match page.next {
                Some(after) => next = Some((after.key, after.version.unwrap().as_str().to_owned())),
                None => break,
            }
        }
        assert_eq!(listed, expected, "on pages of {max_keys}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_bucket_of_many_pages_holds_is_in_the_catalog(pool: PgPool) {
    many_pages(pool, 1).await;
}

/// The same of a bucket whose rows are in so many tables.
pub(crate) async fn many_pages(pool: PgPool, partitions: u32) {
    let (catalog, connection) = divided(pool.clone(), partitions).await;
    let synthetic = Synthetic::new(SEED, 30_000);
    assert_eq!(synthetic.versions(HUGE_ONE), HUGE, "one key goes on for pages");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let weather = Weather { latency: Duration::from_millis(1), errors: 0.02 };
    let server = tokio::spawn(serve(listener, synthetic.clone(), weather));

    let access =
        aws::Access { region: Some(REGION.to_owned()), endpoint_url: Some(url), ..aws::Access::default() };
    let bucket = Arc::new(Bucket::new("genomics", aws::s3(&aws::sdk_config(&access).await)));
    let settings = Settings { concurrency: 8, ..Settings::default() };
    let shutdown = CancellationToken::new();
    let go = || run(&bucket, &catalog, &connection, "", &settings, clock::now, &shutdown);
    let first = go().await.unwrap();
    let (keys, versions) = (synthetic.keys() as i64, 30_000);
    assert_eq!((first.counts.keys, first.counts.versions, first.doubts), (keys, versions, 0));
    let held: Vec<Held> = sqlx::query_as(
        "select key, version_id, is_latest, is_delete_marker, etag, size from catalog.object_versions
         order by key, last_modified desc, is_latest desc",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut held: Vec<String> = held
        .into_iter()
        .map(|(key, version_id, is_latest, is_marker, etag, size)| {
            assert_eq!(is_marker, etag.is_none(), "{key:?} {version_id}");
            show(&key, &version_id, is_latest, etag.zip(size))
        })
        .collect();
    let mut expected = entries(&synthetic);
    held.sort_unstable();
    expected.sort_unstable();
    assert!(held == expected, "{} rows are not those listed", held.len());

    let before = rows(&pool).await;
    let second = go().await.unwrap();
    assert_eq!((second.counts, second.drift.len(), second.doubts), (first.counts, 0, 0));
    assert_eq!(rows(&pool).await, before, "a clean run writes nothing");

    // One version in the middle of the huge key is not what the bucket has: it alone is put right.
    let key = synthetic.key(HUGE_ONE);
    // All that was known is from an hour ago, or the clocks of S3 could not tell which is the later.
    sqlx::query(
        "with earlier as (update catalog.connections set watermark_from = watermark_from - interval '1 hour',
                                                        watermark_to = watermark_to - interval '1 hour')
         update catalog.slots set etag = 'wrong', observed_from = observed_from - interval '1 hour',
                                  observed_to = observed_to - interval '1 hour'
         where key = $1 and version_id = (select max(version_id) from catalog.slots where key = $1 and not is_latest
                                          and not is_delete_marker)",
    )
    .bind(&key)
    .execute(&pool)
    .await
    .unwrap();
    let third = go().await.unwrap();
    assert_eq!((third.counts, third.doubts), (first.counts, 0));
    let drift: Vec<(String, String)> =
        sqlx::query_as("select key, kind from catalog.drift").fetch_all(&pool).await.unwrap();
    assert_eq!(drift, [(key, "stale".to_owned())]);
    server.abort();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_table_without_statistics_is_read_by_its_index(pool: PgPool) {
    let catalog = Catalog::new((*pool.connect_options()).clone(), 4, Duration::from_secs(10));
    let connection = connection("");
    catalog.connect(&connection, clock::now()).await.unwrap();
    // As many as fit before anybody comes to analyze them.
    sqlx::query(
        "insert into catalog.slots (first_seen_at, changed_at, is_present, is_latest, is_delete_marker, is_exact,
                                    bucket, key, version_id)
         select now(), now(), true, true, false, false, 'genomics', 'key ' || number, 'null'
         from generate_series(1, 50000) as number",
    )
    .execute(&pool)
    .await
    .unwrap();
    let held = catalog.scan(&connection, "key 2", &Span::all(), None, 500).await.unwrap();
    assert_eq!(held.keys.len(), 499);
    let sighting = |key: &str| Sighting { key: key.to_owned(), listed: Vec::new(), window: window(0, 1) };
    let sightings: Vec<Sighting> = held.keys.iter().map(|(key, _)| sighting(key)).collect();
    catalog.rehearse(&connection, &sightings, clock::now()).await.unwrap();
    // Its backends tell what they did when they end.
    catalog.close().await;
    let scans = "select seq_tup_read, idx_tup_fetch from pg_stat_user_tables where relname = 'slots_1'";
    let (whole, by_index) = eventually("statistics", async || {
        let scans: (i64, i64) = sqlx::query_as(scans).fetch_one(&pool).await.unwrap();
        (scans.1 > 0).then_some(scans)
    })
    .await;
    assert_eq!(whole, 0, "rows read in passing, beside {by_index} by index");
}
