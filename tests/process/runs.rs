//! Runs that outlive their process.

use std::time::Duration;

use crate::support::{Stage, eventually};

/// A run as a process leaves it that is killed, put there by hand so that it is always in the same place, and two
/// daemons that find it.
#[tokio::test]
async fn a_run_that_was_left_is_finished_by_two_daemons() {
    let stage = Stage::new().await;
    let bucket = stage.name("runs");
    stage.silent_bucket(&bucket, None).await;
    for number in 0..40 {
        stage.put(&bucket, &format!("k{number:03}"), "v").await;
    }
    let config = stage.config_of(&[bucket.as_str()]);
    let daemon = stage.serve(&config).await;
    daemon.stop().await;

    // A run under way whose process is gone: its range is leased, and the lease is not over.
    let killed = "with run as (
             insert into catalog.reconciliations (bucket, prefix, started_at, window_from)
             select bucket, prefix, now(), watermark_to from catalog.connections returning run_id)
         insert into catalog.ranges (run_id, range_after, range_to, position, lease, leased_until)
         select run_id, '', 'k010', 'k005', nextval('catalog.lease'), now() + interval '3 seconds' from run
         union all select run_id, 'k010', null, 'k010', null, now() from run";
    sqlx::query(killed).execute(&stage.pool).await.unwrap();
    let run = "select max(run_id) from catalog.reconciliations";
    let before = stage.count(run).await;
    stage.put(&bucket, "k020x", "v").await;

    let (mut one, mut two) = (stage.start(&config), stage.start(&config));
    one.until_ready().await;
    two.until_ready().await;
    eventually("the run's completion", async || {
        let open = "select count(*) from catalog.reconciliations where status = 'running'";
        (stage.count(open).await == 0).then_some(())
    })
    .await;
    assert_eq!(stage.count(run).await, before, "no other was started");
    stage.must_be_exact(&[bucket.as_str()]).await;
    for daemon in [one, two] {
        let ended = daemon.stop().await;
        assert!(ended.after < Duration::from_secs(25), "{ended:?}");
    }
}
