//! Each: what was written, and the lines that come back.

use std::path::Path;

use super::*;

const URL: &str = "[database]\nurl = 'postgres://u:s3cret@h/d'\n";

const KNOWN: &str = "[database], [aws], [admin], [log], [trace], [ingest], [journal], [ledger], [merge], [recheck], [reconcile], [enrich], [doctor], [shutdown], [[queue]], [[bucket]]";

/// What is wrong with this, below a valid `[database]`.
fn check(toml: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let errors = parsed(&format!("{URL}{toml}"), variables).unwrap_err();
    let lines: Vec<_> = errors.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected, "for {toml} {variables:?}");
    assert!(!format!("{errors} {errors:?}").contains("s3cret"));
}

#[test]
fn every_mistake_is_reported_at_once() {
    check(
        "max_connections = 0
         connect_timeout = 10
         [admin]
         listen = 'localhost:9464'
         [log]
         format = 'xml'
         [[queue]]
         url = 'arn:aws:sqs:eu-central-1:123456789012:stocktake'
         [[bucket]]
         name = 'a'
         prefx = ''
         [[bucket]]
         prefix = '/b'
         trust_sequencers = 'maybe'
         [extra]",
        &[("STOCKTAKE_BUCKET__1__RECONCILE_EVERY", "daily"), ("STOCKTAKE_BUKET__0__NAME", "c")],
        &[
            &format!("STOCKTAKE_BUKET__0__NAME: unknown section; known: {KNOWN}"),
            &format!("extra: unknown section; known: {KNOWN}"),
            "database.max_connections: must be a whole number from 1 to 1000, not \"0\"",
            "database.connect_timeout: must be a duration from 100ms to 10m such as \"90s\" or \"1h 30m\", not \"10\"",
            "admin.listen: must be an IP address and a port such as \"127.0.0.1:9464\", or \"\" for none, not \"localhost:9464\"",
            "log.format: must be \"text\" or \"json\", not \"xml\"",
            "queue[0].url: is an ARN: write the queue's URL, such as \"https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake\"",
            "bucket[0].prefx: unknown key; known here: name, prefix, project_region, reconcile_every, source, inventory, inventory_role_arn, inventory_external_id, requests_per_second, trust_sequencers, keys, ignore, enrich, kms_key, partitions, region, endpoint_url, role_arn, external_id, session_name, session_duration",
            "bucket[0].name: \"a\" cannot be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends, no two dots together and not an IP address",
            "bucket[1].name: is required: set it in the file, or as STOCKTAKE_BUCKET__1__NAME",
            "bucket[1].prefix: must not begin with /: S3's keys are not paths, and \"/a\" is another key than \"a\"; write \"b\"",
            "bucket[1].reconcile_every: must be a duration from 1s to 1 year such as \"90s\" or \"1h 30m\", not \"daily\" (set by STOCKTAKE_BUCKET__1__RECONCILE_EVERY)",
            "bucket[1].trust_sequencers: must be true or false, not \"maybe\"",
        ],
    );
}

#[test]
fn listings_that_could_settle_nothing_are_refused() {
    let often = |margin: &str, every: &str, more: &str| {
        format!("[merge]\nmargin = '{margin}'\n[[bucket]]\nname = 'abc'\nreconcile_every = '{every}'\n{more}")
    };
    let refused = |least: &str, margin: &str, every: &str| {
        format!(
            "bucket[0].reconcile_every: must be at least {least} with a merge.margin of {margin}, not {every}: of what differs \
             in a listing that follows another sooner nobody can say whether it is from before that one, so it would be in \
             doubt for ever; or \"never\""
        )
    };
    for (margin, every, least) in
        [("5s", "9s", "10s"), ("5s", "1s", "10s"), ("0s", "4s", "5s"), ("1m", "1m", "1m 12s")]
    {
        check(&often(margin, every, ""), &[], &[&refused(least, margin, every)]);
    }
    // Reports are only looked for.
    let reports = "source = 'inventory'\ninventory = 's3://reports/daily/abc/all/'";
    for (every, more) in [("10s", ""), ("1s", reports)] {
        let toml = format!("{URL}{}", often("5s", every, more));
        assert!(parsed(&toml, &[]).is_ok(), "{toml}");
    }
}

