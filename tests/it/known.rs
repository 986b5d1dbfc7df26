//! Several daemons on one queue, some of which have buckets that others do not.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::{Attended, Catalog, Connection, Daemon, MIGRATOR, Reason};
use stocktake::ignore::Ignore;
use stocktake::ingest::{HEARD_FOR, Known};
use tokio::time::Instant;

use crate::support::ingest::{Ingest, QUEUE, body, put, start_knowing};
use crate::support::{Line, NOW, at, connection, done, eventually, started, versions};

fn of(bucket: &str) -> Arc<Connection> {
    Arc::new(Connection { bucket: bucket.to_owned(), ..connection("") })
}

/// A catalog with both buckets, of which a daemon has each.
async fn catalog(pool: &PgPool) -> (Catalog, Arc<Connection>, Arc<Connection>) {
    let (catalog, own, other) = (Catalog::on(pool.clone()), of("archive"), of("genomics"));
    for connection in [&own, &other] {
        catalog.connect(connection, NOW).await.unwrap();
    }
    (catalog, own, other)
}

async fn attend(catalog: &Catalog, connection: &Arc<Connection>) -> Attended {
    let urls = [QUEUE.to_owned()];
    catalog.attend(1, &[Arc::clone(connection)], &urls, HEARD_FOR, NOW).await.unwrap()
}

/// As if so much time had passed since.
async fn pass(pool: &PgPool, interval: &str) {
    for set in [
        "catalog.activity set attended_at = attended_at - interval",
        "catalog.activity set attended_since = attended_since - interval",
        "catalog.queues set noted_at = noted_at - interval",
    ] {
        sqlx::query(AssertSqlSafe(format!("update {set} '{interval}'"))).execute(pool).await.unwrap();
    }
}

/// As if no daemon had had any of them yet.
async fn never_attended(pool: &PgPool) {
    let never = "update catalog.activity set attended_at = null, attended_since = null";
    sqlx::query(never).execute(pool).await.unwrap();
}

async fn due(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from catalog.due_runs").fetch_one(pool).await.unwrap()
}

async fn receive(catalog: &Catalog) {
    catalog.note_received(QUEUE, NOW, NOW - Duration::from_secs(86_400), &[], NOW).await.unwrap();
}

fn listen(catalog: &Catalog, known: &Known, line: &Arc<Line>) -> Ingest {
    start_knowing(catalog.clone(), known.clone(), line, 1, Duration::from_secs(30), || NOW)
}

