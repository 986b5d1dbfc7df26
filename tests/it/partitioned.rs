//! Buckets whose rows are spread over tables by a hash of the key: everything is as with one.

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR};

use crate::support::{NOW, divided, put};
use crate::{agreement, as_of, folders, size};

const PARTITIONS: u32 = 4;

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_writers_agree(pool: PgPool) {
    agreement::two_writers(pool, PARTITIONS).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn runs_list_compare_and_repair(pool: PgPool) {
    size::many_pages(pool, PARTITIONS).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn folders_are_those_of_s3(pool: PgPool) {
    folders::hostile_folders(pool, PARTITIONS).await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_past_is_as_it_was(pool: PgPool) {
    as_of::below_prefixes(pool, PARTITIONS).await;
}

/// The tables of a bucket that hold rows, each with how it is set up, its indexes, and how many rows it has.
async fn tables(pool: &PgPool, bucket: &str) -> Vec<(String, String, i64)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relid::regclass::text from pg_partition_tree(catalog.partition_of($1)) where isleaf order by 1",
    )
    .bind(bucket)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut told = Vec::new();
    for table in tables {
        let shape = "select concat_ws(E'\\n', array_to_string(reloptions, ' '), (
                         select string_agg(pg_get_indexdef(indexrelid), E'\\n' order by indexrelid) from pg_index
                         where indrelid = pg_class.oid))
                     from pg_class where oid = $1::regclass";
        let shape: String = sqlx::query_scalar(shape).bind(&table).fetch_one(pool).await.unwrap();
        let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let rows = sqlx::query_scalar(count).fetch_one(pool).await.unwrap();
        let name = table.trim_start_matches("catalog.");
        told.push((table.clone(), shape.replace(name, "it"), rows));
    }
    told
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_table_is_made_alike_and_all_go_at_once(pool: PgPool) {
    let (catalog, connection) = divided(pool.clone(), PARTITIONS).await;
    let whole = Connection { bucket: "archive".to_owned(), partitions: 1, ..connection.clone() };
    catalog.connect(&whole, NOW).await.unwrap();
    let keys: Vec<String> = (0..100).map(|number| format!("key {number}")).collect();
    let put = put("v1", "e1", "01", 0);
    for connection in [&connection, &whole] {
        let batch: Vec<_> = keys.iter().map(|key| (key, &put)).collect();
        catalog.apply(connection, &batch, NOW).await.unwrap();
    }
    let (divided, one) = (tables(&pool, "genomics").await, tables(&pool, "archive").await);
    assert_eq!((divided.len(), one.len()), (4, 1));
    assert!(divided.iter().all(|table| table.1 == one[0].1 && table.2 > 0), "{divided:#?}\n{one:#?}");
    assert_eq!(divided.iter().map(|table| table.2).sum::<i64>(), 100);

    assert!(catalog.forget(&connection).await.unwrap());
    assert_eq!(catalog.partitions("genomics").await.unwrap(), None);
    assert_eq!(tables(&pool, "archive").await, one);
    let left: i64 = sqlx::query_scalar("select count(*) from pg_class where relname ~ '^slots_1'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "tables and indexes of a bucket that is gone");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_connected_stays_as_it_is(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    assert_eq!(catalog.partitions("genomics").await.unwrap(), None);
    for (asked, there) in [(PARTITIONS, 4), (1, 4), (8, 4)] {
        divided(pool.clone(), asked).await;
        assert_eq!(catalog.partitions("genomics").await.unwrap(), Some(there));
    }
    let part = Connection { prefix: "a/".to_owned(), partitions: 8, ..divided(pool.clone(), 1).await.1 };
    catalog.connect(&part, NOW).await.unwrap();
    assert_eq!(catalog.partitions("genomics").await.unwrap(), Some(4), "all parts share the tables");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn order_and_names_are_found_by_the_indexes_of_each_table(pool: PgPool) {
    divided(pool.clone(), PARTITIONS).await;
    let mut session = pool.acquire().await.unwrap();
    // Of so few rows there is nothing to win.
    sqlx::query("set enable_seqscan = off").execute(&mut *session).await.unwrap();
    let mut plan = async |statement| {
        let statement = sqlx::AssertSqlSafe(format!("explain (costs off) {statement}"));
        let lines: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut *session).await.unwrap();
        lines.join("\n")
    };
    let told =
        plan("select key from catalog.objects where bucket = 'genomics' and key >= 'a' order by key limit 1")
            .await;
    assert!(told.contains("Merge Append") && told.matches("_latest on ").count() == 4, "{told}");
    let told = plan("select key from catalog.object_versions where bucket = 'genomics' and key = 'a'").await;
    assert_eq!(told.matches(" on slots_1_").count(), 1, "{told}");
}
