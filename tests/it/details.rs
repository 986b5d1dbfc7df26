//! Versions looked at after they were created.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::PgPool;
use stocktake::bucket::details::{Details, Enrich, Head};
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Seen};
use stocktake::enrich::Enricher;
use stocktake::fault::{Fault, Kind};
use stocktake::health::{Health, Subject};
use stocktake::model::{Attributes, Claim, Fact, VersionId};
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, claim, connected, eventually, fault, put};

/// What every version is, or how asking for it fails.
#[derive(Default)]
struct Shelf {
    tags: Mutex<BTreeMap<String, String>>,
    fault: Mutex<Option<Kind>>,
    is_gone: bool,
    asked: Mutex<usize>,
}

impl Shelf {
    fn ask(&self) -> Result<(), Fault> {
        *self.asked.lock().unwrap() += 1;
        match *self.fault.lock().unwrap() {
            Some(kind) => Err(Fault { kind, ..fault("no") }),
            None => Ok(()),
        }
    }
}

impl Details for Shelf {
    async fn head(&self, key: &str, version: &VersionId) -> Result<Option<Head>, Fault> {
        self.ask()?;
        let metadata = [("of".to_owned(), format!("{key} {version}"))].into();
        let storage_class = "STANDARD".to_owned();
        Ok((!self.is_gone).then_some(Head { metadata, storage_class, ..Head::default() }))
    }

    async fn tags(&self, _: &str, _: &VersionId) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.ask()?;
        Ok((!self.is_gone).then(|| self.tags.lock().unwrap().clone()))
    }
}

async fn enriched(pool: &PgPool) -> (Catalog, Connection) {
    let (catalog, mut connection) = connected(pool.clone()).await;
    connection.terms.is_enriched = true;
    (catalog, connection)
}

async fn apply(catalog: &Catalog, connection: &Connection, key: &str, claim: &Claim) {
    catalog.apply(connection, &[(key, claim)], NOW).await.unwrap();
}

fn tags_changed(version: &str, time: i64) -> Claim {
    Claim { sequencer: None, ..claim(version, Fact::Attributes(Attributes::default()), "01", time) }
}