#[test]
fn the_shape_is_checked() {
    check("[[aws]]", &[], &["aws: must be a table: open it with [aws]"]);
    check(
        "[bucket]\nname = 'abc'",
        &[],
        &["bucket: must be a list of tables: open each entry with [[bucket]]"],
    );
    check(
        "[log]\nfilter = 'info,stocktake=loud'",
        &[],
        &[
            "log.filter: must be directives such as \"info,stocktake=debug\": error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
        ],
    );
    for endpoint in [
        "https://collector:4317",
        "collector:4317",
        " http://collector:4317",
        "http://collector:4318/v1/traces",
        "http://me:s3cret@collector:4317",
    ] {
        check(
            &format!("[trace]\nendpoint = '{endpoint}'"),
            &[],
            &[
                "trace.endpoint: must be where a collector takes OTLP over gRPC, such as \"http://127.0.0.1:4317\": one near by, as it is sent to without TLS and password",
            ],
        );
    }
    check("[Aws]", &[], &[&format!("Aws: unknown section; known: {KNOWN}")]);
    check("[[bucket]]\nname = 'abc'\nprefix.a = 1", &[], &["bucket[0].prefix: must be text, in quotes"]);
    check("[aws]\nregion = 5", &[], &["aws.region: must be text, in quotes"]);
    check("[ingest]\nworkers = [1]", &[], &["ingest.workers: must be a single value"]);
    check(
        "[ingest]\nworkers = 1.5",
        &[],
        &["ingest.workers: must be a whole number from 1 to 64, not \"1.5\""],
    );
    check(
        "[ingest]\nworkers = = 3",
        &[],
        &["a.toml: TOML parse error at line 4, column 11: extra `=`, expected nothing"],
    );
}

#[test]
fn a_token_that_could_be_guessed_is_refused_and_not_repeated() {
    let unfit = "admin.token: must be 16 or more letters, digits and signs, without spaces; `openssl rand -hex 32` makes one";
    check("[admin]\ntoken = 's3cret'", &[], &[unfit]);
    check("[admin]\ntoken = 'a s3cret with some spaces'", &[], &[unfit]);
    check("[admin]\ntoken = 12345678901234567", &[], &["admin.token: must be text, in quotes"]);
    let by = format!("{unfit} (set by STOCKTAKE_ADMIN__TOKEN)");
    check("", &[("STOCKTAKE_ADMIN__TOKEN", "s3cret")], &[&by]);
}

#[test]
fn variables_are_checked() {
    check(
        "",
        &[("STOCKTAKE_DATABASE_URL", "x")],
        &["STOCKTAKE_DATABASE_URL: unknown; with two underscores STOCKTAKE_DATABASE__URL is a key"],
    );
    check(
        "",
        &[("STOCKTAKE_DATABASE", "x")],
        &["STOCKTAKE_DATABASE: does not name a key: write STOCKTAKE_DATABASE__KEY"],
    );
    check(
        "",
        &[("STOCKTAKE_ADMIN__LISTN", "x")],
        &["STOCKTAKE_ADMIN__LISTN: unknown key \"listn\"; known in [admin]: listen, token"],
    );
    check(
        "",
        &[("STOCKTAKE_QUEUE__URL", "x")],
        &["STOCKTAKE_QUEUE__URL: does not name a key: write STOCKTAKE_QUEUE__0__KEY"],
    );
    check(
        "",
        &[("STOCKTAKE_BUCKET__1000__NAME", "x")],
        &["STOCKTAKE_BUCKET__1000__NAME: entries are numbered from 0 to 999: STOCKTAKE_BUCKET__0__…"],
    );
    check(
        "",
        &[("STOCKTAKE_", "x"), ("STOCKTAKE_BUCKET__-1__NAME", "abc"), ("STOCKTAKE_LOG__", "x")],
        &[
            &format!("STOCKTAKE_: unknown section; known: {KNOWN}"),
            "STOCKTAKE_BUCKET__-1__NAME: entries are numbered from 0 to 999: STOCKTAKE_BUCKET__0__…",
            "STOCKTAKE_LOG__: unknown key \"\"; known in [log]: format, filter",
        ],
    );
    check(
        "",
        &[("STOCKTAKE_BUCKET__1__NAME", "abc")],
        &["bucket[0]: is not set: entries are numbered from 0 without gaps"],
    );
}

