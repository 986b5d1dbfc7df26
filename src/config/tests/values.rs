//! What a configuration means.

use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_environment_alone_is_enough() {
    let config = parsed(
        "",
        &[
            ("PATH", "/bin"),
            ("STOCKTAKE_CONFIG", "elsewhere.toml"),
            ("STOCKTAKE_SERVICE_HOST", "10.0.0.1"),
            ("STOCKTAKE_PORT_9464_TCP_ADDR", "10.0.0.1"),
            ("STOCKTAKE_POSTGRES_SERVICE_PORT_PG", "5432"),
            ("STOCKTAKE_DATABASE__URL", "postgres://u:s3cret@h/d"),
            ("STOCKTAKE_DATABASE__MAX_CONNECTIONS", "4"),
            ("STOCKTAKE_ADMIN__LISTEN", ""),
            ("STOCKTAKE_QUEUE__0__URL", "http://127.0.0.1:4566/000000000000/events"),
            ("STOCKTAKE_BUCKET__1__NAME", "second"),
            ("STOCKTAKE_BUCKET__0__NAME", "first"),
            ("STOCKTAKE_BUCKET__0__TRUST_SEQUENCERS", "false"),
        ],
    )
    .unwrap();
    let servers: Vec<_> = config.database.url.expose().collect();
    assert_eq!(servers, ["postgres:?host=h&user=u&password=s3cret&dbname=d"]);
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(config.database.max_connections, 4);
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.queues[0].url, "http://127.0.0.1:4566/000000000000/events");
    assert_eq!(config.queues[0].access.region, None);
    let names: Vec<_> = config.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(!config.buckets[0].trust_sequencers && config.buckets[1].trust_sequencers);
    assert_eq!(config.buckets[0].reconcile_every, Some(24 * HOUR));
    assert_eq!(config.require_buckets(), Ok(()));
    assert_eq!(config.warnings().len(), 2, "each of a whole bucket: {:?}", config.warnings());
}

#[test]
fn the_environment_wins_key_by_key() {
    let toml = "[database]\nurl = 'postgres://h/d'\nmax_connections = 7\n[aws]\nregion = 'eu-west-2'\n\
                [[bucket]]\nname = 'abc'\nprefix = 'a/'\n[[bucket]]\nname = 'def'";
    let config = parsed(
        toml,
        &[
            ("STOCKTAKE_DATABASE__URL", "postgres://h/e"),
            ("STOCKTAKE_BUCKET__0__PREFIX", ""),
            ("STOCKTAKE_BUCKET__0__TRUST_SEQUENCERS", ""),
            ("STOCKTAKE_BUCKET__0__RECONCILE_EVERY", ""),
            ("STOCKTAKE_INGEST__WORKERS", ""),
            ("STOCKTAKE_AWS__REGION", ""),
        ],
    )
    .unwrap();
    assert_eq!(config.database.url.to_string(), "postgres://h/e");
    assert_eq!(config.database.max_connections, 7);
    assert_eq!(config.aws.region, None);
    assert_eq!(config.buckets[0].prefix, "");
    assert!(config.buckets[0].trust_sequencers);
    assert_eq!(config.buckets[0].reconcile_every, Some(24 * HOUR));
    assert_eq!(config.ingest.workers, 2);
    assert_eq!(config.buckets[0].name, "abc");
    assert_eq!(config.buckets.len(), 2);
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[0], "queue: none is configured, so changes are only found by listing");
    assert!(
        warnings[1].starts_with("bucket[0].prefix: is empty, so all of \"abc\" is followed"),
        "{warnings:?}"
    );
}

#[test]
fn who_can_be_reached_by_others_shows_the_page_to_those_with_the_token() {
    let toml = "[database]\nurl = 'postgres://h/d'\n[admin]\nlisten = '0.0.0.0:9464'\n[[queue]]\nurl = 'http://h/q'\n\
                [[bucket]]\nname = 'abc'\nprefix = 'a/'";
    let open = parsed(toml, &[]).unwrap();
    let warning = "admin.listen: others than this machine may reach 0.0.0.0:9464, and admin.token is not set: probes and \
                   metrics are served there, and the status page is not";
    assert_eq!(open.warnings(), [warning]);
    let locked = parsed(toml, &[("STOCKTAKE_ADMIN__TOKEN", "s3cret-of-16-or-more")]).unwrap();
    assert_eq!(locked.warnings(), Vec::<String>::new());
    assert!(locked.admin.shows_page() && !open.admin.shows_page());
    assert_eq!(locked.admin.token.as_ref().map(Token::expose), Some("s3cret-of-16-or-more"));
    assert!(!format!("{locked:?}").contains("s3cret"));
}

