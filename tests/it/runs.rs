//! Runs: their watermark, their tombstones, their drift, and reading the rows they compare.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::{MIGRATOR, PURGE_MAX, Sighting, Trigger};
use stocktake::model::{Claim, Doubt, Fact, Outcome, Span, Stack};
use stocktake::reconcile::call_off;

use crate::support::{
    NOW, at, claim, connected, done, eventually, listed, put, repair, runs, see, started, versions, window,
};

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_moves_the_watermark_and_purges_what_it_accounts_for(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [put("v1", "e1", "01", 0), claim("v1", Fact::Removed, "01", 1)];
    let batch: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();

    let run = started(&catalog, &connection, at(100)).await;
    let another =
        catalog.start_run(&connection, "", Trigger::Operator, &[Span::all()], at(101), NOW).await.unwrap();
    assert_eq!((another, catalog.open_run(&connection, "").await.unwrap()), (None, Some(run.clone())));
    assert_eq!(catalog.horizon(&connection).await.unwrap().run_started, Some(at(100)));
    let late = put("v9", "e9", "09", 10);
    let verdicts = catalog.apply(&connection, &[("late", &late)], NOW).await.unwrap();
    assert_eq!(verdicts[0].doubt, Some(Doubt::RunUnderWay));

    assert!(!catalog.complete_run(&connection, &run, NOW).await.unwrap(), "a range is not done");
    let range = catalog.take_range(&run).await.unwrap().unwrap();
    catalog.save(&connection, &run, &range, &[], &done(at(110)), NOW).await.unwrap().unwrap();
    assert!(!catalog.complete_run(&connection, &run, NOW).await.unwrap(), "its removals were not judged");
    catalog.judge_removals(&connection, &run, 20, true, NOW).await.unwrap();
    assert!(catalog.complete_run(&connection, &run, NOW).await.unwrap());
    assert!(!catalog.complete_run(&connection, &run, NOW).await.unwrap(), "by one process");
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
        repair(&catalog, &connection, &gone).await;
    }
    let run = started(&catalog, &connection, at(30)).await;
    see(&catalog, &connection, &run, &[]).await;
    assert!(catalog.complete_run(&connection, &run, NOW).await.unwrap());
    let horizon = catalog.horizon(&connection).await.unwrap();
    let held = catalog.stacks(&connection, "", None, 100).await.unwrap();
    let is_spent = |stack: &Stack| stack.slots().all(|(_, slot)| slot.is_spent(&horizon));
    let (spent, kept): (Vec<_>, Vec<_>) = held.keys.into_iter().partition(|(_, stack)| is_spent(stack));
    assert!(spent.len() > 10 && kept.len() > 10, "both kinds: {} and {}", spent.len(), kept.len());
    assert_eq!(catalog.purge_tombstones(&connection, at(30)).await.unwrap(), spent.len() as u64);
    assert_eq!(catalog.stacks(&connection, "", None, 100).await.unwrap().keys, kept);
}

/// Postgres thought that there are none, and read all of them for each.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_purge_reads_each_tombstone_once(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let count = 2 * PURGE_MAX + 1;
    for (key, is_present) in [("there", true), ("gone", false)] {
        sqlx::query(
            "insert into catalog.slots (bucket, key, version_id, event_time, first_seen_at, changed_at, is_present, is_latest,
                                        is_delete_marker, is_exact)
             select 'genomics', $1 || number, 'v1', '2000-01-01', now(), now(), $2, $2, false, false
             from generate_series(1, $3) as number",
        )
        .bind(key)
        .bind(is_present)
        .bind(count)
        .execute(&pool)
        .await
        .unwrap();
        if is_present {
            sqlx::query("vacuum analyze catalog.slots").execute(&pool).await.unwrap();
        }
    }
    for purged in [PURGE_MAX, PURGE_MAX, 1, 0] {
        assert_eq!(catalog.purge_tombstones(&connection, at(0)).await.unwrap(), purged as u64);
    }
    let read = eventually("what was read", async || {
        let read: Option<i64> = sqlx::query_scalar(
            "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'slots_1_removed' and idx_tup_read >= $1",
        )
        .bind(count)
        .fetch_optional(&pool)
        .await
        .unwrap();
        read
    })
    .await;
    assert!(read < 20 * count, "{read} entries of the index for {count} tombstones");
}

