//! A run under way, as the page shows it.

use serde_json::{Value, json};

use crate::support::{Browser, Stage};

/// A second run over a bucket, of which the first range is done, two are being listed, and one is not: as somebody at
/// work on it would leave it, who is slow.
const BEGIN: &str = "with run as (
         insert into catalog.reconciliations (bucket, prefix, started_at, window_from, reason)
         select bucket, prefix, now() - interval '40 seconds', now() - interval '40 seconds', 'schedule'
         from catalog.connections where bucket like 'genomics%' returning run_id
     )
     insert into catalog.ranges (run_id, range_after, range_to, position, keys_listed, versions_listed, lease,
                                 leased_until, is_done)
     select run_id, range_after, range_to, position, keys, keys, lease,
            now() + coalesce(lease, 0) * interval '1 hour', is_done
     from run, (values ('', 'runs/2026-11-03', 'runs/2026-11-03', 15, 1, true),
                       ('runs/2026-11-03', 'runs/2026-11-07', 'runs/2026-11-05/reads.bam', 11, 1, false),
                       ('runs/2026-11-07', 'runs/2026-11-11', 'runs/2026-11-08/qc/report.html', 6, 1, false),
                       ('runs/2026-11-11', null, 'runs/2026-11-11', 0, null, false))
          as ranges (range_after, range_to, position, keys, lease, is_done)";

const END: &str = "delete from catalog.reconciliations where status = 'running'";

/// How far the bar is, out of how much, and how wide each range is filled, in hundredths of its own width.
const BARS: &str = "const bar = document.querySelector('progress');
    const width = (part) => Number(part.getAttribute('width'));
    const ranges = [...document.querySelectorAll('.strip g')].map((range) =>
        Math.round(100 * width(range.querySelector(':not(.ground):not(title)')) / width(range.querySelector('.ground'))));
    return [bar.value, bar.max, ranges]";

/// Its numbers are SQL's, on the overview and on the bucket's own page.
pub(super) async fn is_shown(stage: &Stage, browser: &Browser, overview: &str, bucket: &str) {
    sqlx::query(BEGIN).execute(&stage.pool).await.unwrap();
    let listed = stage.count("select sum(versions_listed)::bigint from catalog.ranges").await;
    let before = "select versions_listed from catalog.reconciliations
                  where status = 'complete' and bucket like 'genomics%' order by run_id desc limit 1";
    let before = stage.count(before).await;
    browser.open(overview).await;
    assert_eq!(browser.ask(BARS).await, json!([listed, before, []]));
    browser.open(bucket).await;
    let bars: (i64, i64, Vec<i64>) =
        serde_json::from_value::<Value>(browser.ask(BARS).await).and_then(serde_json::from_value).unwrap();
    assert_eq!((bars.0, bars.1, bars.2.len()), (listed, before, 4));
    assert!(bars.2[0] == 100 && bars.2[3] == 0, "{bars:?}");
    assert!((1..100).contains(&bars.2[1]) && (1..100).contains(&bars.2[2]), "{bars:?}");
    assert_eq!(
        browser.text("#under-way + .panel .dim").await,
        "Ranges in the order of keys: 1 done, 2 being listed, 1 waiting."
    );
    browser.picture("run-under-way").await;
    sqlx::query(END).execute(&stage.pool).await.unwrap();
}
