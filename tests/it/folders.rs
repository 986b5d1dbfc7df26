//! `catalog.ls`, beside what S3's own listing with a delimiter says.

use std::collections::BTreeMap;

use fastrand::Rng;
use sqlx::PgPool;
use stocktake::catalog::{Catalog, MIGRATOR};
use stocktake::model::{Claim, Fact};

use crate::support::{NOW, claim, connected, connection, divided, put};

/// What `ListObjectsV2` answers, as its documentation says it: keys below the prefix, those with the
/// delimiter after the prefix rolled up into what is up to and with it. Folders first.
fn listed<'a>(
    keys: impl Iterator<Item = &'a str>,
    prefix: &str,
    delimiter: &str,
) -> Vec<(bool, String, i64)> {
    let (mut folders, mut files) = (BTreeMap::<String, i64>::new(), Vec::new());
    for key in keys {
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => {
                let folder = key[..prefix.len() + at + delimiter.len()].to_owned();
                *folders.entry(folder).or_default() += 1;
            }
            None => files.push((false, key.to_owned(), 0)),
        }
    }
    folders.into_iter().map(|(folder, count)| (true, folder, count)).chain(files).collect()
}

async fn ls(pool: &PgPool, prefix: &str, delimiter: &str) -> Vec<(bool, String, i64)> {
    let deep: Vec<(bool, String, i64)> = sqlx::query_as(
        "select is_folder, key, coalesce(objects, 0) from catalog.ls('genomics', $1, $2, deep => true)",
    )
    .bind(prefix)
    .bind(delimiter)
    .fetch_all(pool)
    .await
    .unwrap();
    let flat: Vec<(bool, String, String)> =
        sqlx::query_as("select is_folder, key, name from catalog.ls('genomics', $1, $2)")
            .bind(prefix)
            .bind(delimiter)
            .fetch_all(pool)
            .await
            .unwrap();
    for ((is_folder, key, _), (flat_is_folder, flat_key, name)) in deep.iter().zip(&flat) {
        assert_eq!((is_folder, key), (flat_is_folder, flat_key));
        assert_eq!(key.strip_prefix(prefix), Some(name.as_str()));
    }
    assert_eq!(deep.len(), flat.len());
    deep
}

/// What paths are made of: what means something to SQL, `like`, escapes, terminals and byte orders.
const PIECES: [&str; 24] = [
    "a",
    "b",
    "/",
    "/",
    "/",
    "//",
    "'",
    "\"",
    "%",
    "_",
    "\\",
    "\n",
    "\u{1}",
    "\u{7F}",
    "é",
    "e\u{301}",
    "数据",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFF}",
    "\u{10FFFF}",
    "😀",
    "::",
    "A",
];