#[test]
fn what_is_required_is_not_empty() {
    check(
        "[[queue]]\nurl = ''\n[[bucket]]\nname = ''",
        &[("STOCKTAKE_DATABASE__URL", "")],
        &[
            "database.url: is required: set it in the file, or as STOCKTAKE_DATABASE__URL (set by STOCKTAKE_DATABASE__URL)",
            "queue[0].url: is required: set it in the file, or as STOCKTAKE_QUEUE__0__URL",
            "bucket[0].name: is required: set it in the file, or as STOCKTAKE_BUCKET__0__NAME",
        ],
    );
}

#[test]
fn access_is_checked() {
    check(
        "[aws]
         region = 'Frankfurt'
         role_arn = 'stocktake'
         session_duration = '13h'
         [[queue]]
         url = 'https://key:s3cret@sqs.eu-central-1.amazonaws.com/1/q'
         [[queue]]
         url = 'https://sqs.eu-central-1.amazonaws.com'
         [[queue]]
         url = 'https://sqs.eu-central-1.amazonaws.com/1/q'
         region = 'eu-west-2'
         endpoint_url = 'ftp://h'
         receivers = 257
         [[queue]]
         url = 'https://sqs.eu-central-1.amazonaws.com/1/q'",
        &[],
        &[
            "aws.region: must be a region's code such as \"eu-central-1\", not \"frankfurt\"",
            "aws.role_arn: must be the ARN of a role such as \"arn:aws:iam::123456789012:role/stocktake\"",
            "aws.session_duration: must be from 15m to 12h, not \"13h\"",
            "queue[0].url: must not hold credentials: they come from the SDK's default chain or role_arn",
            "queue[1].url: names no queue: write its whole URL, such as \"https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake\"",
            "queue[2].endpoint_url: must begin with https:// or http://, not ftp:",
            "queue[2].region: is eu-west-2, but the url is in eu-central-1: leave one of them out",
            "queue[2].receivers: must be a whole number from 1 to 256, not \"257\"",
            "queue[3].url: is the url of queue[2] too: leave one of them out",
        ],
    );
}

#[test]
fn buckets_are_checked() {
    let name = |name: &str, message: &str| {
        check(&format!("[[bucket]]\nname = '{name}'"), &[], &[&format!("bucket[0].name: {message}")]);
    };
    name(
        "s3://genomics",
        "must be the bucket's bare name, not \"s3://genomics\"; what follows a / belongs in prefix",
    );
    name(
        "genomics--euc1-az1--x-s3",
        "is a directory bucket, which cannot be mirrored: it keeps no versions, lists in no order and sends no notifications",
    );
    name(
        "genomics-abc-s3alias",
        "is an access point: write the name of the bucket behind it, which is what events name",
    );

    let prefix = |prefix: &str, message: &str| {
        check(
            &format!("[[bucket]]\nname = 'abc'\nprefix = '{prefix}'"),
            &[],
            &[&format!("bucket[0].prefix: {message}")],
        );
    };
    prefix(
        "/a/",
        "must not begin with /: S3's keys are not paths, and \"/a\" is another key than \"a\"; write \"a/\"",
    );
    prefix("a", "must end in /, or \"a\" would also mean \"a2/…\"; write \"a/\"");
    prefix(
        "./a/",
        "must not hold ./ or ../: S3 takes them literally, and many clients cannot reach such keys",
    );

    check(
        "[[bucket]]
         name = 'abc'
         project_region = 'Atlantis'
         [[bucket]]
         name = 'def'
         project_region = 'Germany'
         region = 'us-east-1'
         [[bucket]]
         name = 'abc'
         prefix = 'x/'",
        &[],
        &[
            "bucket[0].project_region: \"Atlantis\" is neither a region's code nor a name of one; known names: Australia, Canada, Germany, India, Indonesia, Israel, Japan, Singapore, South Korea, UK, United Arab Emirates, United States",
            "bucket[1].region: is us-east-1, but project_region means eu-central-1: leave one of them out",
            "bucket[2].prefix: \"x/\" overlaps bucket[0].prefix \"\", and both are in \"abc\": a key can belong to one only",
        ],
    );
}

