//! Connecting a bucket beside other people's notifications, and undoing it.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use aws_sdk_s3::types::{
    Event, EventBridgeConfiguration, FilterRule, FilterRuleName, NotificationConfiguration,
    NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Config, Stage, Told, eventually};

/// A bucket's notification configuration as it comes over the wire.
async fn wire(stage: &Stage, bucket: &str) -> String {
    let address = stage.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The emulator looks at whose key it is, and not at the signature.
    let request = format!(
        "GET /{bucket}?notification HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential={}/20261101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
        stage.account
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 ") && body.contains("NotificationConfiguration"), "{text}");
    body.to_owned()
}

/// Somebody tells a queue of theirs of keys below `prefix` that end in `.bam`, and EventBridge of everything.
async fn others_notify(stage: &Stage, bucket: &str, prefix: &str) {
    let queue = stage.another_queue("theirs").await;
    let rule = |name, value: &str| FilterRule::builder().name(name).value(value).build();
    let filter = S3KeyFilter::builder()
        .filter_rules(rule(FilterRuleName::Prefix, prefix))
        .filter_rules(rule(FilterRuleName::Suffix, ".bam"));
    let theirs = QueueConfiguration::builder()
        .id("their rule")
        .queue_arn(queue.arn)
        .events(Event::from("s3:ObjectCreated:Put"))
        .filter(NotificationConfigurationFilter::builder().key(filter.build()).build());
    let rules = NotificationConfiguration::builder()
        .queue_configurations(theirs.build().unwrap())
        .event_bridge_configuration(EventBridgeConfiguration::builder().build());
    let request = stage.s3.put_bucket_notification_configuration().bucket(bucket);
    request.notification_configuration(rules.build()).send().await.unwrap();
}

async fn queues(stage: &Stage) -> Vec<String> {
    stage.sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default()
}

async fn done(stage: &Stage, config: &Config, words: &[&str]) -> Told {
    let told = stage.run(config, words).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    told
}

#[tokio::test]
async fn a_bucket_is_connected_beside_others_and_disconnected_without_a_trace() {
    let stage = Stage::new().await;
    let bucket = stage.name("shared");
    stage.silent_bucket(&bucket, Some(Enabled)).await;
    others_notify(&stage, &bucket, "b/").await;
    let (before, queues_before) = (wire(&stage, &bucket).await, queues(&stage).await);
    let config = Config { queues: Vec::new(), ..stage.config() };
    let place = ["--bucket", &bucket, "--prefix", "a/", "--region", "Germany"];
    let with = |words: &[&'static str]| [words, &place].concat();

    let plan = done(&stage, &config, &with(&["connect"])).await;
    for words in [
        "queue arn:aws:sqs:",
        "will be made",
        "+ rule \"stocktake-a\"",
        "2 entries of others stay",
        "nothing was changed",
    ] {
        assert!(plan.stdout.contains(words), "no {words:?} in {}", plan.stdout);
    }
    assert_eq!((wire(&stage, &bucket).await, queues(&stage).await), (before.clone(), queues_before.clone()));

    let first = done(&stage, &config, &with(&["connect", "--apply"])).await;
    let between = wire(&stage, &bucket).await;
    assert_ne!(between, before);
    let second = done(&stage, &config, &with(&["connect", "--apply"])).await;
    assert!(second.stdout.contains("nothing is to be done"), "{second:?}");
    assert_eq!(wire(&stage, &bucket).await, between);

    // The sections that were printed are all that a daemon needs.
    let (_, sections) = first.stdout.split_once("add to the configuration:").unwrap();
    let daemon = stage.serve(&config.clone().with(sections)).await;
    stage.put(&bucket, "a/new", "body").await;
    eventually("the event of a key", async || {
        (stage.count("select count(*) from catalog.objects where key = 'a/new'").await == 1).then_some(())
    })
    .await;
    // The doctor's own object comes and goes, and a daemon may be quicker to receive its event.
    let configured = config.clone().with(sections);
    let probe = ["doctor", "--bucket", &bucket, "--probe-write", "--format", "json"];
    let round_trip = async || {
        let told = stage.run(&configured, &probe).await.json();
        told.into_iter().find(|finding| finding["check"] == "round trip").unwrap()
    };
    assert_eq!(round_trip().await["verdict"], "ok");
    daemon.stop().await;
    assert_eq!(round_trip().await["verdict"], "ok");
    assert_eq!(stage.s3.list_object_versions().bucket(&bucket).send().await.unwrap().versions().len(), 1);

    let healthy = stage.run(&configured, &["doctor", "--bucket", &bucket, "--format", "json"]).await;
    let failed: Vec<_> =
        healthy.json().into_iter().filter(|finding| finding["verdict"] == "failure").collect();
    assert!(failed.iter().all(|finding| finding["check"] == "durability"), "{failed:#?}");

    done(&stage, &configured, &["disconnect", "--bucket", &bucket]).await;
    assert_eq!(wire(&stage, &bucket).await, between, "only planned");
    done(&stage, &configured, &["disconnect", "--bucket", &bucket, "--apply", "--drop-rows"]).await;
    assert_eq!((wire(&stage, &bucket).await, queues(&stage).await), (before, queues_before));
    assert_eq!(stage.count("select count(*) from catalog.buckets").await, 0);
    assert_eq!(stage.count("select count(*) from catalog.object_versions").await, 0);
    let again =
        done(&stage, &configured, &["disconnect", "--bucket", &bucket, "--apply", "--drop-rows"]).await;
    for words in ["no rule of ours", "no rows", "there was nothing to do"] {
        assert!(again.stdout.contains(words), "no {words:?} in {}", again.stdout);
    }

    // There is room again.
    done(&stage, &configured, &["connect", "--bucket", &bucket, "--apply"]).await;
    stage.serve(&configured).await.stop().await;
    assert_eq!(stage.count("select count(*) from catalog.objects").await, 1);
}

#[tokio::test]
async fn a_queue_that_was_there_gets_its_settings_back() {
    let stage = Stage::new().await;
    let bucket = stage.name("borrowed");
    stage.silent_bucket(&bucket, None).await;
    let config = stage.config_of(&[&bucket]);
    let attributes = async || {
        let request = stage.sqs.get_queue_attributes().queue_url(&stage.queue.url);
        let mut told =
            request.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
        // They tell how it goes, not what it is set to.
        told.retain(|name, _| {
            !name.as_str().starts_with("Approximate") && !name.as_str().ends_with("Timestamp")
        });
        let tags = stage.sqs.list_queue_tags().queue_url(&stage.queue.url).send().await.unwrap().tags;
        (told, tags.unwrap_or_default())
    };
    let before = attributes().await;
    let plan = done(&stage, &config, &["connect", "--bucket", &bucket]).await;
    assert!(plan.stdout.contains("MessageRetentionPeriod: 345600 -> 1209600"), "{plan:?}");
    done(&stage, &config, &["connect", "--bucket", &bucket, "--apply"]).await;
    let between = attributes().await;
    assert_eq!(between.0[&QueueAttributeName::MessageRetentionPeriod], "1209600");
    assert!(between.0[&QueueAttributeName::Policy].contains("aws:SourceAccount"));
    done(&stage, &config, &["disconnect", "--bucket", &bucket, "--apply"]).await;
    let after = attributes().await;
    for (name, value) in &before.0 {
        assert_eq!(after.0.get(name), Some(value), "{name:?}");
    }
    let rest: Vec<_> =
        after.0.iter().filter(|(name, value)| !before.0.contains_key(name) && !value.is_empty()).collect();
    assert!(rest.is_empty() && after.1 == before.1, "{rest:?} {:?}", after.1);
}

#[tokio::test]
async fn an_overlap_is_refused_before_anything_is_made() {
    let stage = Stage::new().await;
    let bucket = stage.name("taken");
    stage.silent_bucket(&bucket, None).await;
    others_notify(&stage, &bucket, "").await;
    let (before, queues_before) = (wire(&stage, &bucket).await, queues(&stage).await);
    let told = stage.run(&stage.config_of(&[&bucket]), &["connect", "--bucket", &bucket, "--apply"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    for words in ["refused: rule \"their rule\"", "suffix \".bam\"", ":theirs", "SNS topic", "EventBridge"] {
        assert!(told.stdout.contains(words), "no {words:?} in {}", told.stdout);
    }
    assert!(told.stdout.ends_with("nothing was changed\n"), "{}", told.stdout);
    assert_eq!((wire(&stage, &bucket).await, queues(&stage).await), (before, queues_before));

    let terraform = stage
        .run(
            &stage.config_of(&[&format!("{bucket}/a/")]),
            &["connect", "--bucket", &bucket, "--print", "terraform"],
        )
        .await;
    for words in
        ["resource \"aws_s3_bucket_notification\"", "\"their rule\"", "eventbridge = true", "1209600"]
    {
        assert!(terraform.stdout.contains(words), "no {words:?} in {}", terraform.stdout);
    }
    let wrong = stage.run(&stage.config(), &["connect", "--bucket", &bucket, "--prefix", "/a"]).await;
    assert!(wrong.code == Some(64) && wrong.stderr.contains("--prefix: must not begin with /"), "{wrong:?}");
}

#[tokio::test]
async fn a_bucket_that_is_gone_can_be_disconnected() {
    let stage = Stage::new().await;
    let bucket = stage.name("gone");
    stage.silent_bucket(&bucket, None).await;
    let config = Config { queues: Vec::new(), ..stage.config() };
    let before = queues(&stage).await;
    done(&stage, &config, &["connect", "--bucket", &bucket, "--apply"]).await;
    let url = stage.queue.url.replace("/events", "/stocktake");
    let config = Config { queues: vec![url], ..stage.config_of(&[&bucket]) };
    stage.put(&bucket, "key", "body").await;
    let daemon = stage.serve(&config).await;
    stage.delete(&bucket, "key").await;
    stage.s3.delete_bucket().bucket(&bucket).send().await.unwrap();

    const OTHERS: &str = "a daemon is at work on this catalog";
    let plan = done(&stage, &config, &["disconnect", "--bucket", &bucket, "--drop-rows"]).await;
    assert!(plan.stdout.contains("will be dropped") && plan.stderr.contains(OTHERS), "{plan:?}");
    let disconnect = ["disconnect", "--bucket", &bucket, "--apply", "--drop-rows"];
    let told = done(&stage, &config, &disconnect).await;
    for words in [
        "the bucket does not exist any more",
        "will be deleted",
        "the rows are dropped",
        "[[bucket]] section",
    ] {
        assert!(told.stdout.contains(words), "no {words:?} in {}", told.stdout);
    }
    assert!(told.stderr.contains(OTHERS), "{}", told.stderr);
    daemon.stop().await;
    assert_eq!(queues(&stage).await, before);
    assert_eq!(stage.count("select count(*) from catalog.reconciliations").await, 0);
    let again = done(&stage, &config, &disconnect).await;
    assert!(again.stdout.contains("there was nothing to do") && again.stderr.is_empty(), "{again:?}");
}

#[tokio::test]
async fn a_daemon_says_that_its_bucket_was_disconnected() {
    let stage = Stage::new().await;
    let bucket = stage.name("leaving");
    stage.silent_bucket(&bucket, None).await;
    let new = Config { queues: Vec::new(), ..stage.config() };
    done(&stage, &new, &["connect", "--bucket", &bucket, "--prefix", "a/", "--apply"]).await;
    let url = stage.queue.url.replace("/events", "/stocktake");
    let config = Config { queues: vec![url.clone()], ..stage.config() };
    let config = config.place_with(&format!("{bucket}/a/"), "reconcile_every = \"6s\"");
    let daemon = stage.serve(&config).await;

    let told = done(&stage, &config, &["disconnect", "--bucket", &bucket, "--apply"]).await;
    for words in [
        "the part below \"a/\" is meant",
        "rows in the catalog stay",
        "[[bucket]] section",
        "[[queue]] section of",
    ] {
        assert!(told.stdout.contains(words), "no {words:?} in {}", told.stdout);
    }
    let others = format!("a daemon is at work on this catalog; queue {url} goes");
    assert!(told.stderr.contains(&others), "{}", told.stderr);

    done(&stage, &config, &["disconnect", "--bucket", &bucket, "--apply", "--drop-rows"]).await;
    eventually("what a daemon says of it", async || {
        let told = "select count(*) from catalog.problems where subject like 'bucket %' and message like '%was disconnected%' \
                    and remedy like '%[[bucket]] section%'";
        (stage.count(told).await == 1).then_some(())
    })
    .await;
    assert!(!daemon.log().contains("no rows returned"), "{}", daemon.log());
    daemon.stop().await;

    let none = done(&stage, &config, &["disconnect", "--bucket", &bucket, "--drop-rows"]).await;
    for words in [": there is no rule of ours", ": there is none", "the catalog has no rows of it"] {
        assert!(none.stdout.contains(words), "no {words:?} in {}", none.stdout);
    }
    assert!(!none.stdout.contains("stays as it is"), "{none:?}");
}

#[tokio::test]
async fn a_bucket_that_nobody_ever_connected_is_not_disconnected() {
    let stage = Stage::new().await;
    let bucket = stage.name("known");
    stage.silent_bucket(&bucket, None).await;
    let config = stage.config_of(&[&format!("{bucket}/a/")]);
    let misspelt = stage.name("knwon");
    let nobody =
        format!("bucket {misspelt:?} is neither configured nor known to the catalog, nor does S3 have");
    let configured = format!("configured are [{bucket:?}]");
    // Without a schema, with one, and with a daemon at work on it.
    let mut daemon = None;
    for is_served in [false, true] {
        if is_served {
            daemon = Some(stage.serve(&config).await);
        }
        for more in [&[][..], &["--apply"], &["--apply", "--drop-rows"]] {
            let words = [&["disconnect", "--bucket", &misspelt], more].concat();
            let told = stage.run(&config, &words).await;
            assert!(told.code == Some(1) && told.stdout.is_empty(), "{told:?}");
            assert!(told.stderr.contains(&nobody) && told.stderr.contains(&configured), "{told:?}");
            assert!(!told.stderr.contains("a daemon is at work"), "{told:?}");
        }
    }
    let parts = stage.config_of(&[&format!("{bucket}/a/"), &format!("{bucket}/c/")]);
    let told = stage.run(&parts, &["reconcile", "--bucket", &bucket, "--prefix", "b/"]).await;
    let all = r#"prefix "b/" is outside what is configured: choose one that begins with "a/" or "c/""#;
    assert!(told.code == Some(64) && told.stderr.contains(all), "{told:?}");
    // The bucket is there, and its part `b/` is nobody's.
    let told = done(&stage, &config, &["disconnect", "--bucket", &bucket, "--prefix", "b/", "--apply"]).await;
    for words in
        ["below \"b/\" is neither configured nor known", "there is nothing to undo", "what is below [\"a/\"]"]
    {
        assert!(told.stdout.contains(words), "no {words:?} in {}", told.stdout);
    }
    daemon.unwrap().stop().await;

    // Once the section is out, the catalog tells which part that was.
    let without = stage.config_of(&[]);
    for place in [&[][..], &["--prefix", "b/"]] {
        let words = [&["disconnect", "--bucket", &bucket, "--drop-rows", "--apply"], place].concat();
        let told = stage.run(&without, &words).await;
        let part = "known to the catalog, which has what is below [\"a/\"]: choose that with --prefix";
        assert!(told.code == Some(1) && told.stderr.contains(part), "{told:?}");
    }
    // Once the queue's is out, too, nothing tells which that was.
    let without = Config { queues: vec![], ..without };
    let of_another = "name it with --queue, or disconnect before";
    let place = ["disconnect", "--bucket", &bucket, "--prefix", "a/"];
    let told = done(&stage, &without, &place).await;
    assert!(told.stdout.contains(of_another), "{told:?}");
    let told = done(&stage, &without, &[&place[..], &["--queue", "mine"]].concat()).await;
    assert!(!told.stdout.contains(of_another), "{told:?}");

    // Whoever names only the bucket is told which part of it that is.
    let plan = done(&stage, &config, &["connect", "--bucket", &bucket]).await;
    assert!(
        plan.stdout.starts_with(&format!("of bucket {bucket:?} the part below \"a/\" is meant")),
        "{plan:?}"
    );
    let plan = done(&stage, &config, &["connect", "--bucket", &bucket, "--prefix", "a/"]).await;
    assert!(!plan.stdout.contains("is meant"), "{plan:?}");
}
