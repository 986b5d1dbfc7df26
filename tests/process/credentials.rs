//! Keys that are rotated, sessions that end, and a store that enforces policies.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::support::{Config, Front, LIST, Play, RECEIVE, REGION, Rule, Stage, eventually};

/// Sessions are renewed ten seconds before they end.
const SESSION: Duration = Duration::from_secs(13);

#[tokio::test]
async fn rotated_keys_are_read_again_and_sessions_renewed_while_serving() {
    let mut stage = Stage::new().await;
    let (by_keys, by_role) = (stage.name("keys"), stage.name("role"));
    for bucket in [&by_keys, &by_role] {
        stage.bucket(bucket, Some(Enabled)).await;
    }
    let file = stage.folder.join("credentials");
    let write = |token: &str| {
        let text = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = secret\naws_session_token = {token}\n",
            stage.account
        );
        std::fs::write(&file, text).unwrap();
    };
    write("first");
    stage.credentials_file = Some(file.display().to_string());
    let front = Front::of(&stage.endpoint).await;
    front.demand(&["first"]);
    front.play([Rule::of("AssumeRole", Play::Shorten(SESSION))]);
    let role =
        format!("role_arn = \"arn:aws:iam::{}:role/reader\"\nsession_duration = \"15m\"", stage.account);
    let config = Config { endpoint: front.url.clone(), ..stage.config() };
    let config = config
        .place_with(&by_keys, "reconcile_every = \"6s\"")
        .place_with(&by_role, &format!("{role}\nreconcile_every = \"6s\""));
    let mut daemon = stage.serve(&config).await;

    // Both are valid for a while, as they are where keys are rotated well.
    front.demand(&["first", "second"]);
    write("second");
    let first = front.came("AssumeRole");
    eventually("everything asked for with the new keys", async || {
        daemon.must_run();
        [LIST, RECEIVE, "AssumeRole"]
            .iter()
            .all(|operation| front.came_with(operation, "second"))
            .then_some(())
    })
    .await;
    front.demand(&["second"]);
    stage.put(&by_keys, "after", "body").await;
    stage.put(&by_role, "after", "body").await;
    stage.must_be_equal(&[&by_keys, &by_role]).await;
    assert!(front.came("AssumeRole") >= first + 3, "renewed {} times", front.came("AssumeRole") - first);
    assert_eq!(front.turned_away(), Vec::<String>::new(), "nobody came with keys that had ended");
    assert!(stage.status(&config).await.0["problems"].as_array().unwrap().is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_without_a_queue_stays_up_and_says_so() {
    let stage = Stage::new().await;
    let bucket = stage.name("unqueued");
    stage.silent_bucket(&bucket, Some(Enabled)).await;
    stage.put(&bucket, "key", "body").await;
    let config =
        Config { queues: Vec::new(), ..stage.config() }.place_with(&bucket, "reconcile_every = \"6s\"");
    let mut daemon = stage.serve(&config).await;
    assert!(
        daemon.log().contains("queue: none is configured, so changes are only found by listing"),
        "{}",
        daemon.log()
    );
    stage.put(&bucket, "another", "body").await;
    // Runs that follow each other as fast as they may settle what differs, and leave no doubt.
    stage.put(&bucket, "key", "another body").await;
    eventually("a run that finds both", async || {
        daemon.must_run();
        let found = "select count(*) from catalog.objects where key = 'another' or size = 12";
        let doubts = stage.count("select count(*) from catalog.rechecks").await;
        (stage.count(found).await == 2 && doubts == 0).then_some(())
    })
    .await;
    let told = stage.run(&config, &["doctor", "--format", "json"]).await.json();
    let found = told.iter().find(|finding| finding["check"] == "notifications").unwrap();
    assert!(
        found["verdict"] == "warning" && found["found"].as_str().unwrap().contains("only found by listing"),
        "{found}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_round_trip_of_somebody_elses_change_is_timed() {
    let stage = Stage::new().await;
    let bucket = stage.name("probed");
    stage.bucket(&bucket, Some(Enabled)).await;
    // What waits already is not what is waited for.
    stage.put(&bucket, "a/before", "body").await;
    let config = stage.config_of(&[&format!("{bucket}/a/")]);
    let words = ["doctor", "--bucket", &bucket, "--probe", "--format", "json"];
    // When it begins to wait cannot be seen from here, so something changes again and again.
    let changes = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stage.put(&bucket, "elsewhere", "body").await;
            stage.put(&bucket, "a/now", "body").await;
        }
    };
    let told = tokio::select! {
        told = stage.run(&config, &words) => told,
        () = changes => unreachable!("changes never end"),
    };
    let found = told.json().into_iter().find(|finding| finding["check"] == "round trip").unwrap();
    assert!(
        found["verdict"] == "ok" && found["found"].as_str().unwrap().contains("below the prefix came after"),
        "{found}"
    );
    assert!(told.stderr.contains("change something below \"a/\""), "{}", told.stderr);
}

