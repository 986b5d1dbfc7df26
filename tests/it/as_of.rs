//! `catalog.as_of` beside what was recorded at the time.

use std::time::Duration;

use fastrand::Rng;
use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting, Trigger};
use stocktake::model::{Claim, Fact, Span};

use crate::support::{
    NOW, at, claim, connected, connection, divided, listed, put, repair, see, started, window,
};

/// What is there, but for what a listing fills in: key, version, latest, marker, etag.
type Row = (String, String, bool, bool, Option<String>);

async fn now(pool: &PgPool) -> Vec<Row> {
    sqlx::query_as(
        "select key, version_id, is_latest, is_delete_marker, etag from catalog.object_versions
         where bucket = 'genomics' order by 1, 2",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What was there so many seconds after noon, and whether all of it is certain.
async fn then(pool: &PgPool, seconds: f64) -> Result<(Vec<Row>, bool), sqlx::Error> {
    below(pool, seconds, "").await
}

/// The same below a prefix.
async fn below(pool: &PgPool, seconds: f64, prefix: &str) -> Result<(Vec<Row>, bool), sqlx::Error> {
    let rows: Vec<(String, String, bool, bool, Option<String>, bool)> = sqlx::query_as(
        "select key, version_id, is_latest, is_delete_marker, etag, is_certain
         from catalog.as_of('genomics', $1 + make_interval(secs => $2), $3) order by 1, 2",
    )
    .bind(NOW)
    .bind(seconds)
    .bind(prefix)
    .fetch_all(pool)
    .await?;
    let is_certain = rows.iter().all(|row| row.5);
    Ok((rows.into_iter().map(|row| (row.0, row.1, row.2, row.3, row.4)).collect(), is_certain))
}

/// A bucket in which two keys are when history begins.
async fn listed_once(pool: &PgPool) -> (Catalog, Connection) {
    listed_into(pool, 1).await
}

/// The same with its rows in so many tables.
async fn listed_into(pool: &PgPool, partitions: u32) -> (Catalog, Connection) {
    let (catalog, connection) = divided(pool.clone(), partitions).await;
    let run = started(&catalog, &connection, at(-20)).await;
    let sighting = |key: &str, version| Sighting {
        key: key.to_owned(),
        listed: vec![listed(version, "old", -900, true)],
        window: window(-20, -19),
    };
    see(&catalog, &connection, &run, &[sighting("2", "null"), sighting("w2", "v0")]).await;
    assert!(catalog.complete_run(&connection, &run, NOW).await.unwrap());
    (catalog, connection)
}

/// What happens to a key at a time. Keys with a `w` have versions; the others have none, or had them
/// suspended, so that their null version is written again and again.
fn random_claim(rng: &mut Rng, key: &str, number: i64, is_there: &mut Vec<(String, String)>) -> Claim {
    let sequencer = format!("{number:08X}");
    if rng.u8(..4) == 0 {
        let versions: Vec<usize> = (0..is_there.len()).filter(|place| is_there[*place].0 == key).collect();
        if let Some(place) = rng.choice(versions) {
            let (_, version) = is_there.swap_remove(place);
            return claim(&version, Fact::Removed, &sequencer, number);
        }
    }
    let version = if key.starts_with('w') { format!("v{number}") } else { "null".to_owned() };
    is_there.retain(|there| *there != (key.to_owned(), version.clone()));
    is_there.push((key.to_owned(), version.clone()));
    match rng.u8(..4) {
        0 => claim(&version, Fact::Marker, &sequencer, number),
        _ => put(&version, &rng.u8(..).to_string(), &sequencer, number),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn any_moment_of_a_history_is_as_it_was(pool: PgPool) {
    let (catalog, connection) = listed_once(&pool).await;
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut is_there = vec![("2".to_owned(), "null".to_owned()), ("w2".to_owned(), "v0".to_owned())];
    let mut recorded = vec![(0, now(&pool).await)];
    for moment in (2..400).step_by(2) {
        let key = ["1", "2", "3", "w1", "w2", "w3"][rng.usize(..6)];
        let claim = random_claim(&mut rng, key, moment, &mut is_there);
        catalog.apply(&connection, &[(key, &claim)], NOW).await.unwrap();
        recorded.push((moment, now(&pool).await));
    }
    for (moment, rows) in recorded {
        let told = then(&pool, moment as f64 + 0.5).await.unwrap();
        assert_eq!(told, (rows, true), "seed {seed}: {moment} s after noon");
    }
}

/// Keys and prefixes that mean something to `like`, to byte orders, and to whoever looks for the next text. Of a key
/// that begins with `w` there are versions.
const HOSTILE: [&str; 16] = [
    "%",
    "%/a",
    "_",
    "_/a",
    "a/%",
    "a/_",
    "ab",
    "w\\",
    "w\\%",
    "w\u{D7FF}",
    "w\u{E000}",
    "wé",
    "we\u{301}",
    "\u{10FFFF}",
    "\u{10FFFF}\u{10FFFF}",
    "w\u{10FFFF}",
];

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_below_a_prefix_is_told_whatever_the_prefix(pool: PgPool) {
    below_prefixes(pool, 1).await;
}

/// The same of a bucket whose rows are in so many tables.
pub(crate) async fn below_prefixes(pool: PgPool, partitions: u32) {
    let (catalog, connection) = listed_into(&pool, partitions).await;
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut is_there = Vec::new();
    let mut recorded = Vec::new();
    for moment in (2..120).step_by(2) {
        let key = HOSTILE[rng.usize(..HOSTILE.len())];
        let claim = random_claim(&mut rng, key, moment, &mut is_there);
        catalog.apply(&connection, &[(key, &claim)], NOW).await.unwrap();
        recorded.push((moment, now(&pool).await));
    }
    let mut prefixes = HOSTILE.to_vec();
    prefixes.extend(["", "a", "a/", "w", "nothing", "\u{FFFF}"]);
    for (moment, rows) in recorded.into_iter().step_by(5) {
        for prefix in &prefixes {
            let expected: Vec<Row> = rows.iter().filter(|row| row.0.starts_with(prefix)).cloned().collect();
            let told = below(&pool, moment as f64 + 0.5, prefix).await.unwrap();
            assert_eq!(told, (expected, true), "seed {seed}: {prefix:?}, {moment} s after noon");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn each_prefix_has_a_history_of_its_own(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    let (runs, notes) = (connection("runs/"), connection("notes/"));
    for connection in [&runs, &notes] {
        catalog.connect(connection, NOW).await.unwrap();
    }
    let run = catalog.start_run(&runs, "runs/", Trigger::Operator, &[Span::all()], at(-20), NOW).await;
    let run = run.unwrap().unwrap();
    see(&catalog, &runs, &run, &[]).await;
    assert!(catalog.complete_run(&runs, &run, NOW).await.unwrap());
    let put = put("v1", "e1", "01", 1);
    catalog.apply(&runs, &[("runs/1/a", &put)], NOW).await.unwrap();
    for (prefix, told) in [("runs/", 1), ("runs/1/", 1), ("runs/2/", 0)] {
        assert_eq!(below(&pool, 2.0, prefix).await.unwrap().0.len(), told, "{prefix}");
    }
    let error = async |prefix| below(&pool, 2.0, prefix).await.expect_err("no answer").to_string();
    for prefix in ["", "notes/", "notes/1"] {
        assert!(error(prefix).await.contains("the first listing of bucket \"genomics\" is not complete"));
    }
    assert!(error("other/").await.contains("prefix \"other/\" of bucket \"genomics\" is not connected"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_listings_found_is_not_certain_for_the_time_before(pool: PgPool) {
    let (catalog, connection) = listed_once(&pool).await;
    // Of what happened at 50, a listing at 100 told: a removal, an overwrite, and a new version.
    let sighting = |key: &str, listed| Sighting { key: key.to_owned(), listed, window: window(100, 101) };
    let sightings = [
        sighting("2", vec![listed("null", "new", 50, true)]),
        sighting("w2", Vec::new()),
        sighting("w3", vec![listed("v1", "e1", 50, true)]),
    ];
    repair(&catalog, &connection, &sightings).await;
    let row = |key: &str, version: &str, etag: &str| {
        (key.to_owned(), version.to_owned(), true, false, Some(etag.to_owned()))
    };
    let before = vec![row("2", "null", "old"), row("w2", "v0", "old")];
    assert_eq!(then(&pool, 49.0).await.unwrap(), (before, false));
    let between = vec![row("2", "null", "new"), row("w2", "v0", "old"), row("w3", "v1", "e1")];
    assert_eq!(then(&pool, 51.0).await.unwrap(), (between, false));
    sqlx::query("delete from catalog.journal where key = 'w2'").execute(&pool).await.unwrap();
    let after = vec![row("2", "null", "new"), row("w3", "v1", "e1")];
    assert_eq!(then(&pool, 51.0).await.unwrap(), (after, true));

    let removal = claim("unheard-of", Fact::Removed, "04", 60);
    catalog.apply(&connection, &[("w4", &removal)], NOW).await.unwrap();
    let (rows, is_certain) = then(&pool, 55.0).await.unwrap();
    assert_eq!((rows[2].1.as_str(), is_certain), ("unheard-of", false));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_not_known_is_an_error(pool: PgPool) {
    let error = |told: Result<_, sqlx::Error>| told.expect_err("no answer").to_string();
    assert!(error(then(&pool, 0.0).await).contains("bucket \"genomics\" is not connected"));
    let (catalog, connection) = connected(pool.clone()).await;
    assert!(
        error(then(&pool, 0.0).await).contains("the first listing of bucket \"genomics\" is not complete")
    );
    let run = started(&catalog, &connection, at(-20)).await;
    see(&catalog, &connection, &run, &[]).await;
    catalog.complete_run(&connection, &run, NOW).await.unwrap();
    assert!(error(then(&pool, -21.0).await).contains("its history goes back to 2026-11-01 11:59:40"));
    assert!(error(then(&pool, 1e9).await).contains("is not known yet"));
    for (statement, expected) in [
        ("select from catalog.as_of('genomics', null)", "at no moment is not known yet"),
        ("select from catalog.as_of(null, now())", "is not connected"),
        ("select from catalog.as_of('genomics', now(), null)", "is not connected"),
        ("select catalog.history_from('genomic')", "bucket \"genomic\" is not connected"),
        ("select catalog.history_from(null)", "is not connected"),
    ] {
        let error = sqlx::query(statement).fetch_all(&pool).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{statement}: {error}");
    }
    assert_eq!(then(&pool, 0.0).await.unwrap(), (Vec::new(), true));
    // With the journal, history goes.
    catalog.drop_journal_days(Duration::from_secs(3_600)).await.unwrap();
    assert!(then(&pool, 0.0).await.is_ok(), "nothing was dropped");
    catalog.drop_journal_days(Duration::ZERO).await.unwrap();
    assert!(error(then(&pool, 0.0).await).contains("its history goes back to"));
}