/// Looks at all that is due.
async fn look(pool: &PgPool, shelf: &Arc<Shelf>, catalog: &Catalog, connection: &Connection) -> Health {
    let health = Health::default();
    let enricher = Enricher {
        bucket: Arc::clone(shelf),
        catalog: catalog.clone(),
        connection: Arc::new(connection.clone()),
        enrich: Enrich { head: true, tags: true },
        concurrency: 2,
        rate: 1_000,
        health: health.clone(),
        clock: || NOW,
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(enricher.look_at_versions(shutdown.clone()));
    eventually("nothing due", async || {
        let due = "select count(*) from catalog.lookups where due_at <= $1";
        let due: i64 = sqlx::query_scalar(due).bind(NOW).fetch_one(pool).await.unwrap();
        // What is taken is not due, but not written down yet either.
        let looks = sqlx::query_scalar("select count(*) from catalog.lookups where last_error is null");
        let left: i64 = looks.fetch_one(pool).await.unwrap();
        (due == 0 && left == 0).then_some(())
    })
    .await;
    shutdown.cancel();
    task.await.unwrap();
    health
}

/// Key, version, the metadata and the tags of all that is known.
async fn known(pool: &PgPool) -> Vec<String> {
    let query = "select format('%s %s %s %s', key, version_id, metadata ->> 'of', tags::text)
                 from catalog.object_details order by key, version_id";
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

async fn pending(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from catalog.lookups").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_created_is_looked_at_and_what_goes_is_forgotten(pool: PgPool) {
    let (catalog, connection) = enriched(&pool).await;
    let shelf = Arc::new(Shelf::default());
    for (key, version) in [("a", "v1"), ("a", "v2"), ("b", "null")] {
        apply(&catalog, &connection, key, &put(version, "e", "0A", 1)).await;
    }
    assert_eq!((pending(&pool).await, known(&pool).await), (3, Vec::new()), "never in the way of the commit");
    look(&pool, &shelf, &catalog, &connection).await;
    assert_eq!(known(&pool).await, ["a v1 a v1 {}", "a v2 a v2 {}", "b null b null {}"]);
    assert_eq!(*shelf.asked.lock().unwrap(), 6);

    apply(&catalog, &connection, "a", &put("v1", "e", "0A", 1)).await;
    assert_eq!(pending(&pool).await, 0, "nothing new");
    apply(&catalog, &connection, "a", &claim("v1", Fact::Removed, "0B", 9)).await;
    apply(&catalog, &connection, "b", &claim("null", Fact::Marker, "0C", 20)).await;
    assert_eq!(known(&pool).await, ["a v2 a v2 {}"]);
    assert_eq!(pending(&pool).await, 0, "markers have no details");
    let rows: i64 =
        sqlx::query_scalar("select count(*) from catalog.details").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 1, "rows go with what they are of");

    shelf.tags.lock().unwrap().insert("lab".to_owned(), "7".to_owned());
    apply(&catalog, &connection, "a", &tags_changed("v2", 30)).await;
    assert_eq!((pending(&pool).await, known(&pool).await.len()), (1, 1), "known until it is known better");
    look(&pool, &shelf, &catalog, &connection).await;
    assert_eq!(known(&pool).await, [r#"a v2 a v2 {"lab": "7"}"#]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_seen_of_a_version_written_over_meanwhile_is_not_kept(pool: PgPool) {
    let (catalog, connection) = enriched(&pool).await;
    apply(&catalog, &connection, "a", &put("null", "e1", "0A", 1)).await;
    let taken = catalog.take_lookups(&connection, 10, Duration::from_secs(60), NOW).await.unwrap();
    apply(&catalog, &connection, "a", &put("null", "e2", "0B", 20)).await;
    let seen = |lookup| Seen { lookup, is_there: true, head: Some(Head::default()), tags: None };
    let seen: Vec<_> = taken.into_iter().map(seen).collect();
    assert_eq!(seen.len(), 1);
    catalog.note_seen(&connection, &seen, NOW).await.unwrap();
    assert_eq!((known(&pool).await, pending(&pool).await), (Vec::new(), 1), "it is looked at again");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_look_that_is_denied_is_told_and_tried_again_and_what_is_gone_is_no_fault(pool: PgPool) {
    let (catalog, connection) = enriched(&pool).await;
    let shelf = Arc::new(Shelf { fault: Mutex::new(Some(Kind::Denied)), ..Shelf::default() });
    apply(&catalog, &connection, "a", &put("v1", "e", "0A", 1)).await;
    let health = look(&pool, &shelf, &catalog, &connection).await;
    let subject = Subject::Details { name: "genomics".to_owned(), prefix: String::new() };
    let snapshot = health.snapshot();
    let problems: Vec<_> = snapshot.problems().map(|(subject, problem)| (subject, &problem.remedy)).collect();
    assert_eq!(problems, [(&subject, &"allow it".to_owned())]);
    assert!(snapshot.reasons().iter().all(|reason| !reason.contains("details")), "events go on");
    assert_eq!(pending(&pool).await, 1, "nothing is forgotten");

    *shelf.fault.lock().unwrap() = None;
    let again = "update catalog.lookups set due_at = $1, last_error = null";
    sqlx::query(again).bind(NOW).execute(&pool).await.unwrap();
    let health = look(&pool, &shelf, &catalog, &connection).await;
    assert_eq!(known(&pool).await, ["a v1 a v1 {}"]);
    eventually("no problem", async || health.snapshot().problems().next().is_none().then_some(())).await;

    apply(&catalog, &connection, "gone", &put("v2", "e", "0A", 1)).await;
    let shelf = Arc::new(Shelf { is_gone: true, ..Shelf::default() });
    let health = look(&pool, &shelf, &catalog, &connection).await;
    assert_eq!((known(&pool).await.len(), pending(&pool).await), (1, 0));
    assert!(health.snapshot().problems().next().is_none());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_answer_of_no_use_is_given_up_in_the_end(pool: PgPool) {
    let (catalog, connection) = enriched(&pool).await;
    let shelf = Arc::new(Shelf { fault: Mutex::new(Some(Kind::Other)), ..Shelf::default() });
    apply(&catalog, &connection, "a", &put("v1", "e", "0A", 1)).await;
    sqlx::query("update catalog.lookups set attempts = 4").execute(&pool).await.unwrap();
    look(&pool, &shelf, &catalog, &connection).await;
    assert_eq!((known(&pool).await, pending(&pool).await), (Vec::new(), 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn buckets_that_do_not_ask_pay_nothing(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    apply(&catalog, &connection, "a", &put("v1", "e", "0A", 1)).await;
    apply(&catalog, &connection, "a", &tags_changed("v1", 30)).await;
    assert_eq!(pending(&pool).await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bucket_that_is_forgotten_leaves_no_details(pool: PgPool) {
    let (catalog, connection) = enriched(&pool).await;
    apply(&catalog, &connection, "a", &put("v1", "e", "0A", 1)).await;
    look(&pool, &Arc::new(Shelf::default()), &catalog, &connection).await;
    apply(&catalog, &connection, "b", &put("v2", "e", "0B", 2)).await;
    let rows = async || {
        let query = "select (select count(*) from catalog.lookups) + (select count(*) from catalog.details)";
        sqlx::query_scalar::<_, i64>(query).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(rows().await, 2, "one looked at and one to be");
    assert!(catalog.forget(&connection).await.unwrap());
    assert_eq!(rows().await, 0);
}
