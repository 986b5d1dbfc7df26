//! Which rows each statement on the versions of a bucket reads: all name the bucket and the keys, or a stretch of them, so that
//! the table can be spread over partitions, databases or shards of it. docs/CATALOG.md, Beyond one Postgres, has the list.

use std::fs;
use std::path::Path;

use sqlx::PgPool;
use stocktake::catalog::MIGRATOR;

use crate::support::connected;

/// What a statement says of the keys it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// It names each.
    Named,
    /// It is about a stretch of them, in their order.
    Range,
    /// It is about all.
    All,
}

/// How a statement names keys, or a stretch of them.
const NAMED: [&str; 4] =
    ["key = $", "key = new.key", "key = wanted.key", "(bucket, first_seen_at, changed_at, key,"];
const RANGE: [&str; 3] = ["key >= $", "(key, version_id) > ($", "starts_with(key, $"];

/// Functions of the database that read versions: `as_of` is asked for a bucket or a prefix, `ls` goes from one stretch of
/// keys to the next, and `wrong_stats` counts a bucket at the end of a complete run.
const FUNCTIONS: [&str; 3] = ["as_of", "ls", "wrong_stats"];

fn keys(statement: &str) -> Keys {
    let has = |marks: &[&str]| marks.iter().any(|mark| statement.contains(mark));
    if has(&NAMED) {
        Keys::Named
    } else if has(&RANGE) {
        Keys::Range
    } else {
        Keys::All
    }
}

/// Whether only rows of one bucket can be meant.
fn names_bucket(statement: &str) -> bool {
    let marks = ["where bucket = $1", "slots.bucket = $1", "select $1, $2, $2, new.*"];
    marks.iter().any(|mark| statement.contains(mark))
}

/// The files of the catalog, by their names below its folder.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    files
}

/// The statements about `catalog.slots` in the files of the catalog, each with its file.
fn statements() -> Vec<(String, String)> {
    let mut statements = Vec::new();
    for (name, text) in files() {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code: String = text.lines().filter(is_code).flat_map(|line| [line, "\n"]).collect();
        // No statement has a quotation mark in it, nor has any text beside them.
        let found: Vec<&str> =
            code.split('"').skip(1).step_by(2).filter(|text| text.contains("catalog.slots")).collect();
        let count = code.matches("catalog.slots").count();
        let seen: usize = found.iter().map(|text| text.matches("catalog.slots").count()).sum();
        assert_eq!(seen, count, "{name} has a statement that is not read here");
        statements.extend(found.into_iter().map(|text| (name.clone(), text.to_owned())));
    }
    statements
}

#[test]
fn every_statement_names_its_bucket_and_its_keys() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CATALOG.md")).unwrap();
    let (_, chapter) = page.split_once("\n## Beyond one Postgres\n").expect("a chapter of that name");
    let statements = statements();
    assert!(statements.len() >= 10, "only {} statements", statements.len());
    for (file, statement) in &statements {
        assert!(names_bucket(statement), "{file} has a statement without a bucket: {statement}");
        let words = match keys(statement) {
            Keys::Named => "named keys",
            Keys::Range => "a stretch of keys",
            Keys::All => panic!("{file} has a statement about all keys: {statement}"),
        };
        let row =
            |line: &&str| line.starts_with(&format!("| {words} |")) && line.contains(&format!("`{file}`"));
        assert!(chapter.lines().any(|line| row(&line)), "no row of {words} names {file} in docs/CATALOG.md");
    }
}

#[test]
fn a_statement_that_names_too_little_is_seen() {
    let without_bucket = "delete from catalog.slots where key = $1";
    let without_key = "select count(*) from catalog.slots where bucket = $1 and is_present";
    assert!(!names_bucket(without_bucket) && keys(without_bucket) == Keys::Named);
    assert!(names_bucket(without_key) && keys(without_key) == Keys::All);
}

/// An index for each thing that is asked of what grows with a bucket, and none without.
#[sqlx::test(migrator = "MIGRATOR")]
async fn every_index_of_what_grows_with_a_bucket_has_a_use(pool: PgPool) {
    connected(pool.clone()).await;
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PERFORMANCE.md")).unwrap();
    let (_, table) = page.split_once("| index | what it is for |\n|---|---|\n").expect("a table of indexes");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let listed: Vec<&str> = rows.map(|row| row.split('`').nth(1).expect("an index")).collect();
    let mut there: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_index join pg_class on pg_class.oid = indexrelid
         where indrelid in ('catalog.slots_1'::regclass, 'catalog.journal'::regclass, 'catalog.rechecks'::regclass,
                            'catalog.details'::regclass, 'catalog.lookups'::regclass, 'catalog.drift'::regclass)
         order by relname",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut listed: Vec<String> = listed.iter().map(|name| name.replace("slots_N", "slots_1")).collect();
    there.sort();
    listed.sort();
    assert_eq!(there, listed, "in the database, and in docs/PERFORMANCE.md");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn functions_name_the_bucket_too(pool: PgPool) {
    let functions: Vec<(String, String)> = sqlx::query_as(
        "select proname::text, prosrc from pg_proc
         where pronamespace = 'catalog'::regnamespace and prosrc ~ 'from catalog\\.(slots|objects|object_versions)\\M'
         order by proname",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let names: Vec<&str> = functions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, FUNCTIONS);
    for (name, body) in &functions {
        let reads = body.matches("from catalog.objects").count()
            + body.matches("from catalog.object_versions").count()
            + body.matches("from catalog.slots").count();
        let named = body.matches(&format!("bucket = {name}.bucket")).count();
        assert!(
            reads > 0 && named >= reads,
            "{name} reads {reads} times, and names the bucket {named} times"
        );
    }
    let (_, ls) = &functions[1];
    assert_eq!(ls.matches("key >= ").count(), ls.matches("from catalog.objects").count());
}
