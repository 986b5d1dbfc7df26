//! The pages of a bucket, its folders and its keys.

use sqlx::PgPool;
use stocktake::catalog::{Catalog, Connection, MIGRATOR, Sighting};
use stocktake::model::{Claim, Fact};

use super::{Site, links};
use crate::support::{NOW, at, claim, connected, connection, done, listed, put, see, started, window};

/// The texts of all cells of that kind, without what is around them.
fn names(page: &str) -> Vec<String> {
    let rows = page.split("<th scope=\"row\">").skip(1).filter_map(|rest| rest.split("</th>").next());
    let text = |row: &str| {
        let mut text = String::new();
        for piece in row.split('<') {
            text.push_str(piece.split_once('>').map_or("", |(_, text)| text));
        }
        text
    };
    rows.map(text).collect()
}

/// A first run that finds nothing: what differs from now on is drift.
async fn complete(catalog: &Catalog, connection: &Connection) {
    let run = started(catalog, connection, at(0)).await;
    let range = catalog.take_range(&run).await.unwrap().unwrap();
    catalog.save(connection, &run, &range, &[], &done(at(1)), NOW).await.unwrap().unwrap();
    catalog.judge_removals(connection, &run, 20, true, NOW).await.unwrap();
    catalog.complete_run(connection, &run, NOW).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_level_of_any_size_is_shown_in_pages(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let mut keys: Vec<String> = (0..150).map(|number| format!("runs/{number:03}/reads.bam")).collect();
    keys.extend((0..150).map(|number| format!("runs/{number:03}.txt")));
    keys.extend((0..1_200).map(|number| format!("runs/big/{number:04}")));
    keys.extend(["runs/".to_owned(), "other".to_owned()]);
    let claim = put("", "e1", "01", 1);
    let events: Vec<(&str, &Claim)> = keys.iter().map(|key| (key.as_str(), &claim)).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let site = Site::of(&pool).await;

    let mut found = Vec::new();
    let mut next = Some("/browse?bucket=genomics&prefix=runs%2F".to_owned());
    let mut last = String::new();
    while let Some(level) = next {
        last = site.page(&level).await;
        assert!(names(&last).len() <= 100);
        found.extend(names(&last));
        next = links(&last, "/browse?")
            .into_iter()
            .find(|link| link.contains("&after=") && !link.contains("all=true"));
    }
    let mut expected: Vec<String> =
        sqlx::query_scalar("select name from catalog.ls('genomics', 'runs/') order by key")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(expected.len(), 302);
    expected[0] = "(the folder itself)".to_owned();
    assert_eq!(found, expected);

    // The last page has the large folder, counted up to a limit, and on request to the end.
    assert!(last.contains("≥ 1,000") && last.contains("Count these folders to the last object"), "{last}");
    let all = links(&last, "/browse?").into_iter().find(|link| link.contains("all=true")).unwrap();
    let (objects, bytes): (i64, i64) = sqlx::query_as(
        "select objects, size from catalog.ls('genomics', 'runs/', deep => true) where name = 'big/'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let counted = site.page(&all).await;
    let numbers =
        format!("<data value=\"{objects}\">1,200</data></td><td class=\"number\"><data value=\"{bytes}\"");
    assert!(counted.contains(&numbers), "{counted}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_not_there_is_told_on_a_page(pool: PgPool) {
    let catalog = Catalog::on(pool.clone());
    catalog.connect(&connection("projects/"), NOW).await.unwrap();
    let site = Site::of(&pool).await;
    for (path, status, words) in [
        ("/nowhere%3Ci%3E", 404, "there is no page &quot;/nowhere%3Ci%3E&quot;"),
        ("/browse?bucket=absent", 404, "no bucket &quot;absent&quot; is connected"),
        (
            "/browse?bucket=genomics&prefix=other%2F",
            404,
            "only what is below &quot;projects/&quot; is connected",
        ),
        ("/key?bucket=absent&key=a", 404, "no bucket &quot;absent&quot; is connected"),
        ("/key?bucket=genomics&key=other", 404, "the key &quot;other&quot; is not followed"),
        ("/key?bucket=genomics&key=", 400, "a key has at least one character"),
        ("/key?bucket=genomics", 400, "missing field `key`"),
        ("/bucket?name=absent", 404, "no bucket &quot;absent&quot;"),
        ("/changes?bucket=absent", 404, "no bucket &quot;absent&quot; is connected"),
        ("/changes?bucket=genomics&before=nonsense", 404, "nonsense"),
        ("/changes?bucket=genomics&before=1:99999999999999999999", 404, "99999999999999999999"),
        ("/drift?run=999", 404, "there was no run 999"),
        ("/drift?run=nine", 400, "invalid digit"),
        ("/quarantine?id=999", 404, "there is no message no. 999"),
        ("/quarantine?before=99999999999999999999", 400, "number too large"),
        ("/login?next=a&next=b", 400, "duplicate field `next`"),
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let is_ours = answer.header("content-type").starts_with("text/html") && answer.body.contains("<nav");
        assert!(is_ours && answer.body.contains(words), "{path}: {}", answer.body);
    }
    for path in
        ["/browse?bucket=genomics", "/changes?bucket=genomics", "/key?bucket=genomics&key=projects%2Fa"]
    {
        site.page(path).await;
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn names_that_are_empty_are_seen(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claim = put("", "e1", "01", 1);
    let events: Vec<(&str, &Claim)> = ["a//b", "a/"].map(|key| (key, &claim)).into();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let site = Site::of(&pool).await;
    let folder = site.page("/browse?bucket=genomics&prefix=a%2F").await;
    assert_eq!(names(&folder), ["(the folder itself)", "/ (a folder without a name)"]);
    let nameless = site.page("/browse?bucket=genomics&prefix=a%2F%2F").await;
    assert!(nameless.contains("<h1><bdi>(a folder without a name)</bdi></h1>"), "{nameless}");
    let itself = site.page("/key?bucket=genomics&key=a%2F").await;
    assert!(itself.contains("aria-current=\"page\"><bdi>(the folder itself)</bdi>"), "{itself}");
    assert!(itself.contains("<td title=\"created\">+ written</td>"), "{itself}");
    assert!(itself.contains("<td title=\"event\">an event</td>"), "{itself}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_says_why_the_catalog_says_so(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    complete(&catalog, &connection).await;
    let first = put("v1", "e1", "0A", 10);
    let marker = claim("v2", Fact::Marker, "0B", 20);
    let removed = claim("v0", Fact::Removed, "09", 5);
    let events: [(&str, &Claim); 3] = [("k", &first), ("k", &marker), ("k", &removed)];
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let site = Site::of(&pool).await;
    let page = site.page("/key?bucket=genomics&key=k").await;
    for words in [
        "Deleted: its latest version is a delete marker",
        "<h3><code><bdi>v2</bdi></code></h3>",
        "An event told of the delete marker: it happened at",
        "stamped <code><bdi>0A</bdi></code>",
        "An event told that it was removed",
        "Its date is that of the event",
        "That is all that the journal has.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (created, changes): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where change = 'created'), count(*) from catalog.changes where key = 'k'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(page.matches("+ written").count() as i64, created);
    let (_, history) = page.split_once("id=\"history\"").unwrap();
    assert_eq!(names(history).len() as i64, changes);

    // A listing finds another content, and a doubt comes up.
    let run = started(&catalog, &connection, at(100)).await;
    let sighting = Sighting {
        key: "k".to_owned(),
        window: window(200, 201),
        listed: vec![listed("v3", "e3", 150, true), listed("v1", "e1", 10, false)],
    };
    see(&catalog, &connection, &run, &[sighting]).await;
    sqlx::query(
        "insert into catalog.rechecks (bucket, key, reason, asked_at, due_at, last_error)
         values ('genomics', 'k', 'too_close', now(), now(), 'no <b>')
         on conflict (bucket, key) do update set reason = excluded.reason, last_error = excluded.last_error",
    )
    .execute(&pool)
    .await
    .unwrap();
    let page = site.page("/key?bucket=genomics&key=k").await;
    for words in [
        "There: a plain read gets version <code><bdi>v3</bdi></code>",
        "A listing showed it between",
        "In doubt",
        "events without sequencers, too close in time to be ordered",
        "no &lt;b&gt;",
        "the bucket had it, the catalog had not",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let run_page = site.page(&links(&page, "/drift?run=")[0]).await;
    let found: i64 = sqlx::query_scalar("select count(*) from catalog.drift where key = 'k'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(names(&run_page).len() as i64, found);
    assert!(site.page("/key?bucket=genomics&key=nobody").await.contains("Not there."));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_bucket_shows_its_runs_as_they_are(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let run = started(&catalog, &connection, at(0)).await;
    let range = catalog.take_range(&run).await.unwrap().unwrap();
    let site = Site::of(&pool).await;
    let page = site.page("/bucket?name=genomics").await;
    for words in [
        "Run under way",
        "as an operator asked",
        "how many there are is not known before the first listing is complete",
        "0 of 1 range done",
        "0 done, 1 being listed, 0 waiting",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    catalog.save(&connection, &run, &range, &[], &done(at(1)), NOW).await.unwrap().unwrap();
    catalog.judge_removals(&connection, &run, 20, true, NOW).await.unwrap();
    catalog.complete_run(&connection, &run, NOW).await.unwrap();

    let second = started(&catalog, &connection, at(100)).await;
    let sighting = Sighting {
        key: "k".to_owned(),
        window: window(200, 201),
        listed: vec![listed("v3", "e3", 150, true)],
    };
    see(&catalog, &connection, &second, &[sighting]).await;
    let page = site.page("/bucket?name=genomics").await;
    let drift: i64 =
        sqlx::query_scalar("select missing from catalog.reconciliations order by run_id desc limit 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(drift, 1);
    assert!(page.contains("<td>1 missing</td>") && page.contains("<td>none</td>"), "{page}");
    assert!(page.contains("Drift of the last 2 runs, the latest on the right; the most was 1"), "{page}");
    assert!(page.contains("STANDARD") && page.contains("complete") && page.contains("running"), "{page}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_long_history_of_a_key_is_shown_in_pages(pool: PgPool) {
    let (catalog, connection) = connected(pool.clone()).await;
    let claims: Vec<Claim> =
        (0..230).map(|number| put(&format!("v{number:03}"), "e", &format!("{number:04X}"), number)).collect();
    let events: Vec<(&str, &Claim)> = claims.iter().map(|claim| ("key", claim)).collect();
    catalog.apply(&connection, &events, NOW).await.unwrap();
    let foreign = put("v0", "e", "01", 1);
    catalog.apply(&connection, &[("another key", &foreign)], NOW).await.unwrap();
    let site = Site::of(&pool).await;
    let first = site.page("/key?bucket=genomics&key=key").await;
    let earlier: Vec<String> =
        links(&first, "/key?").into_iter().filter(|link| link.contains("before=")).collect();
    assert_eq!((earlier.len(), first.matches("+ written").count()), (1, 200), "{first}");
    let second = site.page(&earlier[0]).await;
    assert_eq!(second.matches("+ written").count(), 30, "{second}");
    assert!(second.contains("That is all that the journal has before that."), "{second}");
}