/// Postgres thought that there are none, and took as many again for each.
#[sqlx::test(migrator = "MIGRATOR")]
async fn removals_are_applied_a_few_at_a_time(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(0)).await;
    sqlx::query("update catalog.reconciliations set is_cleared = true").execute(&pool).await.unwrap();
    for count in [1, 3_000] {
        sqlx::query(
            "insert into catalog.withheld (run_id, key, window_from, window_to, listed)
             select $1, 'k' || $2 || ' ' || number, '2000-01-01', '2000-01-02', '[]'
             from generate_series(1, $3) as number",
        )
        .bind(run.run_id)
        .bind(count.to_string())
        .bind(count)
        .execute(&pool)
        .await
        .unwrap();
        if count == 1 {
            sqlx::query("vacuum analyze catalog.withheld").execute(&pool).await.unwrap();
        }
    }
    catalog.apply_withheld(&connection, &run, NOW).await.unwrap().unwrap();
    let left: i64 =
        sqlx::query_scalar("select count(*) from catalog.withheld").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 2_501, "five hundred at a time");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_is_given_up_when_nobody_goes_on_with_it(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let day = Duration::from_secs(24 * 3_600);
    let run = started(&catalog, &connection, at(100)).await;
    catalog.end_forsaken_runs(day, NOW).await.unwrap();
    assert_eq!(catalog.open_run(&connection, "").await.unwrap(), Some(run));
    sqlx::query("update catalog.ranges set leased_until = leased_until - interval '25 hours'")
        .execute(&pool)
        .await
        .unwrap();
    catalog.end_forsaken_runs(day, NOW).await.unwrap();
    assert_eq!(runs(&pool).await, ["failed nobody went on with it for too long"]);
    let horizon = catalog.horizon(&connection).await.unwrap();
    assert_eq!((horizon.watermark, horizon.run_started), (None, None));

    // An operator's is called off, but not while somebody else is at work on it.
    let run = started(&catalog, &connection, at(200)).await;
    let range = catalog.take_range(&run).await.unwrap().unwrap();
    call_off(&catalog, &connection, "", "interrupted", || NOW).await.unwrap();
    assert_eq!(catalog.open_run(&connection, "").await.unwrap(), Some(run.clone()));
    catalog.give_back_ranges(&run, &[range.lease]).await.unwrap();
    call_off(&catalog, &connection, "", "interrupted", || NOW).await.unwrap();
    assert_eq!(runs(&pool).await[1..], ["stopped interrupted"]);
    assert_eq!(catalog.horizon(&connection).await.unwrap().run_started, None);
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
    let in_order = ["B", "a", "a b", "ab", "z/1", "z/2", "é"];
    for rows_max in 1..8 {
        let (mut seen, mut place) = (Vec::new(), None);
        loop {
            let held = catalog.stacks(&connection, "", place.as_ref(), rows_max).await.unwrap();
            let are_whole = held.keys.iter().all(|(_, stack)| stack.slots().count() == 3);
            assert!(are_whole, "whole keys at {rows_max}");
            seen.extend(held.keys.into_iter().map(|(key, _)| key));
            place = held.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(seen, in_order, "at {rows_max} rows");
        seen.clear();
        loop {
            let held = catalog.scan(&connection, "", &Span::all(), place.as_ref(), rows_max).await.unwrap();
            seen.extend(held.keys.into_iter().map(|(key, _)| key));
            place = held.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(seen, in_order, "at {rows_max} rows, without tombstones");
    }
    let below = catalog.stacks(&connection, "z/", None, 100).await.unwrap();
    assert_eq!(below.keys.len(), 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn drift_is_entered_with_what_was_before_and_after(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    catalog.apply(&connection, &[("gone", &put("v1", "e1", "01", 0))], NOW).await.unwrap();
    let first = started(&catalog, &connection, at(50)).await;
    let loaded = [Sighting {
        key: "old".to_owned(),
        listed: vec![listed("v0", "e0", 0, true)],
        window: window(50, 51),
    }];
    see(&catalog, &connection, &first, &loaded).await;
    assert!(catalog.complete_run(&connection, &first, NOW).await.unwrap());
    assert_eq!(versions(&pool, "old").await, ["v0 e0 latest"], "loaded by the first run, and no drift");
    let run = started(&catalog, &connection, at(100)).await;
    let sightings = [
        Sighting { key: "gone".to_owned(), listed: Vec::new(), window: window(100, 101) },
        Sighting {
            key: "new".to_owned(),
            listed: vec![listed("v2", "e2", 50, true)],
            window: window(100, 101),
        },
    ];
    see(&catalog, &connection, &run, &sightings).await;
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
        sqlx::query_as("select missing, ghost from catalog.reconciliations where run_id = $1")
            .bind(run.run_id)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(counts, (1, 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn old_runs_go_with_their_drift_and_the_last_of_a_connection_stays(pool: PgPool) {
    let (catalog, _) = connected(pool.clone()).await;
    // Ages in days. Of those below "p/" nothing depends on any.
    sqlx::raw_sql(
        "insert into catalog.reconciliations (bucket, prefix, started_at, finished_at, window_from, status, source)
         select 'genomics', prefix, at, at, at, status, source
         from (values ('', 200, 'complete', 'listing'), ('', 195, 'complete', 'inventory'),
                      ('', 190, 'failed', 'listing'), ('', 100, 'complete', 'listing'),
                      ('', 99, 'failed', 'listing'), ('p/', 95, 'complete', 'listing'),
                      ('p/', 1, 'stopped', 'listing'))
              as runs (prefix, days, status, source),
              lateral (select now() - make_interval(days => days) as at) as ended;
         insert into catalog.drift (run_id, bucket, key, version_id, kind, found_at, detail)
         select run_id, bucket, 'k', 'v', 'ghost', started_at, '{}' from catalog.reconciliations;
         insert into catalog.rechecks (bucket, key, reason, asked_at, due_at, run_id)
         values ('genomics', 'k', 'asked', now(), now(), 1);
         insert into catalog.quarantine (received_at, queue, message_id, record, body, reason)
         values (now() - interval '91 days', 'q', 'm1', 0, '', ''), (now() - interval '89 days', 'q', 'm2', 0, '', '')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let keep = Duration::from_secs(90 * 86_400);
    assert_eq!(catalog.prune_ledger(keep).await.unwrap(), 3 + 2 + 1);
    let left = async |of: &'static str| -> Vec<i64> {
        let statement = format!("select run_id from catalog.{of} order by run_id");
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(
        left("reconciliations").await,
        [1, 2, 4, 5, 7],
        "a doubt is still to be settled for the first"
    );
    assert_eq!(left("drift").await, [2, 4, 5, 7]);
    let kept: Vec<String> =
        sqlx::query_scalar("select message_id from catalog.quarantine").fetch_all(&pool).await.unwrap();
    assert_eq!(kept, ["m2"]);
    assert_eq!(catalog.prune_ledger(keep).await.unwrap(), 0);
}
