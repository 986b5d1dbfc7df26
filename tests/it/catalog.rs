//! Every statement of the catalog, on a real Postgres.

use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Effect, MIGRATOR, Quarantined, Sighting};
use stocktake::model::{Claim, Doubt, Drift, Fact, Outcome, Sequencer, Stack, State, VersionId};

use crate::support::{NOW, at, claim, connected, connection, content, listed, put, versions, window};

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_put_a_marker_and_its_removal_are_followed(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let key = "数据/a b+c%.txt";
    let claims = [put("v1", "e1", "01", 0), claim("m1", Fact::Marker, "02", 1)];
    let batch: Vec<_> = claims.iter().map(|claim| (key, claim)).collect();
    let verdicts = catalog.apply(&connection, &batch, NOW).await.unwrap();
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Applied && verdict.doubt.is_none()));
    assert_eq!(versions(&pool, key).await, ["m1 marker latest", "v1 e1"]);
    let undelete = claim("m1", Fact::Removed, "03", 2);
    catalog.apply(&connection, &[(key, &undelete)], NOW).await.unwrap();
    assert_eq!(versions(&pool, key).await, ["v1 e1 latest"]);
    let removed: Vec<String> =
        sqlx::query_scalar("select version_id from catalog.removed_versions").fetch_all(&pool).await.unwrap();
    assert_eq!(removed, ["m1"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_slot_comes_back_as_it_was_written(pool: PgPool) {
    let (catalog, connection) = connected(pool).await;
    let first = put("", "e1", "00AB", 0);
    catalog.apply(&connection, &[("k", &first)], NOW).await.unwrap();
    let sightings = [Sighting {
        key: "k".to_owned(),
        listed: vec![listed("null", "e2", 30, true)],
        window: window(30, 31),
    }];
    let repaired = catalog.repair(&connection, None, &sightings, Effect::Keep, NOW).await.unwrap();
    assert_eq!(repaired.drift, [("k".to_owned(), VersionId::null(), Drift::Stale)]);
    let held = catalog.scan(&connection, "", None, 10).await.unwrap();
    let [(key, stack)] = &held.stacks[..] else { panic!("one key: {held:?}") };
    let (version, slot) = stack.slots().next().unwrap();
    assert_eq!((key.as_str(), version), ("k", &VersionId::null()));
    assert_eq!(slot.state, State::Object(content("e2")));
    assert_eq!(slot.floor, Sequencer::parse("00AB"));
    assert_eq!(slot.observed, Some(window(30, 31)));
    assert_eq!((slot.last_modified, slot.is_exact), (Some(at(30)), true));
    assert_eq!(slot.storage_class.as_deref(), Some("STANDARD"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_rehearsal_changes_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let sightings =
        [Sighting { key: "k".to_owned(), listed: vec![listed("v1", "e1", 0, true)], window: window(0, 1) }];
    let repaired = catalog.repair(&connection, None, &sightings, Effect::Rehearse, NOW).await.unwrap();
    assert_eq!(repaired.drift.len(), 1);
    assert!(versions(&pool, "k").await.is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_writers_of_one_new_key_both_get_through(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (catalog, connection) = (catalog.clone(), connection.clone());
        writers.spawn(async move {
            for round in 0..25 {
                let number = round * 4 + writer;
                let claim = put(&format!("v{number:03}"), "e", &format!("{number:X}"), number);
                catalog.apply(&connection, &[("hot", &claim)], NOW).await.unwrap();
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let versions = versions(&pool, "hot").await;
    assert_eq!(versions.len(), 100);
    assert_eq!(
        versions.iter().filter(|version| version.ends_with("latest")).collect::<Vec<_>>(),
        ["v099 e latest"]
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_database_refuses_a_second_latest(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [put("v1", "e1", "01", 0), put("v2", "e2", "02", 1)];
    let batch: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    let error = sqlx::query("update catalog.slots set is_latest = true").execute(&pool).await.unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("23505"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_doubt_is_queued_taken_and_settled(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [put("", "e1", "01", 0), put("", "e2", "01", 0)];
    let batch: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    let verdicts = catalog.apply(&connection, &batch, NOW).await.unwrap();
    assert_eq!(verdicts[1].doubt, Some(Doubt::SequencerTwice));
    let lease = Duration::from_secs(60);
    assert!(
        catalog.take_rechecks(&connection, 10, lease, NOW).await.unwrap().is_empty(),
        "it waits a little"
    );
    let due = NOW + connection.terms.recheck_delay;
    let taken = catalog.take_rechecks(&connection, 10, lease, due).await.unwrap();
    let [recheck] = &taken[..] else { panic!("one key: {taken:?}") };
    assert_eq!(
        (recheck.key.as_str(), recheck.reason.as_str(), recheck.attempts),
        ("k", "sequencer_twice", 1)
    );

    // Too early to tell the first from what was listed: their windows overlap.
    let pause = Duration::from_secs(2);
    let early =
        Sighting { key: "k".to_owned(), listed: vec![listed("null", "e2", 0, true)], window: window(1, 3) };
    assert_eq!(catalog.settle(&connection, recheck, &early, pause, due).await.unwrap().doubts, 1);
    assert_eq!(catalog.count_rechecks(&connection, 99).await.unwrap(), 1);

    let sighting =
        Sighting { key: "k".to_owned(), listed: vec![listed("null", "e2", 0, true)], window: window(20, 22) };
    catalog.settle(&connection, recheck, &sighting, pause, due).await.unwrap();
    assert_eq!(catalog.count_rechecks(&connection, 99).await.unwrap(), 0);
    assert_eq!(versions(&pool, "k").await, ["null e2 latest"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_doubt_raised_while_its_key_is_listed_is_not_lost(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let lease = Duration::from_secs(60);
    let taken = catalog.take_recheck_of(&connection, "k", Doubt::Asked, lease, NOW).await.unwrap();
    catalog.take_recheck_of(&connection, "k", Doubt::Asked, lease, NOW).await.unwrap();
    let sighting = Sighting { key: "k".to_owned(), listed: Vec::new(), window: window(20, 22) };
    catalog.settle(&connection, &taken, &sighting, Duration::ZERO, NOW).await.unwrap();
    assert_eq!(catalog.count_rechecks(&connection, 99).await.unwrap(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_moves_the_watermark_and_purges_what_it_accounts_for(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [put("v1", "e1", "01", 0), claim("v1", Fact::Removed, "01", 1)];
    let batch: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();

    let run = catalog.start_run(&connection, "", at(100), NOW).await.unwrap().unwrap();
    assert!(catalog.start_run(&connection, "", at(100), NOW).await.unwrap().is_none(), "one at a time");
    assert_eq!(catalog.horizon(&connection).await.unwrap().run_started, Some(at(100)));
    let late = put("v9", "e9", "09", 10);
    let verdicts = catalog.apply(&connection, &[("late", &late)], NOW).await.unwrap();
    assert_eq!(verdicts[0].doubt, Some(Doubt::RunUnderWay));

    catalog.complete_run(&connection, &run, window(100, 110), NOW).await.unwrap();
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (Some(window(100, 110)), None));
    assert_eq!(
        catalog.count_rechecks(&connection, 99).await.unwrap(),
        1,
        "a doubt from during the run stays"
    );
    assert_eq!(catalog.purge_tombstones(&connection, at(100)).await.unwrap(), 1);
    let stale = catalog.apply(&connection, &[("k", &claims[0])], NOW).await.unwrap();
    assert_eq!(stale[0].outcome, Outcome::Stale, "the watermark stands in for the tombstone");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_purge_takes_just_the_tombstones_that_are_spent(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    for time in 0..30 {
        let key = format!("event {time:02}");
        catalog.apply(&connection, &[(&key, &claim("v1", Fact::Removed, "01", time))], NOW).await.unwrap();
        let key = format!("listing {time:02}");
        catalog.apply(&connection, &[(&key, &put("v1", "e", "01", -60))], NOW).await.unwrap();
        let gone = [Sighting { key, listed: Vec::new(), window: window(time - 1, time) }];
        catalog.repair(&connection, None, &gone, Effect::Keep, NOW).await.unwrap();
    }
    let run = catalog.start_run(&connection, "", at(30), NOW).await.unwrap().unwrap();
    catalog.complete_run(&connection, &run, window(30, 31), NOW).await.unwrap();
    let horizon = catalog.horizon(&connection).await.unwrap();
    let held = catalog.scan(&connection, "", None, 100).await.unwrap();
    let is_spent = |stack: &Stack| stack.slots().all(|(_, slot)| slot.is_spent(&horizon));
    let (spent, kept): (Vec<_>, Vec<_>) = held.stacks.into_iter().partition(|(_, stack)| is_spent(stack));
    assert!(spent.len() > 10 && kept.len() > 10, "both kinds: {} and {}", spent.len(), kept.len());
    assert_eq!(catalog.purge_tombstones(&connection, at(30)).await.unwrap(), spent.len() as u64);
    assert_eq!(catalog.scan(&connection, "", None, 100).await.unwrap().stacks, kept);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_dead_run_is_told_from_a_living_one(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    drop(catalog.start_run(&connection, "", at(100), NOW).await.unwrap());
    let run = loop {
        // The lock ends when Postgres notices that its connection is closed.
        if let Some(run) = catalog.start_run(&connection, "", at(200), NOW).await.unwrap() {
            break run;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    catalog.fail_run(&connection, &run, "list versions: denied", NOW).await.unwrap();
    let runs: Vec<(String, String)> =
        sqlx::query_as("select status, error from catalog.reconciliations order by run_id")
            .fetch_all(&pool)
            .await
            .unwrap();
    let failed = |error: &str| ("failed".to_owned(), error.to_owned());
    assert_eq!(runs, [failed("its process died"), failed("list versions: denied")]);
    assert_eq!(catalog.horizon(&connection).await.unwrap().watermark, None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_scan_gives_whole_keys_in_byte_order(pool: PgPool) {
    let (catalog, connection) = connected(pool).await;
    let keys = ["B", "a", "a b", "ab", "é", "z/1", "z/2"];
    for key in keys {
        let claims: Vec<Claim> =
            (0..3).map(|number| put(&format!("v{number}"), "e", &number.to_string(), number)).collect();
        let batch: Vec<_> = claims.iter().map(|claim| (key, claim)).collect();
        catalog.apply(&connection, &batch, NOW).await.unwrap();
    }
    for rows_max in 1..8 {
        let (mut seen, mut place) = (Vec::new(), None);
        loop {
            let held = catalog.scan(&connection, "", place.as_ref(), rows_max).await.unwrap();
            assert!(
                held.stacks.iter().all(|(_, stack)| stack.slots().count() == 3),
                "whole keys at {rows_max}"
            );
            seen.extend(held.stacks.into_iter().map(|(key, _)| key));
            place = held.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["B", "a", "a b", "ab", "z/1", "z/2", "é"], "at {rows_max} rows");
    }
    let below = catalog.scan(&connection, "z/", None, 100).await.unwrap();
    assert_eq!(below.stacks.len(), 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn drift_is_entered_with_what_was_before_and_after(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    catalog.apply(&connection, &[("gone", &put("v1", "e1", "01", 0))], NOW).await.unwrap();
    let run = catalog.start_run(&connection, "", at(100), NOW).await.unwrap().unwrap();
    let sightings = [
        Sighting { key: "gone".to_owned(), listed: Vec::new(), window: window(100, 101) },
        Sighting {
            key: "new".to_owned(),
            listed: vec![listed("v2", "e2", 50, true)],
            window: window(100, 101),
        },
    ];
    catalog.repair(&connection, Some(run.run_id), &sightings, Effect::Keep, NOW).await.unwrap();
    let drift: Vec<(String, String, Option<String>, Option<String>)> = sqlx::query_as(
        "select key, kind, detail->'before'->>'etag', detail->'after'->>'state' from catalog.drift order by key",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let row = |key: &str, kind: &str, before: Option<&str>, after: &str| {
        (key.to_owned(), kind.to_owned(), before.map(str::to_owned), Some(after.to_owned()))
    };
    assert_eq!(drift, [row("gone", "ghost", Some("e1"), "removed"), row("new", "missing", None, "object")]);
    let counts: (i64, i64) =
        sqlx::query_as("select missing, ghost from catalog.reconciliations").fetch_one(&pool).await.unwrap();
    assert_eq!(counts, (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn prefixes_of_one_bucket_share_its_partition(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    for prefix in ["a/", "b/", "a/"] {
        catalog.connect(&connection(prefix), NOW).await.unwrap();
    }
    let count: i64 =
        sqlx::query_scalar("select count(*) from pg_inherits where inhparent = 'catalog.slots'::regclass")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(count, 1);
    assert_eq!(catalog.status().await.unwrap().buckets.len(), 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_cannot_be_read_is_kept_once(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    let mut item = Quarantined {
        queue: "https://queue",
        message_id: "m",
        record: 0,
        receive_count: Some(1),
        body: "nul \0 here",
        reason: "not JSON",
    };
    catalog.quarantine(&item, NOW).await.unwrap();
    item.receive_count = Some(2);
    catalog.quarantine(&item, NOW).await.unwrap();
    let rows: Vec<(String, i32)> =
        sqlx::query_as("select body, receive_count from catalog.quarantine").fetch_all(&pool).await.unwrap();
    assert_eq!(rows, [("nul \u{FFFD} here".to_owned(), 2)]);
    assert_eq!(catalog.status().await.unwrap().quarantined, 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn problems_come_and_go(pool: PgPool) {
    let catalog = Catalog::on(pool);
    catalog.note_problem("queue q", "denied", "allow it", NOW).await.unwrap();
    catalog.note_problem("queue q", "still denied", "allow it", NOW + Duration::from_secs(9)).await.unwrap();
    let status = catalog.status().await.unwrap();
    assert_eq!((status.problems[0].message.as_str(), status.problems[0].since), ("still denied", NOW));
    catalog.clear_problem("queue q").await.unwrap();
    assert!(catalog.status().await.unwrap().problems.is_empty());
}
