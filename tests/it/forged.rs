//! What somebody makes up who may send to the queue.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use stocktake::catalog::MIGRATOR;

use crate::support::ingest::{body, ingest, put};
use crate::support::{Line, versions};

/// Each record that is set aside is kept with the whole body, so a message full of them would be gigabytes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_full_of_nonsense_is_set_aside_once(pool: PgPool) {
    let line = Arc::new(Line::default());
    let mut records = vec![json!(5); 200];
    records[7] = put("a", "v1", 1);
    line.send(body(&records));
    line.send(body(&[json!(5), put("b", "v2", 2), json!({})]));
    let ingest = ingest(&pool, &line).await;
    ingest.until_in_hand(0).await;
    assert_eq!(versions(&pool, "a").await, ["v1 e latest"]);
    assert_eq!(versions(&pool, "b").await, ["v2 e latest"]);
    let set_aside: Vec<(String, i32, String)> = sqlx::query_as(
        "select message_id, record, reason from catalog.quarantine order by message_id, record",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let many = "199 of its records are unfit, the first of them record 1: s3: missing";
    let expected = [("m1", 0, many), ("m2", 1, "s3: missing"), ("m2", 3, "s3: missing")];
    assert_eq!(set_aside, expected.map(|(id, record, reason)| (id.to_owned(), record, reason.to_owned())));
}