fn random_key(rng: &mut Rng) -> String {
    (0..rng.usize(1..7)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn folders_are_those_of_s3_whatever_the_keys(pool: PgPool) {
    hostile_folders(pool, 1).await;
}

/// The same of a bucket whose rows are in so many tables.
pub(crate) async fn hostile_folders(pool: PgPool, partitions: u32) {
    let (catalog, connection) = divided(pool.clone(), partitions).await;
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut keys: BTreeMap<String, Claim> =
        (0..600).map(|_| (random_key(&mut rng), put("v", "e", "01", 0))).collect();
    for key in ["/", "//", "a/", "a/\u{10FFFF}/x", "\u{10FFFF}/\u{10FFFF}", "a/\u{D7FF}", "a::b::c", "::"] {
        keys.insert(key.to_owned(), put("v", "e", "01", 0));
    }
    keys.insert("\u{10FFFF}".repeat(256), put("v", "e", "01", 0));
    keys.insert("k".repeat(1_024), put("v", "e", "01", 0));
    let batch: Vec<_> = keys.iter().collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    // What a marker hides is not there, and neither is a folder of which a marker hides the last key.
    let hidden: Vec<String> = keys.keys().filter(|key| key.contains('b')).cloned().collect();
    let marker = claim("m", Fact::Marker, "02", 1);
    let batch: Vec<_> = hidden.iter().map(|key| (key, &marker)).collect();
    catalog.apply(&connection, &batch, NOW).await.unwrap();
    keys.retain(|key, _| !key.contains('b'));

    let mut prefixes: Vec<String> =
        ["", "a", "a/", "/", "//", "%", "_", "\\", "\u{10FFFF}", "nothing", "a::"].map(str::to_owned).into();
    for key in keys.keys().filter(|key| key.contains('/')).take(60) {
        prefixes.extend(key.match_indices('/').map(|(at, _)| key[..=at].to_owned()));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    for prefix in prefixes {
        for delimiter in ["/", "", "::", "a", "\u{10FFFF}", "//"] {
            let expected = listed(keys.keys().map(String::as_str), &prefix, delimiter);
            assert_eq!(
                ls(&pool, &prefix, delimiter).await,
                expected,
                "seed {seed}: {prefix:?} {delimiter:?}"
            );
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_folder_comes_and_goes_with_its_keys(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let put = put("v", "e", "01", 0);
    catalog.apply(&connection, &[("a/", &put), ("a/b/c", &put), ("d", &put)], NOW).await.unwrap();
    let folder = |key: &str, count| (true, key.to_owned(), count);
    let file = |key: &str| (false, key.to_owned(), 0);
    assert_eq!(ls(&pool, "", "/").await, [folder("a/", 2), file("d")]);
    // The object of no bytes that some programs keep for a folder is a file of that folder.
    assert_eq!(ls(&pool, "a/", "/").await, [folder("a/b/", 1), file("a/")]);
    let removed = claim("v", Fact::Removed, "02", 1);
    catalog.apply(&connection, &[("a/b/c", &removed), ("a/", &removed)], NOW).await.unwrap();
    assert_eq!(ls(&pool, "", "/").await, [file("d")]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_not_connected_is_not_empty(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    catalog.connect(&connection("runs/2026/"), NOW).await.unwrap();
    for prefix in ["", "ru", "runs/", "runs/2026/", "runs/2026/x/"] {
        assert_eq!(ls(&pool, prefix, "/").await, []);
    }
    for (arguments, expected) in [
        ("'genomic'", "bucket \"genomic\" is not connected"),
        ("null", "is not connected"),
        ("'genomics', 'runs/2025/'", "prefix \"runs/2025/\" of bucket \"genomics\" is not connected"),
        ("'genomics', 'x'", "prefix \"x\" of bucket \"genomics\" is not connected"),
        ("'genomics', null", "is not connected"),
    ] {
        let statement = sqlx::AssertSqlSafe(format!("select from catalog.ls({arguments})"));
        let error = sqlx::query(statement).fetch_all(&pool).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{arguments}: {error}");
    }
}

/// How often a function is called before Postgres keeps one plan of it.
const PLANS: usize = 6;

/// Buffers that a statement looks at.
async fn buffers(pool: &PgPool, statement: &'static str) -> i64 {
    let mut connection = pool.acquire().await.unwrap();
    // Postgres looks into its own tables while it plans a function for the first times in a session.
    for _ in 0..PLANS {
        sqlx::query(statement).fetch_all(&mut *connection).await.unwrap();
    }
    let statement = sqlx::AssertSqlSafe(format!("explain (analyze, buffers, costs off) {statement}"));
    let plan: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut *connection).await.unwrap();
    let all = plan.iter().find_map(|line| line.trim().strip_prefix("Buffers: shared ")).expect("buffers");
    all.split(' ').filter_map(|part| part.split_once('=')?.1.parse::<i64>().ok()).sum()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_folder_costs_the_same_whatever_is_below_it(pool: PgPool) {
    connected(pool.clone()).await;
    let mut looked_at = Vec::new();
    for (from, to) in [(1, 1_000), (1_001, 40_000)] {
        sqlx::query(
            "insert into catalog.slots (first_seen_at, changed_at, is_present, is_latest, is_delete_marker, is_exact,
                                        bucket, key, version_id)
             select now(), now(), true, true, false, false, 'genomics',
                    'runs/' || number % 20 || '/sample ' || number, 'null'
             from generate_series($1, $2) as number",
        )
        .bind(from)
        .bind(to)
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query("analyze catalog.slots").execute(&pool).await.unwrap();
        looked_at.push(buffers(&pool, "select * from catalog.ls('genomics', 'runs/')").await);
    }
    let [few, many] = looked_at[..] else { panic!("two figures: {looked_at:?}") };
    // Each of the 21 descents may go through one level more, and so may the planner's look at the end of the index.
    assert!(many <= few + 22 && many < 200, "{few} buffers for 1,000 keys in 20 folders, {many} for 40,000");
}
