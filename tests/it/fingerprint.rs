//! What Postgres makes of rows is what the model makes of the listing that shows them.

use std::sync::Arc;

use fastrand::Rng;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Place, Sighting};
use stocktake::model::{Content, Fingerprint, Listed, Span, State, VersionId};
use stocktake::reconcile::{Settings, run};
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Store, at, connection, divided, listed, repair, window};

const KEYS: usize = 200;

/// A key with up to three versions, the first of which is the latest; of odd lengths, with and without what a store
/// may leave out.
fn random_key(rng: &mut Rng, number: usize) -> (String, Vec<Listed>) {
    let tail: String = (0..rng.usize(..40)).map(|_| rng.char('\u{1}'..='\u{ff}')).collect();
    let key = format!("{number:04}/{tail}");
    let versions = (0..rng.usize(1..4)).map(|age| {
        let content = Content {
            etag: rng.bool().then(|| format!("{:x}", rng.u128(..))),
            size: rng.bool().then(|| rng.i64(0..=i64::MAX)),
        };
        let is_marker = rng.u8(..4) == 0;
        Listed {
            version: VersionId::parse(Some(&format!("v{age}{}", rng.u32(..)))),
            is_latest: age == 0,
            state: if is_marker { State::Marker } else { State::Object(content) },
            last_modified: at(-rng.i64(0..1_000_000_000)),
            storage_class: rng.bool().then(|| "GLACIER_IR".to_owned()),
        }
    });
    (key, versions.collect())
}

fn random_keys(seed: u64) -> Vec<(String, Vec<Listed>)> {
    let mut rng = Rng::with_seed(seed);
    (0..KEYS).map(|number| random_key(&mut rng, number)).collect()
}

/// Whether the rows of all keys after `after`, up to and with the last of `keys`, are as these are listed.
async fn has(
    catalog: &Catalog,
    connection: &Connection,
    after: Option<&str>,
    keys: &[(String, Vec<Listed>)],
    seed: i64,
) -> bool {
    let told = keys.iter().map(|(key, entries)| (key.as_str(), entries.iter().map(Listed::told)));
    let fingerprint = Fingerprint::of(seed, told).unwrap();
    let span = Span { to: keys.last().map(|(key, _)| key.clone()), ..Span::all() };
    let after = after.map(Place::after);
    catalog.has(connection, "", &span, after.as_ref(), &fingerprint).await.unwrap()
}

async fn stored(pool: PgPool, partitions: u32) -> (Catalog, Connection, Vec<(String, Vec<Listed>)>) {
    let (catalog, connection) = divided(pool, partitions).await;
    let keys = random_keys(7);
    let sighting = |(key, listed): &(String, Vec<Listed>)| Sighting {
        key: key.clone(),
        listed: listed.clone(),
        window: window(0, 1),
    };
    repair(&catalog, &connection, &keys.iter().map(sighting).collect::<Vec<_>>()).await;
    (catalog, connection, keys)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn rows_are_as_they_were_listed(pool: PgPool) {
    let (catalog, connection, keys) = stored(pool.clone(), 4).await;
    for seed in [0, 1, -1, i64::MAX, i64::MIN, fastrand::i64(..)] {
        assert!(has(&catalog, &connection, None, &keys, seed).await, "seed {seed}");
        let (before, rest) = keys.split_at(70);
        let after = before.last().map(|(key, _)| key.as_str());
        assert!(has(&catalog, &connection, after, &rest[..60], seed).await, "seed {seed}");
        assert!(!has(&catalog, &connection, after, &rest[60..61], seed).await, "seed {seed}");
    }
    // An event's date may be another than S3's own.
    sqlx::query("update catalog.slots set is_exact = false where key = $1 and is_latest")
        .bind(&keys[99].0)
        .execute(&pool)
        .await
        .unwrap();
    assert!(!has(&catalog, &connection, None, &keys, 1).await);
    assert!(has(&catalog, &connection, None, &keys[..99], 1).await);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_difference_escapes(pool: PgPool) {
    let (catalog, connection, keys) = stored(pool, 1).await;
    let mut rng = Rng::with_seed(8);
    for round in 0..400 {
        let mut others = keys.clone();
        // Without the last key, less would be compared.
        let place = rng.usize(..KEYS - 1);
        let (key, entries) = &mut others[place];
        let what = rng.u8(..8);
        let age = rng.usize(..entries.len());
        let entry = &mut entries[age];
        match what {
            0 => *key += "x",
            1 => entry.version = VersionId::parse(Some(&format!("{}x", entry.version))),
            2 => {
                let marker = State::Object(Content::default());
                entry.state = if entry.state == State::Marker { marker } else { State::Marker };
            }
            3 => entry.last_modified = at(rng.i64(1..1_000)),
            4 => entry.storage_class = entry.storage_class.take().xor(Some("STANDARD".to_owned())),
            5 => match &mut entry.state {
                State::Object(content) => content.etag = content.etag.take().xor(Some("e".to_owned())),
                _ => entry.storage_class = Some("DEEP_ARCHIVE".to_owned()),
            },
            6 => entries.push(listed("more", "e", 0, false)),
            _ => drop(others.remove(place)),
        }
        assert!(!has(&catalog, &connection, None, &others, fastrand::i64(..)).await, "round {round}: {what}");
    }
}

/// What a run of its own asks Postgres that is about stretches of rows: each statement is prepared once.
async fn asked(pool: PgPool, store: &Arc<Store>) -> (bool, bool) {
    let (catalog, shutdown) = (Catalog::on(pool), CancellationToken::new());
    let in_turn = Settings { concurrency: 1, ..Settings::DEFAULT };
    run(store, &catalog, &connection(""), "", &in_turn, || NOW, &shutdown).await.unwrap();
    let statements = catalog.prepared_statements().await.unwrap();
    let has = |mark: &str| statements.iter().any(|statement| statement.contains(mark));
    (has("bit_xor("), has("is_present\n     order by key, version_id"))
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn rows_are_read_only_where_they_are_not_as_listed(options: PgPoolOptions, database: PgConnectOptions) {
    // On one connection, a session that nobody had before.
    let fresh = async || options.clone().max_connections(1).connect_with(database.clone()).await.unwrap();
    Catalog::on(fresh().await).connect(&connection(""), NOW).await.unwrap();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut entries: Vec<_> = names.iter().map(|key| (*key, listed("v1", "e1", -9_000, true))).collect();
    let store = Arc::new(Store::new(2, 0, &entries));
    assert_eq!(asked(fresh().await, &store).await, (true, true), "no page of the first run is held");
    assert_eq!(asked(fresh().await, &store).await, (true, false), "all are");
    entries[3] = ("d", listed("v1", "e2", -9_000, true));
    store.become_at(1_000, &entries);
    assert_eq!(asked(fresh().await, &store).await, (true, true), "one is not");
    assert_eq!(asked(fresh().await, &store).await, (true, false), "it is now");
}
