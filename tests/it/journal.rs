//! What the journal says, and how long it is kept.

use std::time::Duration;

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Event, MIGRATOR, Origin, Sighting};
use stocktake::model::{Claim, Doubt, Fact};

use crate::support::{NOW, at, claim, connected, listed, put, repair, see, started, window};
use crate::tail::until_shown;

/// The journal, line by line.
async fn lines(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', key, version_id, change, cause, extract(epoch from event_time - $1)::int, etag,
                          '(was ' || concat_ws(' ', before_etag,
                                               case when before_is_delete_marker then 'marker' end) || ')',
                          requester, source_ip, request_id)
         from catalog.changes order by change_id",
    )
    .bind(NOW)
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_overwrite_is_told_with_what_was_there_and_who_did_it(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims = [
        put("", "e1", "01", 1),
        put("", "e2", "02", 2),
        put("", "e1", "01", 1),
        claim("", Fact::Removed, "03", 3),
        put("", "late", "02", 2),
        put("", "e4", "04", 4),
    ];
    let origin = Origin {
        requester: Some("AWS:ana".to_owned()),
        source_ip: Some("192.0.2.7".to_owned()),
        request_id: Some("C3D13FE58DE4C810".to_owned()),
    };
    let events: Vec<_> =
        claims.iter().map(|claim| Event { key: "k", claim, origin: Some(&origin) }).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let by = "AWS:ana 192.0.2.7 C3D13FE58DE4C810";
    let told = [
        format!("k null created event 1 e1 (was ) {by}"),
        format!("k null created event 2 e2 (was e1) {by}"),
        format!("k null removed event 3 (was e2) {by}"),
        format!("k null created event 4 e4 (was ) {by}"),
    ];
    assert_eq!(lines(&pool).await, told);
    let slots: i64 = sqlx::query_scalar("select count(*) from catalog.slots").fetch_one(&pool).await.unwrap();
    assert_eq!(slots, 1, "the batch wrote one row");
    catalog.apply(&connection, &events, NOW).await.unwrap();
    assert_eq!(lines(&pool).await.len(), told.len(), "what comes again is no change");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn versions_and_markers_are_told_and_who_is_the_latest_is_not(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims: [Claim; 4] = [
        put("v1", "e1", "01", 1),
        claim("m1", Fact::Marker, "02", 2),
        claim("m1", Fact::Removed, "03", 3),
        claim("unheard-of", Fact::Removed, "04", 4),
    ];
    let events: Vec<_> = claims.iter().map(|claim| ("k", claim)).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let told = [
        "k v1 created event 1 e1 (was )",
        "k m1 marker_created event 2 (was )",
        "k m1 removed event 3 (was marker)",
        "k unheard-of removed event 4 (was )",
    ];
    assert_eq!(lines(&pool).await, told);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_there_when_a_bucket_was_connected_is_no_change(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let sighting = |key: &str, etag: &str, date, from| Sighting {
        key: key.to_owned(),
        listed: vec![listed("null", etag, date, true)],
        window: window(from, from + 1),
    };
    let run = started(&catalog, &connection, at(0)).await;
    see(&catalog, &connection, &run, &[sighting("k", "e1", -9, 0), sighting("gone", "e1", -9, 0)]).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    assert!(lines(&pool).await.is_empty());

    let gone = Sighting { key: "gone".to_owned(), listed: Vec::new(), window: window(99, 100) };
    repair(&catalog, &connection, &[sighting("k", "e2", 90, 99), gone]).await;
    let lease = Duration::from_secs(60);
    let recheck = catalog.take_recheck_of(&connection, "new", Doubt::TooClose, lease, NOW).await.unwrap();
    let sighting = sighting("new", "e3", 190, 199);
    catalog.settle(&connection, &recheck, &sighting, Duration::ZERO, NOW).await.unwrap();
    let told = [
        "k null created reconcile e2 (was e1)",
        "gone null removed reconcile (was e1)",
        "new null created recheck e3 (was )",
    ];
    assert_eq!(lines(&pool).await, told);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_journal_that_is_off_stays_empty(pool: PgPool) {
    let (catalog, mut connection) = connected(pool.clone()).await;
    connection.terms.is_journaled = false;
    catalog.apply(&connection, &[("k", &put("", "e1", "01", 1))], NOW).await.unwrap();
    let sighting =
        Sighting { key: "l".to_owned(), listed: vec![listed("v", "e", 0, true)], window: window(99, 100) };
    repair(&catalog, &connection, &[sighting]).await;
    assert!(lines(&pool).await.is_empty());
}

/// Writes a line of `days` ago, and of a bucket.
async fn write_line(pool: &PgPool, bucket: &str, days: i32) {
    let statement = "insert into catalog.journal (recorded_at, bucket, key, version_id, change, cause)
                     values (now() - make_interval(days => $1), $2, 'k', 'v', 'created', 'event')";
    sqlx::query(statement).bind(days).bind(bucket).execute(pool).await.unwrap();
}

async fn partitions(pool: &PgPool) -> i64 {
    let statement = "select count(*) from pg_inherits where inhparent = 'catalog.journal'::regclass";
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

async fn read_since(pool: &PgPool, bucket: &str, cursor: Option<&str>) -> Result<Vec<String>, sqlx::Error> {
    until_shown(pool).await;
    let statement = "select cursor from catalog.changes_since($1, $2)";
    sqlx::query_scalar(statement).bind(bucket).bind(cursor).fetch_all(pool).await
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_change_is_kept_though_nobody_made_its_day(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    for days in [0, 400, -400] {
        write_line(&pool, "b", days).await;
    }
    assert_eq!(read_since(&pool, "b", None).await.unwrap().len(), 3);
    catalog.add_journal_days().await.unwrap();
    assert_eq!(partitions(&pool).await, 7, "today stays where its first change is: rest, and six days");
    catalog.add_journal_days().await.unwrap();
    assert_eq!(partitions(&pool).await, 7);
    write_line(&pool, "b", 0).await;
    assert_eq!(catalog.drop_journal_days(Duration::from_secs(30 * 86_400)).await.unwrap(), 0);
    assert_eq!(read_since(&pool, "b", None).await.unwrap().len(), 3, "the oldest is gone");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn days_are_dropped_and_who_had_not_read_them_is_told(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    sqlx::query(
        "do $$ declare day timestamptz := (current_date - 31)::timestamp at time zone 'UTC'; begin
             execute format('create table catalog.%I partition of catalog.journal for values from (%L) to (%L)',
                            'journal_' || to_char(day at time zone 'UTC', 'YYYYMMDD'), day, day + interval '1 day');
         end $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    catalog.migrate().await.unwrap();
    assert_eq!(partitions(&pool).await, 9);
    for (bucket, days) in [("b", 31), ("quiet", 0), ("b", 31), ("b", 1)] {
        write_line(&pool, bucket, days).await;
    }
    let cursors = read_since(&pool, "b", None).await.unwrap();
    let keep = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(catalog.drop_journal_days(keep(32)).await.unwrap(), 0);
    assert_eq!(catalog.drop_journal_days(keep(29)).await.unwrap(), 1);
    assert_eq!(partitions(&pool).await, 8);

    assert_eq!(read_since(&pool, "b", None).await.unwrap(), cursors[2..]);
    assert_eq!(read_since(&pool, "b", Some(&cursors[1])).await.unwrap(), cursors[2..]);
    let error = read_since(&pool, "b", Some(&cursors[0])).await.unwrap_err();
    assert!(error.to_string().contains("were dropped"), "{error}");
    assert_eq!(read_since(&pool, "quiet", Some("1:0")).await.unwrap().len(), 1, "nothing of it is gone");
}
