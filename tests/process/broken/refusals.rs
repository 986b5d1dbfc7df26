//! What is refused elsewhere: by the configuration, by Postgres, and by AWS while a bucket is connected.

use std::time::Duration;

use tokio::time::Instant;

use super::ill;
use super::place::Place;
use crate::support::{Config, Front, NOTIFY, Play, Rule, Stage, alone, s3_error_with};

#[tokio::test]
async fn what_cannot_be_right_is_refused_before_anybody_is_asked() {
    let queue = |url: &str| format!("[[queue]]\nurl = {url:?}\n");
    let bucket = |more: &str| format!("[[bucket]]\nname = \"genomics\"\n{more}\n");
    for (sections, words) in [
        ("[[bucket]]\nname = \"genomics--euc1-az1--x-s3\"\n".to_owned(), "is a directory bucket"),
        (bucket("prefix = \"a\""), "must end in /"),
        (bucket("prefix = \"/a/\""), "must not begin with /"),
        (bucket("prefix = \"./a/\""), "must not hold ./"),
        ([bucket("prefix = \"a/\""), bucket("prefix = \"a/b/\"")].concat(), "a/b/"),
        (bucket("region = \"us-east-1\"\nproject_region = \"UK\""), "project_region means eu-west-2"),
        (queue("https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake.fifo"), "S3 cannot notify"),
        (queue("arn:aws:sqs:eu-central-1:123456789012:stocktake"), "is an ARN"),
    ] {
        let file = std::env::temp_dir().join(format!("stocktake-refusals-{:016x}.toml", fastrand::u64(..)));
        std::fs::write(&file, format!("[database]\nurl = \"postgres://h/d\"\n{sections}")).unwrap();
        let told = alone(&["--config", file.to_str().unwrap(), "doctor"], "").await;
        std::fs::remove_file(file).unwrap();
        assert!(told.code == Some(78) && told.stderr.contains(words), "no {words:?} in {told:?}");
    }
}

#[tokio::test]
async fn a_postgres_that_does_not_suit_is_named() {
    let stage = Stage::new().await;
    let (server, name) = stage.database.rsplit_once('/').unwrap();
    let absent = format!("{server}/{name}_absent");
    for (database, check, verdict, words) in [
        (absent.as_str(), "reachable", "failure", "does not exist"),
        ("postgres://nobody@127.0.0.1:1/none", "reachable", "failure", "Connection refused"),
    ] {
        let config = Config { database: database.to_owned(), ..stage.config_of(&["genomics"]) };
        let told = stage.run(&config, &["doctor", "--format", "json"]).await;
        let named = ill(&told).into_iter().find(|finding| finding["check"] == check);
        let named = named.unwrap_or_else(|| panic!("no {check:?} in {told:?}"));
        let is_named = named["verdict"] == verdict && named["found"].as_str().unwrap().contains(words);
        assert!(is_named && !named["remedy"].as_str().unwrap().is_empty(), "{named}");
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_waited_for_once() {
    let stage = Stage::new().await;
    let mut config = Config { endpoint: "http://127.0.0.1:1".to_owned(), ..stage.config_of(&["genomics"]) };
    config.queues.push(stage.queue.url.replace("/events", "/others"));
    let began = Instant::now();
    let told = stage.run(&config, &["doctor"]).await;
    // Three attempts, and a second or two between them.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let silent = |what: &str| told.stdout.matches(what).count();
    assert_eq!(
        (silent("no answer from http://127.0.0.1:1"), silent("everything else: ")),
        (6, 3),
        "{}",
        told.stdout
    );
}

#[tokio::test]
async fn what_aws_refuses_while_connecting_is_told_with_what_to_do() {
    let place = Place::new().await;
    let front = Front::of(&place.stage.endpoint).await;
    let config = Config { endpoint: front.url.clone(), ..place.config.clone() };
    let connect = ["connect", "--apply", "--bucket", &place.bucket, "--prefix", "b/"];
    for (status, code, message, words) in [
        (403, "AccessDenied", "Access Denied", "allow s3:PutBucketNotification on arn:aws:s3:::"),
        (
            400,
            "InvalidArgument",
            "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
            "`stocktake connect` names the other one",
        ),
        // The queue's policy is as it was, so there is nothing to wait for.
        (
            400,
            "InvalidArgument",
            "Unable to validate the following destination configurations",
            "it is one of these: arn:aws:sqs:",
        ),
        (400, "ExpiredToken", "The provided token has expired.", "renew the session"),
    ] {
        front.play([Rule::of(NOTIFY, s3_error_with(status, code, message))]);
        let told = place.stage.run(&config, &connect).await;
        assert_eq!(told.code, Some(1), "{told:?}");
        for words in ["change notifications of bucket", code, message, words] {
            assert!(told.stderr.contains(words), "no {words:?} in {}", told.stderr);
        }
    }
    let why = "The destination queue does not exist";
    let error = format!(
        "<Error><Code>InvalidArgument</Code><Message>Unable to validate the following destination configurations</Message>\
         <ArgumentName1>{}, null</ArgumentName1><ArgumentValue1>{why}</ArgumentValue1></Error>",
        place.arn
    );
    front.play([Rule::of(NOTIFY, Play::Answer(400, error))]);
    let told = place.stage.run(&config, &connect).await;
    for words in [&format!("({}: {why})", place.arn), "--only queue", "--skip-validation"] {
        assert!(told.code == Some(1) && told.stderr.contains(words), "no {words:?} in {}", told.stderr);
    }
    assert!(!told.stderr.contains("one of these"), "{}", told.stderr);
    front.play([]);
    let told = place.stage.run(&config, &connect).await;
    assert_eq!(told.code, Some(0), "the next attempt goes on from there: {told:?}");
    for (flag, value, words) in [
        ("--prefix", "a", "must end in /"),
        ("--region", "Atlantis", "is neither a region's code nor a name of one"),
        ("--account", "12", "twelve digits"),
    ] {
        let told = place.stage.run(&config, &["connect", "--bucket", &place.bucket, flag, value]).await;
        let is_of_flag =
            told.stderr.contains(&format!("stocktake: {flag}")) && !told.stderr.contains("STOCKTAKE_");
        assert!(told.code == Some(64) && is_of_flag && told.stderr.contains(words), "{told:?}");
    }
    let configured = place.config(&front.url, "project_region = \"Germany\"");
    let told = place.stage.run(&configured, &["connect", "--bucket", &place.bucket, "--region", "UK"]).await;
    assert!(told.code == Some(64) && told.stderr.contains("says eu-central-1 already"), "{told:?}");
}
