//! The database agrees with the model: what two writers leave behind is what one of the two orders
//! of their batches makes of the pure stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use fastrand::Rng;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Terms};
use stocktake::ignore::Ignore;
use stocktake::metrics;
use stocktake::model::{Claim, Content, Fact, Horizon, Sequencer, Stack, Timestamp, VersionId};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);
const ROUNDS: usize = 250;
const BATCH_MAX: usize = 12;

static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| metrics::install().unwrap());

type Batch = Vec<(String, Claim)>;
/// The stacks that are not empty, and the keys in doubt.
type State = (BTreeMap<String, Stack>, BTreeSet<String>);

/// A few keys, a few versions, a few contents: everything meets everything.
fn random_claim(rng: &mut Rng) -> (String, Claim) {
    let version = ["null", "null", "v1", "v2", "v3"][rng.usize(..5)];
    let content = Content { etag: Some(rng.u8(..3).to_string()), size: Some(i64::from(rng.u8(..2))) };
    let fact = match rng.u8(..8) {
        0..4 => Fact::Put(content),
        4 => Fact::Multipart(content),
        5 => Fact::Marker,
        _ => Fact::Removed,
    };
    let time = Timestamp::from(NOW + time::Duration::seconds(rng.i64(0..60)));
    let sequencer = Sequencer::parse(&format!("{:04X}", rng.u8(1..40))).filter(|_| rng.u8(..10) > 0);
    let claim = Claim { version: VersionId::parse(Some(version)), fact, sequencer, time };
    (["a", "b", "ü/+"][rng.usize(..3)].to_owned(), claim)
}

fn random_batch(rng: &mut Rng) -> Batch {
    (0..rng.usize(1..=BATCH_MAX)).map(|_| random_claim(rng)).collect()
}

fn fold(before: &State, batches: [&Batch; 2], horizon: &Horizon) -> State {
    let (mut stacks, mut doubts) = before.clone();
    for (key, claim) in batches.into_iter().flatten() {
        let verdict = stacks.entry(key.clone()).or_default().apply(claim, horizon);
        if verdict.doubt.is_some() {
            doubts.insert(key.clone());
        }
    }
    stacks.retain(|_, stack| stack.slots().next().is_some());
    (stacks, doubts)
}

async fn read(catalog: &Catalog, connection: &Connection, pool: &PgPool) -> State {
    let held = catalog.stacks(connection, "", None, 1_000).await.unwrap();
    let doubts: Vec<String> =
        sqlx::query_scalar("select key from catalog.rechecks").fetch_all(pool).await.unwrap();
    (held.keys.into_iter().collect(), doubts.into_iter().collect())
}

async fn apply(catalog: &Catalog, connection: &Connection, batch: &Batch) {
    let claims: Vec<(&str, &Claim)> = batch.iter().map(|(key, claim)| (key.as_str(), claim)).collect();
    catalog.apply(connection, &claims, NOW).await.unwrap();
}

/// How often a transaction was tried again, in this whole process.
fn retries(handle: &PrometheusHandle) -> f64 {
    let text = handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix("stocktake_commit_retries_total "));
    line.and_then(|count| count.parse().ok()).unwrap_or_default()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_writers_leave_what_one_order_of_their_batches_makes(pool: PgPool) {
    two_writers(pool, 1).await;
}

/// The same of a bucket whose rows are in so many tables.
pub(crate) async fn two_writers(pool: PgPool, partitions: u32) {
    LazyLock::force(&METRICS);
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let terms = Terms {
        margin: Duration::from_secs(5),
        trust_sequencers: true,
        recheck_delay: Duration::from_secs(3),
        is_journaled: true,
        is_enriched: false,
        has_raw_keys: false,
    };
    let connection = Connection {
        bucket: "genomics".to_owned(),
        prefix: String::new(),
        ignore: Ignore::default(),
        partitions,
        terms,
    };
    let (one, other) = (Catalog::on(pool.clone()), Catalog::on(pool.clone()));
    one.connect(&connection, NOW).await.unwrap();
    let horizon = one.horizon(&connection).await.unwrap();

    let mut state = State::default();
    for round in 0..ROUNDS {
        // Now and then from nothing: keys without rows cannot be locked, so that is where writers meet.
        if round % 5 == 0 {
            sqlx::query("delete from catalog.slots").execute(&pool).await.unwrap();
            sqlx::query("delete from catalog.rechecks").execute(&pool).await.unwrap();
            state = State::default();
        }
        let (ours, theirs) = (random_batch(&mut rng), random_batch(&mut rng));
        tokio::join!(apply(&one, &connection, &ours), apply(&other, &connection, &theirs));
        let found = read(&one, &connection, &pool).await;
        let orders = [fold(&state, [&ours, &theirs], &horizon), fold(&state, [&theirs, &ours], &horizon)];
        assert!(
            orders.contains(&found),
            "seed {seed}, round {round}: from {state:#?}\n{ours:#?}\nand\n{theirs:#?}\nmade {found:#?}"
        );
        state = found;
    }
    assert!(retries(&METRICS) > 0.0, "no transaction lost a race, so the retry was not tested");
}
