//! docs/CATALOG.md, the comments in the database and the database itself say the same.

use std::collections::BTreeMap;
use std::fs;

use sqlx::{AssertSqlSafe, PgPool};
use stocktake::catalog::MIGRATOR;

use crate::support::{NOW, connected, put};

/// The page, split at headings of relations and functions: chapter, name, text.
fn sections() -> Vec<(String, String, String)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CATALOG.md")).unwrap();
    let mut chapter = String::new();
    let mut sections = Vec::new();
    for part in page.split("\n##") {
        let (heading, text) = part.split_once('\n').unwrap_or((part, ""));
        match heading.strip_prefix("# `") {
            Some(name) => {
                sections.push((
                    chapter.clone(),
                    name.trim_end_matches('`').to_owned(),
                    text.trim().to_owned(),
                ));
            }
            None => chapter = heading.trim().to_owned(),
        }
    }
    sections
}

/// Text without what links lead to.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let end = link.split_once("](").and_then(|(shown, target)| Some((shown, target.split_once(')')?.1)));
        let Some((shown, after)) = end else { break };
        plain.extend([before, shown]);
        rest = after;
    }
    plain + rest
}

/// The columns of a section's table, with type and meaning.
fn columns(text: &str) -> Vec<(String, String, String)> {
    let (_, table) =
        text.split_once("| column | type | meaning |\n|---|---|---|\n").expect("a table of columns");
    let mut columns = Vec::new();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').splitn(3, '|').map(str::trim);
        let (names, types, meaning) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        let types: Vec<&str> = types.split(", ").collect();
        for (place, name) in names.iter().enumerate() {
            let kind = if types.len() == names.len() { types[place] } else { types[0] };
            columns.push(((*name).to_owned(), kind.to_owned(), plain(meaning)));
        }
    }
    columns
}

/// What a statement about the catalog answers, as a map from names to types and comments.
async fn described(pool: &PgPool, statement: &str, name: &str) -> BTreeMap<String, (String, Option<String>)> {
    let rows: Vec<(String, String, Option<String>)> =
        sqlx::query_as(AssertSqlSafe(statement.to_owned())).bind(name).fetch_all(pool).await.unwrap();
    rows.into_iter()
        .map(|(name, kind, comment)| {
            (name, (kind.replace("timestamp with time zone", "timestamptz"), comment))
        })
        .collect()
}

const COLUMNS: &str =
    "select attname::text, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
     from pg_attribute where attrelid = to_regclass('catalog.' || $1) and attnum > 0 and not attisdropped";

const RESULTS: &str = "select arg.name, format_type(arg.type, null), null::text
     from pg_proc cross join lateral unnest(proargnames, proallargtypes, proargmodes) as arg (name, type, mode)
     where pronamespace = 'catalog'::regnamespace and proname = $1 and arg.mode = 't'";