#[test]
fn a_bucket_has_one_number_of_tables() {
    check(
        "[[bucket]]
         name = 'abc'
         prefix = 'x/'
         partitions = 8
         [[bucket]]
         name = 'abc'
         prefix = 'y/'
         [[bucket]]
         name = 'def'
         partitions = 3
         [[bucket]]
         name = 'ghi'
         partitions = 128",
        &[],
        &[
            "bucket[2].partitions: must be a power of two, not 3",
            "bucket[3].partitions: must be a whole number from 1 to 64, not \"128\"",
            "bucket[1].partitions: must be that of bucket[0], 8, not 1: all parts of \"abc\" share their tables",
        ],
    );
}

#[test]
fn what_only_setting_up_needs_is_checked_too() {
    check(
        "[aws]
         session_name = 'us all'
         [[queue]]
         url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/q'
         kms_key = 'alias/aws/sqs'
         [[bucket]]
         name = 'abc'
         ignore = ['a/[']
         enrich = ['tags', 'heads']
         [[bucket]]
         name = 'def'
         ignore = [1]",
        &[],
        &[
            "aws.session_name: must be 2 to 64 letters, digits and characters of _+=,.@-",
            "queue[0].kms_key: must be the ARN of a key such as \"arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab\", and no alias",
            "bucket[0].ignore: \"a/[\" is no glob: unclosed character class; missing ']'",
            "bucket[0].enrich: \"heads\" cannot be asked for: \"head\" and \"tags\" can",
            "bucket[1].ignore: must be a list of texts, such as [\"**/*.tmp\"]",
        ],
    );
}

#[test]
fn a_broken_line_is_not_quoted() {
    for text in [
        "[database]\nurl = \"postgres://u:s3cret@h/d",
        "url = s3cret",
        "s3cret",
        "[database]\nurl = 's3cret' 's3cret'",
    ] {
        let errors = parsed(text, &[]).unwrap_err().to_string();
        assert!(errors.contains("a.toml: TOML parse error at line "), "{errors}");
        assert!(!errors.contains("s3cret"), "{errors}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let named = [("STOCKTAKE_CONFIG", "no/such.toml")];
    for (file, env, by) in
        [(Some(Path::new("no/such.toml")), &[][..], "--config"), (None, &named[..], "STOCKTAKE_CONFIG")]
    {
        let errors = load(file, environment(env)).unwrap_err().to_string();
        let expected = format!(
            "configuration from no/such.toml has 1 mistake:\n  \
             no/such.toml: cannot be read: No such file or directory (os error 2) (named by {by})"
        );
        assert_eq!(errors, expected);
    }
}

#[test]
fn serving_needs_a_bucket() {
    let errors = parsed(URL, &[]).unwrap().require_buckets().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "configuration from a.toml has 1 mistake:\n  \
         bucket: at least one is required: add a [[bucket]] with a name, or set STOCKTAKE_BUCKET__0__NAME"
    );
}