/// A message of one put in the bucket `genomics`.
fn message(key: &str) -> String {
    body(&[put(key, "v1", 1)])
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_event_of_a_bucket_that_only_another_daemon_has_is_merged(pool: PgPool) {
    let (catalog, own, other) = catalog(&pool).await;
    let tmp = Ignore::new(vec!["*.tmp".to_owned()]).unwrap();
    attend(&catalog, &Arc::new(Connection { ignore: tmp, ..(*other).clone() })).await;
    let attended = attend(&catalog, &own).await;
    assert_eq!(attended.others.iter().map(|other| other.bucket.as_str()).collect::<Vec<_>>(), ["genomics"]);
    let known = Known::new(Arc::new([own]));
    known.hear(attended.others, Instant::now());

    let line = Arc::new(Line::default());
    line.send(body(&[put("a", "v1", 1), put("b.tmp", "v1", 2)]));
    let ingest = listen(&catalog, &known, &line);
    ingest.until_in_hand(0).await;
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"]);
    assert_eq!(versions(&pool, "b.tmp").await, Vec::<String>::new(), "what it leaves out, others do, too");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_is_nobodys_business_before_others_were_asked(pool: PgPool) {
    let (catalog, own, other) = catalog(&pool).await;
    let known = Known::new(Arc::new([own]));
    let line = Arc::new(Line::default());
    line.send(message("a"));
    line.send(message("b"));
    let mut ingest = listen(&catalog, &known, &line);
    eventually("messages in hand", async || (line.depth() == (0, 2)).then_some(())).await;
    // Nor is it when that was long ago.
    known.hear(Vec::new(), Instant::now() - HEARD_FOR);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(line.depth(), (0, 2), "they wait");
    ingest.ending.stop.cancel();
    while ingest.tasks.join_next().await.is_some() {}
    assert_eq!(line.depth(), (2, 0), "and come again");

    let ingest = listen(&catalog, &known, &line);
    eventually("messages in hand", async || (line.depth() == (0, 2)).then_some(())).await;
    known.hear(vec![(*other).clone()], Instant::now());
    ingest.until_in_hand(0).await;
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"]);

    // What is heard by now is that nobody has it.
    known.hear(Vec::new(), Instant::now());
    line.send(message("c"));
    ingest.until_in_hand(0).await;
    assert_eq!(versions(&pool, "c").await, Vec::<String>::new());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bucket_is_another_daemons_for_an_hour(pool: PgPool) {
    let (catalog, own, other) = catalog(&pool).await;
    attend(&catalog, &other).await;
    pass(&pool, "59 minutes").await;
    assert_eq!(attend(&catalog, &own).await.others.len(), 1);
    pass(&pool, "2 minutes").await;
    assert_eq!(attend(&catalog, &own).await.others.len(), 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn back_after_others_dropped_its_events_it_is_listed(pool: PgPool) {
    let (catalog, _, connection) = catalog(&pool).await;
    let bucket = vec![("genomics".to_owned(), String::new())];
    attend(&catalog, &connection).await;
    pass(&pool, "50 minutes").await;
    receive(&catalog).await;
    assert_eq!(attend(&catalog, &connection).await.unattended, [], "others merged them");
    pass(&pool, "3 days").await;
    assert_eq!(attend(&catalog, &connection).await.unattended, [], "nobody received any");
    pass(&pool, "2 hours").await;
    receive(&catalog).await;
    assert_eq!(attend(&catalog, &connection).await.unattended, [], "its first run comes first");

    let run = started(&catalog, &connection, at(0)).await;
    pass(&pool, "2 hours").await;
    receive(&catalog).await;
    let (one, two) = tokio::join!(attend(&catalog, &connection), attend(&catalog, &connection));
    let noticed = [one.unattended, two.unattended].concat();
    assert_eq!((noticed, due(&pool).await), (bucket.clone(), 1), "one of two daemons asks for one run");
    let reason = async |now| catalog.asked_run(&connection, now).await.unwrap();
    assert_eq!(reason(NOW + HEARD_FOR / 2).await, None, "not before all have heard");
    assert_eq!(reason(NOW + HEARD_FOR).await, Some(Reason::Away));

    // A run over all of it that somebody made from the command line, before any daemon had the bucket.
    catalog
        .save(&connection, &run, &catalog.take_range(&run).await.unwrap().unwrap(), &[], &done(at(9)), NOW)
        .await
        .unwrap()
        .unwrap();
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    never_attended(&pool).await;
    sqlx::query("update catalog.connections set connected_at = now()").execute(&pool).await.unwrap();
    assert_eq!(attend(&catalog, &connection).await.unattended, []);
    never_attended(&pool).await;
    receive(&catalog).await;
    assert_eq!(attend(&catalog, &connection).await.unattended, bucket);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_finds_what_stayed_out_before_once_all_agree(pool: PgPool) {
    let (catalog, _, connection) = catalog(&pool).await;
    let tmp = Ignore::new(vec!["*.tmp".to_owned()]).unwrap();
    let with = Arc::new(Connection { ignore: tmp, ..(*connection).clone() });
    let seconds = Duration::from_secs;
    let say = async |connection: &Arc<Connection>, after| {
        let said = catalog.attend(1, &[Arc::clone(connection)], &[], HEARD_FOR, NOW + seconds(after)).await;
        assert_eq!(said.unwrap().unattended, []);
    };
    let asked = async |after| catalog.asked_run(&connection, NOW + seconds(after)).await.unwrap();
    say(&with, 0).await;
    say(&connection, 1).await;
    assert_eq!(due(&pool).await, 0, "the first run comes first");
    started(&catalog, &connection, at(0)).await;
    say(&connection, 2).await;
    assert_eq!(due(&pool).await, 0, "nothing has changed");

    say(&with, 10).await;
    assert_eq!(asked(39).await, None);
    assert_eq!(asked(40).await, Some(Reason::Ignore));
    // Another daemon sees it otherwise, and both say so again and again.
    say(&connection, 15).await;
    say(&with, 20).await;
    say(&connection, 25).await;
    say(&connection, 35).await;
    assert_eq!((asked(54).await, asked(55).await), (None, Some(Reason::Ignore)));
    assert_eq!(due(&pool).await, 1, "one run");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_daemons_at_work_have_not_heard_is_news(pool: PgPool) {
    let (catalog, own, other) = catalog(&pool).await;
    let say = async |daemon_id, connection: &Arc<Connection>| {
        let daemon = Daemon { daemon_id, host: "h".to_owned(), pid: 1 };
        catalog.greet(&daemon, None).await.unwrap();
        catalog.attend(daemon_id, &[Arc::clone(connection)], &[], HEARD_FOR, NOW).await.unwrap();
        catalog.is_news(daemon_id, &[Arc::clone(connection)], HEARD_FOR).await.unwrap()
    };
    let is_news = async |daemon_id, connection: &Arc<Connection>| {
        catalog.is_news(daemon_id, &[Arc::clone(connection)], HEARD_FOR).await.unwrap()
    };
    assert!(!say(1, &own).await, "there is nobody");
    assert!(say(2, &other).await);
    assert!(say(2, &other).await, "also when it starts again at once");
    catalog.greet(&Daemon { daemon_id: 3, host: "h".to_owned(), pid: 1 }, None).await.unwrap();
    say(1, &own).await;
    assert!(is_news(2, &other).await, "one has not asked yet");
    say(3, &own).await;
    assert!(!is_news(2, &other).await, "all have heard");

    assert!(say(2, &other).await);
    pass(&pool, "11 seconds").await;
    assert!(!is_news(2, &other).await, "by now they leave out nothing of it");
    pass(&pool, "2 minutes").await;
    assert!(!say(2, &other).await, "it was known all the time");
}