#[sqlx::test(migrator = "MIGRATOR")]
async fn page_comments_and_database_agree(pool: PgPool) {
    let mut wanted = Vec::new();
    let mut relations = Vec::new();
    for (chapter, name, text) in sections() {
        let is_relation = matches!(chapter.as_str(), "Views" | "Tables");
        if !is_relation && !text.contains("| column | type | meaning |") {
            continue;
        }
        let mut there = described(&pool, if is_relation { COLUMNS } else { RESULTS }, &name).await;
        for (column, kind, meaning) in columns(&text) {
            let (is, comment) =
                there.remove(&column).unwrap_or_else(|| panic!("{name} has no column {column}"));
            assert!(kind.is_empty() || kind == is, "{name}.{column} is {is}, not {kind}");
            assert!(!meaning.is_empty(), "{name}.{column} is not explained");
            if is_relation && comment.as_ref() != Some(&meaning) {
                wanted.push(format!(
                    "comment on column catalog.{name}.{column} is '{}';",
                    meaning.replace('\'', "''")
                ));
            }
        }
        assert!(there.is_empty(), "docs/CATALOG.md does not have {name}'s {:?}", there.keys());
        if is_relation {
            let comment: Option<String> =
                sqlx::query_scalar("select obj_description(to_regclass('catalog.' || $1))")
                    .bind(&name)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            let first = plain(&text.split("\n\n").next().unwrap_or_default().replace('\n', " "));
            if comment.as_ref() != Some(&first) {
                wanted.push(format!(
                    "comment on view|table catalog.{name} is '{}';",
                    first.replace('\'', "''")
                ));
            }
            relations.push(name);
        }
    }
    assert!(wanted.is_empty(), "a migration has to say, or the page as the database:\n{}", wanted.join("\n"));
    let readable: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'catalog'::regnamespace
           and has_table_privilege('stocktake_reader', oid, 'select') order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    relations.sort_unstable();
    assert_eq!(readable, relations, "what stocktake_reader may read is what docs/CATALOG.md has");
    let unexplained: Vec<String> = sqlx::query_scalar(
        "select attrelid::regclass || '.' || attname from pg_attribute
         where has_table_privilege('stocktake_reader', attrelid, 'select') and attnum > 0
           and attrelid in (select oid from pg_class where relnamespace = 'catalog'::regnamespace)
           and col_description(attrelid, attnum) is null",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(unexplained, Vec::<String>::new());
}

/// Every function that the page names has a comment.
#[sqlx::test(migrator = "MIGRATOR")]
async fn functions_of_the_page_are_there_and_explained(pool: PgPool) {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CATALOG.md")).unwrap();
    let mut names: Vec<&str> = page
        .split("catalog.")
        .skip(1)
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.contains(&"ls") && names.contains(&"changes_since"), "{names:?}");
    for name in names {
        let comments: Vec<Option<String>> = sqlx::query_scalar(
            "select obj_description(oid, 'pg_proc') from pg_proc
             where pronamespace = 'catalog'::regnamespace and proname = $1",
        )
        .bind(name)
        .fetch_all(&pool)
        .await
        .unwrap();
        assert!(!comments.is_empty() && comments.iter().all(Option::is_some), "{name}: {comments:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_reader_reads_and_does_nothing_else(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    catalog.apply(&connection, &[("a/k", &put("", "e1", "01", 1))], NOW).await.unwrap();
    let mut reader = pool.acquire().await.unwrap();
    sqlx::query("set role stocktake_reader").execute(&mut *reader).await.unwrap();
    for (_, name, _) in
        sections().iter().filter(|(chapter, ..)| matches!(chapter.as_str(), "Views" | "Tables"))
    {
        let statement = AssertSqlSafe(format!("select * from catalog.{name}"));
        sqlx::query(statement)
            .fetch_all(&mut *reader)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let folders: i64 = sqlx::query_scalar("select count(*) from catalog.ls('genomics')")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(folders, 1);
    for allowed in ["select * from catalog.changes_since('genomics')", "select catalog.changes_end()"] {
        sqlx::query(allowed)
            .fetch_all(&mut *reader)
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    for refused in [
        "select from catalog.slots",
        "select from catalog.slots_1",
        "select from catalog.journal",
        "select from catalog.connections",
        "select from catalog.details",
        "delete from catalog.drift",
        "delete from catalog.objects",
        "update catalog.quarantine set replayed_at = now()",
        "select nextval('catalog.change_number')",
        "select catalog.drop_partition('genomics')",
        "select catalog.drop_journal_days('0 days')",
        "create table catalog.mine ()",
    ] {
        let error = sqlx::query(refused).execute(&mut *reader).await.expect_err(refused);
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        assert_eq!(code, "42501", "{refused}: {error}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_may_make_no_role_is_told_so_and_goes_on(pool: PgPool) {
    let mut owner = pool.begin().await.unwrap();
    for statement in [
        "create role stocktake_test_owner nologin",
        "grant usage on schema catalog to stocktake_test_owner",
        "set local role stocktake_test_owner",
    ] {
        sqlx::query(statement).execute(&mut *owner).await.unwrap();
    }
    let is_granted: bool = sqlx::query_scalar("select catalog.grant_reader('stocktake_test_reader')")
        .fetch_one(&mut *owner)
        .await
        .unwrap();
    assert!(!is_granted);
    // Roles are the whole server's: what this test made goes with its transaction.
    owner.rollback().await.unwrap();
}