#[test]
fn access_is_inherited_key_by_key() {
    let config = parsed(
        "[database]
         url = 'postgres://h/d'
         [aws]
         region = 'us-east-1'
         role_arn = 'arn:aws:iam::123456789012:role/path/ours'
         external_id = '…'
         session_name = 'us@here'
         [[queue]]
         url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/q'
         [[bucket]]
         name = 'abc'
         project_region = 'germany'
         session_duration = '15m'
         [[bucket]]
         name = 'Any_Name'
         region = 'Garage'
         endpoint_url = 'http://127.0.0.1:3900'
         role_arn = 'arn:aws-cn:iam::210987654321:role/theirs'",
        &[],
    )
    .unwrap();
    let ours = Access {
        region: Some("us-east-1".into()),
        endpoint_url: None,
        role_arn: Some("arn:aws:iam::123456789012:role/path/ours".into()),
        external_id: Some("…".into()),
        session_name: Some("us@here".into()),
        session_duration: Some(HOUR),
    };
    assert_eq!(config.aws, ours);
    let here = Access { region: Some("eu-central-1".into()), ..ours.clone() };
    assert_eq!(config.queues[0].access, here);
    assert_eq!(config.buckets[0].access, Access { session_duration: Some(HOUR / 4), ..here });
    let there = Access {
        region: Some("Garage".into()),
        endpoint_url: Some("http://127.0.0.1:3900".into()),
        role_arn: Some("arn:aws-cn:iam::210987654321:role/theirs".into()),
        ..ours
    };
    assert_eq!(config.buckets[1].access, there);
}

#[test]
fn runs_may_never_begin_by_themselves() {
    for (written, expected) in [
        ("'never'", None),
        ("'0s'", None),
        ("0", None),
        ("'10s'", Some(Duration::from_secs(10))),
        ("'1day 12h'", Some(36 * HOUR)),
    ] {
        let toml = format!(
            "[database]\nurl = 'postgres://h/d'\n[[bucket]]\nname = 'abc'\nreconcile_every = {written}"
        );
        assert_eq!(parsed(&toml, &[]).unwrap().buckets[0].reconcile_every, expected, "{written}");
    }
}

#[test]
fn parts_of_one_bucket_may_be_mirrored() {
    let toml = "[database]\nurl = 'postgres://h/d'\n[[bucket]]\nname = 'abc'\nprefix = 'a/'\n\
                [[bucket]]\nname = 'abc'\nprefix = 'a b/'\n[[bucket]]\nname = 'abd'";
    assert_eq!(parsed(toml, &[]).unwrap().buckets.len(), 3);
}

#[test]
fn lists_come_from_the_file_and_from_the_environment() {
    let toml = "[database]\nurl = 'postgres://h/d'\n[[bucket]]\nname = 'abc'\nignore = ['**/*.tmp', 'a/**']";
    for (variable, expected) in [
        (None, &["**/*.tmp", "a/**"][..]),
        (Some("*.bak"), &["*.bak"]),
        (Some("[\"{a,b}/*\", \"c\"]"), &["{a,b}/*", "c"]),
        (Some(""), &[]),
    ] {
        let variables: Vec<_> =
            variable.map(|value| ("STOCKTAKE_BUCKET__0__IGNORE", value)).into_iter().collect();
        assert_eq!(parsed(toml, &variables).unwrap().buckets[0].ignore.globs(), expected, "{variable:?}");
    }
}

#[test]
fn a_bucket_without_a_queue_in_its_region_is_warned_of() {
    let config = parsed(
        "[database]\nurl = 'postgres://h/d'\n[[queue]]\nurl = 'https://sqs.eu-west-2.amazonaws.com/123456789012/q'\n\
         [[bucket]]\nname = 'abc'\nprefix = 'a/'\nproject_region = 'UK'\n\
         [[bucket]]\nname = 'def'\nprefix = 'a/'\nproject_region = 'Germany'",
        &[],
    );
    let warnings = config.unwrap().warnings();
    assert_eq!(
        warnings,
        [
            "bucket[1].region: \"def\" is to be in eu-central-1, where no queue is: S3 sends only to queues and topics \
          in the bucket's own region"
        ]
    );
}

#[test]
fn old_buckets_of_us_east_1_have_names_of_their_own() {
    let long = "x".repeat(255);
    for name in ["My_Bucket", "UPPER", "_x_", "a..b", "-a-", "192.168.1.1", &long] {
        let toml = |region: &str| {
            format!("[database]\nurl = 'postgres://h/d'\n[[bucket]]\nname = '{name}'\nregion = '{region}'\n")
        };
        assert_eq!(parsed(&toml("us-east-1"), &[]).unwrap().buckets[0].name, name);
        let told = parsed(&toml("eu-west-1"), &[]).unwrap_err().to_string();
        assert!(told.contains("set region = \"us-east-1\""), "{told}");
    }
    for name in ["ab", "a+b", "Bücher", &"x".repeat(256)] {
        let toml = format!(
            "[database]\nurl = 'postgres://h/d'\n[[bucket]]\nname = '{name}'\nregion = 'us-east-1'\n"
        );
        let told = parsed(&toml, &[]).unwrap_err().to_string();
        assert!(told.contains("cannot be a bucket's name") && !told.contains("before 2018"), "{told}");
    }
}
