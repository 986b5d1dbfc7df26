//! A migration runs while daemons of the release before work, on tables of any size: so none holds a lock for as long as
//! a table is large, waits for one without a limit, or takes away what the release before reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{root, tool};

/// The last migration of before the first release: until then, no table was large, and nobody read it.
const UNRELEASED: i64 = 20261124999999;

/// Style is up to us. A limit for each statement would end what may take its time, such as an index that is made beside
/// its table's use.
const LEFT_OUT: [&str; 7] = [
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-statement-timeout",
];

/// What the linter does not look at: statements that lock rows one after the other until they have all of them, and
/// programs, in which anything may be.
const FIRST_WORDS: [&str; 4] = ["update", "delete", "merge", "do"];

/// What is wrong with a migration, by the names of rules.
fn wrong(path: &Path) -> Vec<String> {
    let done = Command::new(tool("squawk"))
        .args(["--reporter", "gcc", "--pg-version", "14", "--assume-in-transaction"])
        .args(LEFT_OUT.iter().flat_map(|rule| ["--exclude", rule]))
        .arg(path)
        .output()
        .expect("squawk");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut wrong: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(": warning: ").or_else(|| line.split_once(": error: ")))
        .map(|(_, told)| told.to_owned())
        .collect();
    assert_eq!(done.status.success(), wrong.is_empty(), "{text} {}", String::from_utf8_lossy(&done.stderr));
    let sql = fs::read_to_string(path).expect("UTF-8");
    wrong.extend(statements(&sql).filter_map(|statement| {
        let first = statement.split_whitespace().next()?.to_lowercase();
        FIRST_WORDS.contains(&first.as_str()).then(|| format!("row-by-row {statement}"))
    }));
    wrong
}

/// The statements of a file, without comments and without what functions consist of.
fn statements(sql: &str) -> impl Iterator<Item = String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let outside: Vec<&str> = code.split("$$").step_by(2).collect();
    let statements: Vec<String> = outside.join("").split(';').map(|one| one.trim().to_owned()).collect();
    statements.into_iter().filter(|one| !one.is_empty())
}

fn is_released(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let version: i64 = name.split('_').next().and_then(|version| version.parse().ok()).expect(name);
    version > UNRELEASED
}

#[test]
fn no_migration_locks_a_large_table_or_takes_away_what_is_read() {
    let files = fs::read_dir(root().join("migrations")).expect("migrations");
    let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    assert!(files.len() > 10, "{files:?}");
    for path in files.iter().filter(|path| is_released(path)) {
        let wrong = wrong(path);
        assert!(
            wrong.is_empty(),
            "{}:\n{}\nsee CONTRIBUTING.md, Migrations",
            path.display(),
            wrong.join("\n")
        );
    }
}

#[test]
fn what_would_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("20270101000000_planted.sql");
    let check = |sql: &str| {
        fs::write(&path, format!("set local lock_timeout = '3s';\n{sql}\n")).expect("written");
        wrong(&path)
    };
    for (sql, rule) in [
        ("create index by_etag on catalog.slots (etag);", "require-concurrent-index-creation"),
        ("drop index catalog.journal_tail;", "require-concurrent-index-deletion"),
        ("alter table catalog.slots alter column etag set not null;", "adding-not-nullable-field"),
        ("alter table catalog.slots add column owner text not null;", "adding-required-field"),
        (
            "alter table catalog.slots add column id uuid default gen_random_uuid();",
            "adding-field-with-default",
        ),
        (
            "alter table catalog.slots add column n bigint generated always as identity;",
            "adding-field-with-default",
        ),
        ("alter table catalog.slots alter column size type numeric;", "changing-column-type"),
        ("alter table catalog.slots add constraint c check (size >= 0);", "constraint-missing-not-valid"),
        ("alter table catalog.drift add constraint u unique (run_id);", "disallowed-unique-constraint"),
        (
            "alter table catalog.drift add constraint f foreign key (run_id) references catalog.ranges;",
            "adding-foreign-key-constraint",
        ),
        ("alter table catalog.slots drop column etag;", "ban-drop-column"),
        ("alter table catalog.slots rename column etag to tag;", "renaming-column"),
        ("drop table catalog.drift;", "ban-drop-table"),
        ("update catalog.slots set storage_class = 'STANDARD' where storage_class is null;", "row-by-row"),
        ("delete from catalog.drift;", "row-by-row"),
        (
            "do $$ begin execute 'alter table catalog.slots add column x uuid default f()'; end $$;",
            "row-by-row do",
        ),
    ] {
        let wrong = check(sql);
        assert!(
            wrong.iter().any(|told| told.starts_with(rule)),
            "{sql} is not refused for {rule}: {wrong:?}"
        );
    }
    fs::write(&path, "alter table catalog.slots add column owner text;").expect("written");
    let wrong = wrong(&path);
    assert!(wrong.iter().any(|told| told.starts_with("require-lock-timeout")), "{wrong:?}");
}

#[test]
fn what_takes_no_time_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("20270101000000_planted.sql");
    for sql in [
        "set local lock_timeout = '3s';
         alter table catalog.slots add column owner text;
         alter table catalog.slots add column seen timestamptz not null default now();
         alter table catalog.slots add constraint c check (size >= 0) not valid;",
        "set local lock_timeout = '3s';
         create table catalog.visits (day date not null, visits bigint not null);
         create index visits_day on catalog.visits (day);
         insert into catalog.visits values ('2027-01-01', 0);
         create function catalog.visit() returns void language plpgsql as $$
         begin
             update catalog.visits set visits = visits + 1;
         end $$;
         create or replace view catalog.objects as select bucket, key from catalog.slots where is_latest;",
        "-- no-transaction
         -- squawk-ignore-file require-lock-timeout
         create index concurrently if not exists slots_7_etag on catalog.slots_7 (etag);",
    ] {
        fs::write(&path, sql).expect("written");
        assert_eq!(wrong(&path), Vec::<String>::new(), "{sql}");
    }
}
