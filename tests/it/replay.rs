//! What is in quarantine, put through again.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgPool;
use stocktake::catalog::{Aside, Catalog, Connection, MIGRATOR, Quarantined};
use stocktake::ingest::{Replayed, replay};

use crate::support::{NOW, connected, versions};

fn put(bucket: &str, key: &str) -> Value {
    json!({
        "eventName": "ObjectCreated:Put", "eventTime": "2026-11-01T12:00:00.000Z",
        "s3": { "bucket": { "name": bucket },
                "object": { "key": key, "versionId": "v1", "eTag": "e", "size": 7, "sequencer": "0A" } },
    })
}

/// Sets a message aside, or one record of it, as an older program would have.
async fn set_aside(catalog: &Catalog, message_id: &str, record: i32, records: &[Value]) -> Aside {
    let body = json!({ "Records": records }).to_string();
    let reason = "an older program could not read it";
    let item = Quarantined { queue: "q", message_id, record, receive_count: Some(3), body: &body, reason };
    catalog.quarantine(&item, NOW).await.unwrap();
    let mut last = 0;
    loop {
        let item = catalog.next_quarantined(last).await.unwrap().unwrap();
        if item.message_id == message_id {
            return item;
        }
        last = item.quarantine_id;
    }
}

async fn put_through(catalog: &Catalog, connection: &Connection, item: &Aside) -> Replayed {
    replay(catalog, &[Arc::new(connection.clone())], item, NOW).await.unwrap()
}

/// Whether an item is put through, and why it is in quarantine.
async fn state(pool: &PgPool, item: &Aside) -> (bool, String) {
    sqlx::query_as("select replayed_at is not null, reason from catalog.quarantine where quarantine_id = $1")
        .bind(item.quarantine_id)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_can_be_read_by_now_is_put_through_once(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let records = [put("genomics", "a"), put("genomics", "b"), put("nobodys", "c")];
    let whole = set_aside(&catalog, "m1", 0, &records).await;
    let second = set_aside(&catalog, "m2", 2, &[put("genomics", "left"), put("genomics", "taken")]).await;

    let outcomes = [("applied", 2), ("ignored", 1)].into();
    assert_eq!(put_through(&catalog, &connection, &whole).await, Replayed::Through(outcomes));
    assert_eq!(put_through(&catalog, &connection, &second).await, Replayed::Through([("applied", 1)].into()));
    assert_eq!(versions(&pool, "b").await, ["v1 e latest"]);
    assert_eq!(versions(&pool, "taken").await, ["v1 e latest"]);
    assert_eq!(versions(&pool, "left").await, Vec::<String>::new(), "its neighbour was merged long ago");
    for item in [&whole, &second] {
        assert_eq!(state(&pool, item).await, (true, "an older program could not read it".to_owned()));
    }
    assert_eq!(catalog.next_quarantined(0).await.unwrap(), None);

    // As after a death between the two.
    let outcomes = [("duplicate", 2), ("ignored", 1)].into();
    assert_eq!(put_through(&catalog, &connection, &whole).await, Replayed::Through(outcomes));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_still_bad_stays_with_its_reason(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let item = set_aside(&catalog, "m1", 0, &[put("genomics", "a"), json!({ "eventName": "x" })]).await;
    let Replayed::Stays(reason) = put_through(&catalog, &connection, &item).await else { panic!("{item:?}") };
    assert_eq!(reason, "record 2: s3: missing");
    assert_eq!(state(&pool, &item).await, (false, reason));
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"], "what could be read is not held up");

    let item = set_aside(&catalog, "m2", 3, &[put("genomics", "b")]).await;
    let reason = "the message has no such record any more".to_owned();
    assert_eq!(put_through(&catalog, &connection, &item).await, Replayed::Stays(reason));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_postgres_never_takes_stays_and_what_is_no_fault_of_its_own_is_not_judged(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let refuse = "create function refuse() returns trigger language plpgsql as $$
                  begin raise exception 'this is poison' using errcode = '22021'; end $$;
                  create trigger refuse before insert on catalog.slots for each row execute function refuse()";
    sqlx::raw_sql(refuse).execute(&pool).await.unwrap();
    let item = set_aside(&catalog, "m1", 1, &[put("genomics", "poison")]).await;
    let Replayed::Stays(reason) = put_through(&catalog, &connection, &item).await else { panic!("{item:?}") };
    assert!(reason.contains("this is poison"), "{reason}");

    let item = set_aside(&catalog, "m2", 1, &[put("genomics", "fine")]).await;
    sqlx::raw_sql("drop table catalog.slots cascade").execute(&pool).await.unwrap();
    let connections = [Arc::new(connection)];
    assert!(replay(&catalog, &connections, &item, NOW).await.is_err());
    assert_eq!(state(&pool, &item).await, (false, "an older program could not read it".to_owned()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reason_to_stay_names_a_few_records(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let item = set_aside(&catalog, "m1", 0, &vec![json!(5); 1_000]).await;
    let Replayed::Stays(reason) = put_through(&catalog, &connection, &item).await else { panic!("unfit") };
    assert!(reason.starts_with("record 1: s3: missing; record 2: "), "{reason}");
    assert!(reason.ends_with("record 5: s3: missing; and 995 more"), "{reason}");
}
