//! The status page of a daemon at work, in a real browser.

use aws_sdk_s3::types::BucketVersioningStatus::{Enabled, Suspended};
use serde_json::json;

use crate::support::{Browser, Stage, eventually};

mod login;
mod under_way;

/// Those that an emulator's XML can tell.
const HOSTILE: [&str; 7] = [
    "odd/<script>window.pwned = 1</script>",
    "odd/'><img src=x onerror=\"window.pwned = 1\">",
    "odd/gpj.\u{202E}exe.png",
    "odd/&amp;&lt;?a=b&c=d#e%2F+plus",
    "odd//two//slashes",
    "odd/ spaces  inside ",
    "odd/עברית",
];

/// What one has to be able to reach without a mouse.
const REACHABLE: &str = "return [...document.querySelectorAll('*')].map((element, place) => [element, String(place)])
    .filter(([element]) => element.matches('a[href], button, input, summary, [tabindex=\"0\"]')).map(([, place]) => place)";

/// What is not as wide as the window: it would have to be moved to be read.
const TOO_WIDE: &str = "return document.documentElement.scrollWidth > window.innerWidth";
/// As narrow as phones are.
const PHONE: (u32, u32) = (360, 780);

/// The texts that cannot be read well.
const FAINT: &str = include_str!("contrast.js");

/// Each row of a table with the numbers in it.
const ROWS: &str =
    "return [...document.querySelectorAll('main tbody tr')].map((row) => [row.querySelector('th').innerText,
    ...[...row.querySelectorAll('data')].map((data) => +data.value)])";

/// The numbers of the cards, or of what stands in their place on a bucket's page: objects and bytes.
const SUMS: &str = "return [...document.querySelectorAll('.card dl, .panel > dl')].map((list) =>
    [...list.querySelectorAll('data')].slice(0, 2).map((data) => +data.value))";

/// Minutes and hours as after a day at work, so that there is something to be drawn.
const PAST: [&str; 2] = [
    "insert into catalog.minutes
     select date_trunc('minute', now()) - make_interval(mins => minute),
            greatest(0, 40 + 30 * sin(minute / 40.0) + 20 * sin(minute / 7.0) + length(bucket))::int,
            make_interval(secs => 0.4 + 0.3 * (1 + sin(minute / 23.0)) + case when minute between 200 and 215 then 9 else 0 end),
            bucket, prefix
     from catalog.connections, generate_series(1, 360) as minute where minute not between 120 and 131
     on conflict do nothing",
    "insert into catalog.hours
     select date_trunc('hour', now()) - make_interval(hours => hour), 10, case class when 'STANDARD' then 1050 * (200 - hour)
            else 500 * hour end, 2, 100 * hour, 1, bucket, class
     from catalog.connections, (values ('STANDARD'), ('GLACIER_IR')) as classes (class), generate_series(1, 199) as hour
     on conflict do nothing",
];

/// A name that no other test has, but for pictures.
fn name(stage: &Stage, word: &str) -> String {
    if std::env::var_os("SCREENSHOTS").is_some() { word.to_owned() } else { stage.name(word) }
}

