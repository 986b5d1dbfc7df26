//! Claims, observations and doubts, on a real Postgres.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::{Catalog, MIGRATOR, Quarantined, Sighting};
use stocktake::model::{Doubt, Drift, Fact, Outcome, Sequencer, State, VersionId};

use crate::support::{NOW, at, claim, connected, connection, content, listed, put, repair, versions, window};

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
    let rehearsed = catalog.rehearse(&connection, &sightings, NOW).await.unwrap();
    assert_eq!(rehearsed.repaired.drift, [("k".to_owned(), VersionId::null(), Drift::Stale)]);
    repair(&catalog, &connection, &sightings).await;
    let held = catalog.stacks(&connection, "", None, 10).await.unwrap();
    let [(key, stack)] = &held.keys[..] else { panic!("one key: {held:?}") };
    let (version, slot) = stack.slots().next().unwrap();
    assert_eq!((key.as_str(), version), ("k", &VersionId::null()));
    assert_eq!(slot.state, State::Object(content("e2")));
    assert_eq!(slot.floor, Sequencer::parse("00AB"));
    assert_eq!(slot.observed, Some(window(30, 31)));
    assert_eq!((slot.last_modified, slot.is_exact), (Some(at(30)), true));
    assert_eq!(slot.storage_class.as_deref(), Some("STANDARD"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn commits_wait_for_the_disk_whatever_the_database_says(pool: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    for (of_database, ours) in [("off", "on"), ("remote_apply", "remote_apply")] {
        let statement = format!("alter database {name:?} set synchronous_commit = {of_database}");
        sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
        let options = PgConnectOptions::clone(&pool.connect_options());
        let catalog = Catalog::new(options, 1, Duration::from_secs(10));
        assert_eq!(catalog.inspect().await.unwrap().synchronous_commit, ours);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_rehearsal_changes_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let sightings =
        [Sighting { key: "k".to_owned(), listed: vec![listed("v1", "e1", 0, true)], window: window(0, 1) }];
    let rehearsed = catalog.rehearse(&connection, &sightings, NOW).await.unwrap();
    let [change] = &rehearsed.changes[..] else { panic!("one change: {rehearsed:?}") };
    assert_eq!((change.key.as_str(), change.kind, rehearsed.removals), ("k", Drift::Missing, 0));
    assert!(change.before.is_null() && change.after["etag"] == "e1", "{change:?}");
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
    let taken = catalog.take_rechecks(&connection, 10, lease, due).await.unwrap();
    assert!(taken.is_empty(), "it pauses");
    let taken = catalog.take_rechecks(&connection, 10, lease, due + pause).await.unwrap();
    let [recheck] = &taken[..] else { panic!("one key: {taken:?}") };

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
