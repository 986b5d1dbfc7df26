//! The daemon under a service manager: systemd's protocol, and the command that containers ask for its health.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use tokio::net::UnixDatagram;

use crate::support::{PATIENCE, Stage};

/// What is told next that is not about the watchdog.
async fn told(socket: &UnixDatagram) -> String {
    loop {
        let state = next(socket).await;
        if state.trim() != "WATCHDOG=1" {
            return state;
        }
    }
}

async fn next(socket: &UnixDatagram) -> String {
    let mut text = [0; 256];
    let length =
        tokio::time::timeout(PATIENCE, socket.recv(&mut text)).await.expect("a word in time").unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[tokio::test]
async fn a_service_manager_is_told_when_it_serves_that_it_lives_and_that_it_ends() {
    let stage = Stage::new().await;
    let bucket = stage.name("supervised");
    stage.bucket(&bucket, Some(Enabled)).await;
    // A path of its own: a socket's may not be long.
    let path = std::env::temp_dir().join(format!("stocktake-{}", stage.account));
    let socket = UnixDatagram::bind(&path).unwrap();
    let config = stage.config_of(&[&bucket]);
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let daemon = stage.start_with(&config, &environment, &["serve"]);

    assert_eq!(told(&socket).await.trim(), "READY=1");
    for _ in 0..3 {
        let state = tokio::time::timeout(Duration::from_secs(5), next(&socket)).await.unwrap();
        assert_eq!(state.trim(), "WATCHDOG=1");
    }
    daemon.stop().await;
    assert_eq!(told(&socket).await.trim(), "STOPPING=1");
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn containers_ask_for_its_health_by_a_command() {
    let stage = Stage::new().await;
    let bucket = stage.name("asked");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]);
    let daemon = stage.serve(&config).await;
    for (words, answer) in [(&["health"][..], "ok\n"), (&["health", "--ready"], "ready\n")] {
        let told = stage.ask(&daemon, words).await;
        assert_eq!((told.code, told.stdout.as_str()), (Some(0), answer), "{told:?}");
    }
    daemon.kill().await;
    let told = stage.run(&config, &["health"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("see that it runs"), "{told:?}");
}