#[tokio::test]
async fn the_status_page_works_in_a_browser() {
    let stage = Stage::new().await;
    let (genomics, archive) = (name(&stage, "genomics"), name(&stage, "archive"));
    stage.bucket(&genomics, Some(Enabled)).await;
    stage.bucket(&archive, Some(Suspended)).await;
    for key in HOSTILE {
        stage.put(&genomics, key, "hostile").await;
    }
    for number in 0..12 {
        for file in ["reads.bam", "reads.bam.bai", "qc/report.html", "qc/plots/coverage.png"] {
            let body = "x".repeat(50 * (number + 1) * file.len());
            stage.put(&genomics, &format!("runs/2026-11-{:02}/{file}", number + 1), &body).await;
        }
    }
    stage.put(&archive, "2025/summary.csv", "a,b").await;
    let config = stage.config_of(&[&genomics, &archive]);
    let daemon = stage.serve(&config).await;
    for body in ["new content", "newer"] {
        stage.put(&genomics, "runs/2026-11-01/reads.bam", body).await;
    }
    stage.delete(&genomics, "runs/2026-11-02/reads.bam.bai").await;
    stage.must_be_equal(&[&genomics, &archive]).await;
    for statement in PAST {
        sqlx::query(statement).execute(&stage.pool).await.unwrap();
    }

    let browser = Browser::new().await;
    let at = |path: &str| format!("http://{}{path}", daemon.address());
    browser.see_as("light", 1_280, 700).await;
    browser.open(&at("/")).await;
    assert_eq!(browser.text("h1").await, "All is well.");
    let sums: Vec<(i64, i64)> = sqlx::query_as(
        "select count(*), sum(size)::bigint from catalog.objects group by bucket order by bucket",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let counts: Vec<(i64, i64)> = serde_json::from_value(browser.ask(SUMS).await).unwrap();
    assert_eq!(counts, sums);
    browser.picture("overview").await;

    // It changes in place: what was marked is still there, and so is the focus.
    browser.ask("window.marked = 1; document.querySelector('.card a').focus()").await;
    stage.put(&genomics, "runs/2026-11-20/new.bam", "new").await;
    eventually("a number that changes in place", async || {
        let now: Vec<(i64, i64)> = serde_json::from_value(browser.ask(SUMS).await).unwrap();
        (now == [counts[0], (counts[1].0 + 1, counts[1].1 + 3)]).then_some(())
    })
    .await;
    let kept = browser.ask("return [window.marked, document.activeElement.closest('.card') !== null]").await;
    assert_eq!(kept, json!([1, true]));

    // By clicks: to the bucket, its folders, and each key there.
    browser.follow(&browser.links("/bucket?").await[1]).await;
    assert_eq!(browser.text("h1").await, genomics);
    assert_eq!(browser.ask(SUMS).await, json!([[counts[1].0 + 1, counts[1].1 + 3]]));
    browser.see_as("light", 1_280, 1_400).await;
    browser.picture("bucket").await;
    browser.follow(&browser.links("/browse?").await[0]).await;
    let top = browser.client.current_url().await.unwrap().to_string();
    browser.follow(&browser.links("/browse?").await[0]).await;
    let level = browser.client.current_url().await.unwrap().to_string();
    let keys = browser.links("/key?").await;
    assert_eq!(
        keys.len(),
        HOSTILE.len() - 2,
        "one is in a folder, and one has a folder in its name: {keys:?}"
    );
    browser.see_as("light", 1_280, 700).await;
    browser.picture("folders").await;
    let runs = at(&format!("/browse?bucket={genomics}&prefix=runs%2F"));
    browser.open(&runs).await;
    let folders: Vec<(String, i64, i64)> =
        sqlx::query_as("select name, objects, size from catalog.ls($1, 'runs/', deep => true) order by name")
            .bind(&genomics)
            .fetch_all(&stage.pool)
            .await
            .unwrap();
    assert_eq!((folders.len(), browser.ask(ROWS).await), (13, json!(folders)));
    for key in &keys {
        browser.open(&level).await;
        browser.follow(key).await;
        assert!(browser.text(".lead").await.starts_with("There: a plain read gets version"));
        assert_eq!(browser.ask("return window.pwned === undefined").await, json!(true), "{key}");
    }
    let key = format!("/key?bucket={genomics}&key=runs%2F2026-11-01%2Freads.bam");
    browser.open(&at(&key)).await;
    let versions = stage
        .count("select count(*) from catalog.object_versions where key = 'runs/2026-11-01/reads.bam'")
        .await;
    let shown = browser.ask("return document.querySelectorAll('article.version').length").await;
    assert_eq!(shown.as_i64(), Some(versions));
    browser.see_as("light", 1_280, 1_000).await;
    browser.picture("key").await;
    browser.see_as("light", 1_280, 800).await;
    let changes = stage.count("select count(*) from catalog.changes").await;
    browser.open(&at(&format!("/changes?bucket={genomics}"))).await;
    let told =
        browser.ask("return document.querySelectorAll('main tbody tr').length").await.as_i64().unwrap();
    browser.open(&at(&format!("/changes?bucket={archive}"))).await;
    let others =
        browser.ask("return document.querySelectorAll('main tbody tr').length").await.as_i64().unwrap();
    assert_eq!(told + others, changes);
    under_way::is_shown(&stage, &browser, &at("/"), &at(&format!("/bucket?name={genomics}"))).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    // Something is wrong now.
    stage.send("this is not JSON").await;
    eventually("a message in quarantine on the page", async || {
        browser.open(&at("/")).await;
        browser.text(".verdict p:not(.sign)").await.contains("1 message in quarantine").then_some(())
    })
    .await;
    browser.picture("not-all-is-well").await;
    browser.follow("/quarantine").await;
    browser.ask("document.querySelector('summary').click()").await;
    assert_eq!(browser.text("pre").await, "this is not JSON");

    // Every page, by the keyboard alone, in the dark and on a phone.
    let paths = [
        "/",
        &format!("/bucket?name={genomics}"),
        &format!("/changes?bucket={genomics}"),
        &key,
        "/quarantine",
        "/drift?run=1",
    ];
    let mut pages: Vec<String> = paths.iter().map(|path| at(path)).collect();
    pages.extend([top, level, runs]);
    pages.extend(keys.iter().map(|key| at(key)));
    for (place, page) in pages.iter().enumerate() {
        browser.see_as("light", 1_280, 900).await;
        browser.open(page).await;
        let mut reachable: Vec<String> = serde_json::from_value(browser.ask(REACHABLE).await).unwrap();
        let mut reached = browser.tab_through().await;
        reachable.sort_unstable();
        reached.sort_unstable();
        assert_eq!(reached, reachable, "what the keyboard reaches of {page}");
        assert_eq!(browser.ask(FAINT).await, json!([]), "{page} in the light");
        browser.see_as("dark", PHONE.0, PHONE.1).await;
        assert_eq!(browser.ask(FAINT).await, json!([]), "{page} in the dark");
        assert_eq!(browser.ask(TOO_WIDE).await, json!(false), "{page} on a phone");
        let landmarks = "return ['header', 'nav', 'main', 'footer', 'h1'].filter((name) => !document.querySelector(name))";
        assert_eq!(browser.ask(landmarks).await, json!([]), "{page}");
        if place < 2 {
            browser.picture(["overview-dark-narrow", "bucket-dark-narrow"][place]).await;
        }
    }
    browser.see_as("dark", 1_280, 900).await;
    browser.open(&at("/")).await;
    browser.picture("overview-dark").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.client.clone().close().await.unwrap();
    daemon.stop().await;
}
