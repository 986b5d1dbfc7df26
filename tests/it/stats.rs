//! `catalog.bucket_stats` beside the rows it stands for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting};
use stocktake::model::{Claim, Content, Fact};
use stocktake::reconcile::{Settings, run};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{
    NOW, Store, at, claim, connected, connection, listed, put, repair, see, started, window,
};

type Amounts = (Option<String>, i64, i64, i64, i64, i64);

async fn told(pool: &PgPool) -> Vec<Amounts> {
    sqlx::query_as(
        "select storage_class, objects, bytes, noncurrent_versions, noncurrent_bytes, delete_markers
         from catalog.bucket_stats where bucket = 'genomics' order by storage_class",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn counted(pool: &PgPool) -> Vec<Amounts> {
    sqlx::query_as(
        "select storage_class, count(size) filter (where is_latest),
                coalesce(sum(size) filter (where is_latest), 0)::int8,
                count(size) filter (where not is_latest),
                coalesce(sum(size) filter (where not is_latest), 0)::int8,
                count(*) filter (where is_delete_marker)
         from catalog.object_versions where bucket = 'genomics' group by storage_class order by storage_class",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

fn random_claim(rng: &mut Rng, number: i64) -> Claim {
    let version = ["null", "null", "v1", "v2", "v3"][rng.usize(..5)];
    let fact = match rng.u8(..8) {
        0 => Fact::Marker,
        1..3 => Fact::Removed,
        _ => return put(version, &rng.u8(..3).to_string(), &format!("{number:X}"), number),
    };
    claim(version, fact, &format!("{number:X}"), number)
}

/// Writes by events and by a listing, in transactions that meet those of others.
async fn write(catalog: Catalog, connection: Connection, writer: i64) {
    let mut rng = Rng::new();
    for round in 0..40 {
        let number = round * 8 + writer;
        let claims: Vec<(String, Claim)> =
            (0..9).map(|_| (rng.u8(..12).to_string(), random_claim(&mut rng, number))).collect();
        let batch: Vec<_> = claims.iter().map(|(key, claim)| (key, claim)).collect();
        catalog.apply(&connection, &batch, NOW).await.unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_in_a_bucket_is_what_its_rows_add_up_to(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(-9_000)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    others.spawn({
        let (catalog, connection, is_over) = (catalog.clone(), connection.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Acquire) {
                sqlx::query("select catalog.fold_stats()").execute(&pool).await.unwrap();
                assert_eq!(catalog.verify_stats(&connection, &run, NOW).await.unwrap(), 0, "of one snapshot");
                assert!(told(&pool).await.len() < 9);
            }
            pool
        }
    });
    catalog.apply(&connection, &[("first", &put("v", "e", "01", 0))], NOW).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        writers.spawn(write(catalog.clone(), connection.clone(), writer));
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    is_over.store(true, Ordering::Release);
    let pool = others.join_next().await.unwrap().unwrap();
    assert_eq!(told(&pool).await, counted(&pool).await);

    // A listing fills in storage classes, and finds half of the keys gone.
    let sightings: Vec<Sighting> = (0..12)
        .map(|key: i32| Sighting {
            key: key.to_string(),
            listed: (key % 2 == 0).then(|| listed("v2", "1", 9_000, true)).into_iter().collect(),
            window: window(9_001, 9_002),
        })
        .collect();
    catalog
        .end_run(
            "genomics",
            &run_under_way(&catalog, &connection).await,
            stocktake::catalog::Ending::Stopped,
            "enough",
            None,
            NOW,
        )
        .await
        .unwrap();
    repair(&catalog, &connection, &sightings).await;
    let told_of = told(&pool).await;
    assert_eq!(told_of, counted(&pool).await);
    assert!(told_of.contains(&(Some("STANDARD".to_owned()), 6, 42, 0, 0, 0)), "{told_of:?}");
}

async fn run_under_way(catalog: &Catalog, connection: &Connection) -> stocktake::catalog::Run {
    catalog.open_run(connection, "").await.unwrap().unwrap()
}

/// Events can make up any size, and what does not fit must stop neither those who write nor those who read.
#[sqlx::test(migrator = "MIGRATOR")]
async fn sizes_that_are_made_up_add_up_to_no_more_than_fits(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let huge = |version: &str| {
        let Claim { fact, .. } = put(version, "e", "01", 0);
        let Fact::Put(content) = fact else { panic!("a put") };
        claim(version, Fact::Put(Content { size: Some(i64::MAX), ..content }), "01", 0)
    };
    let claims = [huge("v1"), huge("v2")];
    for folder in ["a", "b"] {
        let keys = ["1", "2"].map(|key| format!("{folder}/{key}"));
        let batch: Vec<_> = keys.iter().flat_map(|key| claims.each_ref().map(|claim| (key, claim))).collect();
        catalog.apply(&connection, &batch, NOW).await.unwrap();
    }
    let told_of = told(&pool).await;
    assert_eq!(told_of, [(None, 4, i64::MAX, 4, i64::MAX, 0)]);
    sqlx::query("select catalog.fold_stats()").execute(&pool).await.unwrap();
    assert_eq!(told(&pool).await, told_of);
    catalog.status().await.unwrap();
    let entries = catalog.entries("genomics", "", None, 9, None).await.unwrap();
    assert_eq!(entries[0].inside.bytes, Some(i64::MAX));
    let run = started(&catalog, &connection, at(100)).await;
    see(&catalog, &connection, &run, &[]).await;
    catalog.verify_stats(&connection, &run, NOW).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_wrong_sum_is_drift_and_put_right(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [put("v1", "e1", "01", 0), put("v2", "e2", "02", 1), claim("m", Fact::Marker, "03", 2)];
    let batch: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    let right: Vec<Amounts> = vec![(None, 0, 0, 2, 14, 1)];
    assert_eq!(told(&pool).await, right);
    // Somebody wrote into the table, and something was never noted.
    sqlx::query("delete from catalog.slots where version_id = 'v1'").execute(&pool).await.unwrap();
    let run = started(&catalog, &connection, at(100)).await;
    see(&catalog, &connection, &run, &[]).await;
    assert_eq!(catalog.wrong_sums("genomics").await.unwrap(), 1);
    assert_eq!(told(&pool).await, right, "who only asks puts nothing right");
    assert_eq!(catalog.verify_stats(&connection, &run, NOW).await.unwrap(), 1);
    assert_eq!(told(&pool).await, [(None, 0, 0, 1, 7, 1)]);
    assert_eq!(catalog.wrong_sums("genomics").await.unwrap(), 0);
    assert_eq!(catalog.verify_stats(&connection, &run, NOW).await.unwrap(), 0);
    let detail: String = sqlx::query_scalar(
        "select concat_ws(' ', kind, detail -> 'before' -> 'noncurrent_bytes', detail -> 'after' -> 'noncurrent_bytes')
         from catalog.drift",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(detail, "stats 14 7");
}

/// After a first listing nothing is known of the table yet.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bucket_is_counted_without_sorting_it(pool: PgPool) {
    connected(pool.clone()).await;
    let mut session = pool.begin().await.unwrap();
    for statement in [
        "insert into catalog.slots (bucket, key, version_id, size, storage_class, first_seen_at, changed_at, is_present,
                                    is_latest, is_delete_marker, is_exact)
         select 'genomics', 'k' || number, 'v1', 1, 'STANDARD', now(), now(), true, true, false, true
         from generate_series(1, 20000) as number",
        "set local work_mem = '64kB'",
        "set local temp_file_limit = 0",
    ] {
        sqlx::query(statement).execute(&mut *session).await.unwrap();
    }
    let counted: i64 = sqlx::query_scalar("select (counted).objects from catalog.wrong_stats('genomics')")
        .fetch_one(&mut *session)
        .await
        .expect("nothing is put on disk");
    assert_eq!(counted, 20_000);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_over_all_of_it_counts_a_bucket(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let shutdown = CancellationToken::new();
    let objects = ["a/1", "a/2", "b/1"].map(|key| (key, listed("v1", "e1", -9_000, true)));
    let store = Arc::new(Store::new(2, 0, &objects));
    let mut clock = 0;
    for (prefix, concurrency, found, is_broken) in
        [("", 4, 0, true), ("a/", 4, 0, false), ("", 4, 1, false), ("", 4, 0, true), ("", 1, 1, false)]
    {
        store.become_at(clock, &objects);
        let settings = Settings { concurrency, ..Settings::DEFAULT };
        let run = run(&store, &catalog, &connection, prefix, &settings, || NOW, &shutdown).await.unwrap();
        let kinds: Vec<String> = sqlx::query_scalar("select kind from catalog.drift where run_id = $1")
            .bind(run.run_id)
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(kinds.iter().filter(|kind| *kind == "stats").count(), found, "{clock}");
        assert_eq!(run.wrong_sums, found as i64, "{clock}");
        if prefix.is_empty() {
            sqlx::query("select catalog.fold_stats()").execute(&pool).await.unwrap();
            assert_eq!(told(&pool).await, counted(&pool).await, "{clock}");
        }
        if is_broken {
            // Somebody wrote into the table.
            let statement = "insert into catalog.stats values (1, 2, 3, 4, 5, 'genomics', '')";
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        clock += 10_000;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_part_that_is_forgotten_does_not_count(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    let parts = [connection("a/"), connection("b/")];
    for (part, key) in parts.iter().zip(["a/k", "b/k"]) {
        catalog.connect(part, NOW).await.unwrap();
        catalog.apply(part, &[(key, &put("v", "e", "01", 0))], NOW).await.unwrap();
    }
    catalog.forget(&parts[0]).await.unwrap();
    assert_eq!(told(&pool).await, [(None, 1, 7, 0, 0, 0)]);
    catalog.forget(&parts[1]).await.unwrap();
    assert_eq!(told(&pool).await, []);
}
