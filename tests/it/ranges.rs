//! The ranges of a run: several at once, for several daemons, through any death.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting, Trigger};
use stocktake::model::{Listed, Span, partition};
use stocktake::reconcile::{Settings, run};
use tokio_util::sync::CancellationToken;

use crate::support::{
    NOW, Played, Store, at, connected, divided, done, eventually, listed, put, rows, runs, started, versions,
    window,
};

const MANY: Settings = Settings { concurrency: 4, ..IN_TURN };
const IN_TURN: Settings = Settings { concurrency: 1, ..Settings::DEFAULT };

/// One version of each key, but for each seventh, which has more than a page of them.
fn objects(keys: &[String]) -> Vec<(&str, Listed)> {
    let versions = |place: usize| if place.is_multiple_of(7) { 9_i64 } else { 1 };
    let entries = keys.iter().enumerate().flat_map(|(place, key)| {
        let version = |age: i64| listed(&format!("v{age}"), "e1", -9_000 - age, age == 0);
        (0..versions(place)).map(move |age| (key.as_str(), version(age)))
    });
    entries.collect()
}

fn numbered(begin: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{begin}{number:04}")).collect()
}

async fn keys(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select key from catalog.objects order by key").fetch_all(pool).await.unwrap()
}

/// What a process does that is killed: its leases stay, and end.
async fn expire(pool: &PgPool) {
    let statement =
        "update catalog.ranges set leased_until = clock_timestamp() where leased_until > clock_timestamp()";
    sqlx::query(statement).execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn several_at_once_list_each_key_once(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let shutdown = CancellationToken::new();
    let shapes =
        [numbered("", 200), numbered("a/long/path/of/all/", 200), numbered("写真/", 200), Vec::new()];
    for (shape, keys_there) in shapes.into_iter().enumerate() {
        let clock = 10_000 * shape as i64;
        let entries = objects(&keys_there);
        sqlx::query("delete from catalog.slots").execute(&pool).await.unwrap();
        let store = Arc::new(Store::new(4, clock, &entries));
        let first = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
        assert_eq!(
            (first.counts.keys, first.counts.versions),
            (keys_there.len() as i64, entries.len() as i64)
        );
        assert_eq!(keys(&pool).await, keys_there);
        let in_parts = store.begins();
        assert_eq!(in_parts > 0, !keys_there.is_empty(), "{in_parts} parts of {:?}", keys_there.first());
        let pages = entries.len() / 4;
        assert!(store.requests() <= 4 + 3 * pages, "{} requests for {pages} pages", store.requests());

        let before = rows(&pool).await;
        store.become_at(clock + 5_000, &entries);
        let second = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
        assert_eq!((second.counts, second.drift.len()), (first.counts, 0));
        assert_eq!(rows(&pool).await, before, "a clean run writes nothing");
    }
    let left = sqlx::query_scalar("select count(*) from catalog.ranges").fetch_one(&pool).await;
    assert_eq!(left.unwrap_or(-1_i64), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_has_nothing_to_do_gets_a_part_after_the_next_page(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let keys_there = numbered("k", 32);
    let objects: Vec<_> =
        keys_there.iter().map(|key| (key.as_str(), listed("v1", "e1", -9_000, true))).collect();
    // Fewer pages than progress is saved after by itself.
    let store = Arc::new(Store::new(4, 0, &objects));
    store.script(&vec![Played::Late(Duration::from_millis(50)); 32]);
    let shutdown = CancellationToken::new();
    let found = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
    assert_eq!((found.counts.keys, keys(&pool).await), (32, keys_there));
    assert!(store.begins() > 0, "nobody gave anything away in {} pages", store.requests());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_daemons_share_a_run(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let keys_there = numbered("k", 3_000);
    let entries = objects(&keys_there);
    let shutdown = CancellationToken::new();
    // Begun before: in parts, so that both find one; and as a whole, of which one gives the other a part, where it is known
    // what there is and where it is not.
    for (clock, bounds, is_known) in
        [(0, vec!["k1000", "k2000"], false), (5_000, vec![], true), (10_000, vec![], false)]
    {
        let stores = [0, 1].map(|_| Arc::new(Store::new(40, clock, &entries)));
        if !is_known {
            sqlx::query("delete from catalog.slots").execute(&pool).await.unwrap();
        }
        for store in &stores {
            store.script(&vec![Played::Late(Duration::from_millis(5)); 200]);
        }
        let spans = partition(bounds.into_iter().map(str::to_owned).collect());
        let begun = catalog.start_run(&connection, "", Trigger::Operator, &spans, at(clock), NOW).await;
        let begun = begun.unwrap().unwrap();
        let other = Catalog::on(pool.clone());
        let (one, two) = tokio::join!(
            run(&stores[0], &catalog, &connection, "", &IN_TURN, || NOW, &shutdown),
            run(&stores[1], &other, &connection, "", &IN_TURN, || NOW, &shutdown),
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.run_id, two.run_id), (Some(begun.run_id), Some(begun.run_id)));
        assert_eq!((one.counts.keys, two.counts.keys), (3_000, 3_000), "both tell of all of it");
        assert_eq!(keys(&pool).await, keys_there);
        assert!(stores.iter().all(|store| store.requests() > 0), "both were at work");
    }
    assert_eq!(runs(&pool).await, ["complete", "complete", "complete"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_goes_on_after_a_death_at_any_page(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let shutdown = CancellationToken::new();
    let keys_there = numbered("k", 60);
    for pages in 1..=12_i64 {
        // Some keys go each time, and some come.
        let keys_there: Vec<String> = keys_there
            .iter()
            .enumerate()
            .filter(|(place, _)| place % 12 != pages as usize % 12)
            .map(|(_, key)| key.clone())
            .collect();
        let entries = objects(&keys_there);
        let store = Arc::new(Store::new(9, pages * 1_000, &entries));
        store.script(&vec![Played::Well; pages as usize]);
        store.script(&[Played::Hang]);
        let (bucket, dying, to) = (Arc::clone(&store), catalog.clone(), connection.clone());
        let until = shutdown.clone();
        let life = tokio::spawn(async move {
            run(&bucket, &dying, &to, "", &IN_TURN, || NOW, &until).await.unwrap();
        });
        eventually("the page that hangs, or the end", async || {
            (store.requests() as i64 > pages || life.is_finished()).then_some(())
        })
        .await;
        life.abort();
        assert!(life.await.is_err_and(|ended| ended.is_cancelled()), "{pages} pages are not all");
        let dead = catalog.open_run(&connection, "").await.unwrap().unwrap();
        expire(&pool).await;

        let next = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
        assert_eq!(next.run_id, Some(dead.run_id));
        assert_eq!(next.counts.keys, keys_there.len() as i64, "each key counts once");
        assert_eq!(keys(&pool).await, keys_there);
        let watermark = catalog.horizon(&connection).await.unwrap().watermark.unwrap();
        assert_eq!(watermark.from, dead.started, "its start stays its start");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_lost_a_range_writes_no_more(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(0)).await;
    let ours = catalog.take_range(&run).await.unwrap().unwrap();
    assert_eq!(catalog.take_range(&run).await.unwrap(), None, "it is leased");
    catalog.renew_leases(&run, &[ours.lease]).await.unwrap();
    assert_eq!(catalog.take_range(&run).await.unwrap(), None, "and renewed");
    expire(&pool).await;
    let theirs = catalog.take_range(&run).await.unwrap().unwrap();
    let sightings =
        [Sighting { key: "k".to_owned(), listed: vec![listed("v1", "e1", 0, true)], window: window(1, 2) }];
    let late = catalog.save(&connection, &run, &ours, &sightings, &done(at(2)), NOW).await.unwrap();
    assert_eq!(late, None);
    assert!(versions(&pool, "k").await.is_empty());
    assert!(!catalog.complete_run(&connection, &run, NOW).await.unwrap());
    let saved = catalog.save(&connection, &run, &theirs, &sightings, &done(at(2)), NOW).await.unwrap();
    assert!(saved.is_some());
    assert_eq!(versions(&pool, "k").await, ["v1 e1 latest"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_bound_cuts_a_key(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let keys_there: Vec<String> = ["a", "c", "c/1", "d", "zz"].map(str::to_owned).to_vec();
    // The first and the last of the keys have many versions; so has one at a bound.
    let mut entries = objects(&keys_there);
    entries.splice(10..10, (1..9).map(|age| ("c", listed(&format!("v{age}"), "e1", -9_000 - age, false))));
    // Rows at and beside the bounds that the bucket has not.
    let ghosts = ["Z", "b", "bb", "c\u{1}", "c0", "d\u{1}", "zzz"];
    for (shift, page) in [1, 2, 3, 20].into_iter().enumerate() {
        let clock = 1_000 * (shift as i64 + 1);
        for key in ghosts {
            catalog.apply(&connection, &[(key, &put("g", "e9", "01", clock - 900))], NOW).await.unwrap();
        }
        let bounds = ["b", "c", "d", "zz"].map(str::to_owned).to_vec();
        let begun = catalog
            .start_run(&connection, "", Trigger::Operator, &partition(bounds), at(clock), NOW)
            .await
            .unwrap();
        let store = Arc::new(Store::new(page, clock, &entries));
        let shutdown = CancellationToken::new();
        let summary = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
        assert_eq!(
            (summary.run_id, summary.counts.keys),
            (begun.map(|run| run.run_id), 5),
            "pages of {page}"
        );
        assert_eq!(summary.counts.versions, entries.len() as i64);
        assert_eq!(keys(&pool).await, keys_there, "pages of {page}");
        assert_eq!(versions(&pool, "c").await.len(), 9);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_parts_of_a_run_come_from_the_keys_there_are(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    sqlx::query(
        "insert into catalog.slots (bucket, key, version_id, first_seen_at, changed_at, is_present, is_latest,
                                    is_delete_marker, is_exact)
         select 'genomics', 'in/' || to_char(number, 'fm00000'), 'v1', now(), now(), true, true, false, true
         from generate_series(1, 30000) as number",
    )
    .execute(&pool)
    .await
    .unwrap();
    let sample = catalog.sample_keys(&connection, "").await.unwrap();
    let (cuts, rows) = (sample.cuts(&Span::all(), 1_000), sample.rows(&Span::all()));
    assert!(cuts.len() > 500 && (20_000.0..40_000.0).contains(&rows), "{} of {rows}", cuts.len());
    let none = catalog.sample_keys(&connection, "out/").await.unwrap();
    assert_eq!(none.rows(&Span::all()), 0.0);
    let other = Connection { bucket: "nowhere".to_owned(), ..connection };
    assert_eq!(catalog.sample_keys(&other, "").await.unwrap().rows(&Span::all()), 0.0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_ends_of_pages_are_where_the_rows_say(pool: PgPool) {
    let (catalog, connection) = divided(pool.clone(), 4).await;
    // Two versions of each key and one that is gone; of the hundredth, three thousand.
    sqlx::query(
        "insert into catalog.slots (bucket, key, version_id, first_seen_at, changed_at, is_present, is_latest,
                                    is_delete_marker, is_exact)
         select 'genomics', 'in/' || to_char(number, 'fm0000'), 'v' || age, now(), now(), age > 0, age = 1, false, true
         from generate_series(1, 3000) as number, generate_series(0, case number when 100 then 3000 else 2 end) as age",
    )
    .execute(&pool)
    .await
    .unwrap();
    let key = |number: i32| format!("in/{number:04}");
    let span = |after: i32, to: Option<i32>| Span { after: key(after), to: to.map(key) };
    for (span, ends) in [
        (span(1_000, None), &[1_475, 1_950, 2_425, 2_900][..]),
        (span(1_001, None), &[1_476, 1_951, 2_426, 2_901]),
        // The key that a page ends with is what ends the span, or the one before that is.
        (span(1_000, Some(1_950)), &[1_475]),
        (span(1_000, Some(1_951)), &[1_475, 1_950]),
        (span(2_900, None), &[]),
        (span(2_000, Some(2_001)), &[]),
        // One key takes several pages, and is whole.
        (span(0, None), &[100, 401]),
        (span(98, Some(400)), &[100]),
        (span(0, Some(100)), &[]),
    ] {
        let ends: Vec<String> = ends.iter().copied().map(key).collect();
        assert_eq!(catalog.page_ends(&connection, "", &span).await.unwrap(), ends, "{span:?}");
    }
    let all = catalog.page_ends(&connection, "in/01", &Span { to: None, ..span(1, None) }).await.unwrap();
    assert_eq!(all, [key(100)], "below a prefix");
    assert!(catalog.page_ends(&connection, "out/", &Span::all()).await.unwrap().is_empty());
}

/// Who knows what follows gives whole pages away, and nobody asks for one twice.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_known_is_cut_where_pages_end(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let shutdown = CancellationToken::new();
    // The second ends with a page of its own, as far as anybody can know.
    for (round, count) in [(0, 3_700), (1, 1_000 + 2 * 950)] {
        let keys = numbered(&format!("{round}/"), count);
        let entries: Vec<_> =
            keys.iter().map(|key| (key.as_str(), listed("v1", "e1", -9_000, true))).collect();
        let clock = 10_000 * round;
        sqlx::query("delete from catalog.slots").execute(&pool).await.unwrap();
        let store = Arc::new(Store::new(1_000, clock, &entries));
        run(&store, &catalog, &connection, "", &IN_TURN, || NOW, &shutdown).await.unwrap();

        let store = Arc::new(Store::new(1_000, clock + 5_000, &entries));
        // Time enough for the others to ask.
        store.script(&vec![Played::Late(Duration::from_millis(400)); 9]);
        let found = run(&store, &catalog, &connection, "", &MANY, || NOW, &shutdown).await.unwrap();
        assert_eq!((found.counts.keys, found.drift.len()), (count as i64, 0));
        assert!(store.begins() > 0, "nobody gave anything away in {} pages", store.requests());
        assert!(store.requests() <= 4, "{} requests for four pages", store.requests());
    }
}