/// An emulator that enforces policies; it ends with the test.
struct Enforcing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Enforcing {
    fn start(stage: &Stage) -> Self {
        let mut child = stage
            .python_with("enforce.py", &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn heard(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("a line of enforce.py");
        serde_json::from_str(&line).unwrap()
    }

    async fn tell(&mut self, what: &Value) -> Value {
        let line = format!("{what}\n");
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        self.heard().await
    }
}

#[tokio::test]
async fn policies_as_they_are_printed_are_enough() {
    let mut stage = Stage::new().await;
    let bucket = stage.name("enforced");
    let mut enforcing = Enforcing::start(&stage);
    stage.endpoint = enforcing.heard().await["endpoint"].as_str().unwrap().to_owned();
    let role = "arn:aws:iam::000000000000:role/reader";
    enforcing.tell(&json!(bucket)).await;
    // The account's root connects, and asks which policies the daemon needs.
    let root = stage.credentials("test", "test");
    let new = Config { queues: Vec::new(), ..stage.config() };
    stage.credentials_file = Some(root);
    let told = stage
        .run(&new, &["connect", "--apply", "--bucket", &bucket, "--prefix", "a/", "--region", REGION])
        .await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let queue = format!("{}/000000000000/stocktake", stage.endpoint);
    let config = |external_id: &str| {
        let keys =
            format!("role_arn = {role:?}\nexternal_id = {external_id:?}\nenrich = [\"head\", \"tags\"]");
        let config = Config { queues: vec![queue.clone()], doctor: "1h", ..stage.config() };
        config.place_with(&format!("{bucket}/a/"), &keys)
    };
    let daemon = "arn:aws:iam::000000000000:user/daemon";
    let policies = stage
        .run(&config("7"), &["policy", "--bucket", &bucket, "--principal", daemon, "--format", "json"])
        .await
        .json();
    let keys = enforcing.tell(&json!(policies)).await;
    let (well, mistaken) = (config("7"), config("8"));
    let of_daemon = stage.credentials(keys["key"].as_str().unwrap(), keys["secret"].as_str().unwrap());
    stage.credentials_file = Some(of_daemon);

    let ill = async |config: &Config| -> Vec<Value> {
        let told = stage.run(config, &["doctor", "--format", "json"]).await.json();
        // Databases of tests need not survive a crash, and the emulator does not know who pays.
        let is_ill = |finding: &Value| {
            finding["verdict"] != "ok"
                && finding["check"] != "durability"
                && finding["check"] != "requester pays"
        };
        told.into_iter().filter(is_ill).collect()
    };
    enforcing.tell(&json!("a/before")).await;
    assert_eq!(ill(&well).await, Vec::<Value>::new());
    let mut daemon = stage.serve(&well).await;
    enforcing.tell(&json!("a/after")).await;
    eventually("an event, and what was looked at because of it", async || {
        daemon.must_run();
        let looked_at =
            "select count(*) from catalog.object_details where key = 'a/after' and tags is not null";
        (stage.count(looked_at).await == 1).then_some(())
    })
    .await;
    assert_eq!(stage.count("select count(*) from catalog.objects").await, 2);
    assert_eq!(stage.status(&well).await.0["problems"], json!([]));
    daemon.stop().await;

    let refused = ill(&mistaken).await;
    let failure = refused.iter().find(|finding| finding["verdict"] == "failure").unwrap();
    assert_eq!((&failure["check"], refused.len()), (&json!("credentials"), 2), "{refused:#?}");
    assert!(failure["remedy"].as_str().unwrap().contains("external_id"), "{failure}");
}
