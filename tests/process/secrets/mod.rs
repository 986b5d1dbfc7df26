//! Secrets are planted wherever the program is given any, everything goes wrong that can, and all that it says, serves
//! and writes down is searched for them, the finest log included.

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use sqlx::{AssertSqlSafe, Executor};
use url::Url;

use crate::support::{
    Cluster, Config, DELETE, Front, LIST, Play, RECEIVE, Rule, Stage, alone_with, eventually, query_error,
    s3_error, sqs_error,
};
use heard::{ADMIN_TOKEN, Heard, PASSWORD, ROLE_SECRET, ROLE_TOKEN, SECRET_KEY, TOKEN, WRONG_PASSWORD};

mod heard;

/// All that is printed on demand, by a program that works.
const COMMANDS: [&[&str]; 16] = [
    &["status"],
    &["status", "--format", "json"],
    &["doctor"],
    &["doctor", "--format", "json"],
    &["policy", "--bucket", "BUCKET"],
    &["policy", "--bucket", "BUCKET", "--format", "json"],
    &["connect", "--bucket", "BUCKET"],
    &["connect", "--bucket", "BUCKET", "--format", "json"],
    &["connect", "--bucket", "BUCKET", "--print", "terraform"],
    &["disconnect", "--bucket", "BUCKET"],
    &["reconcile", "--format", "json"],
    &["recheck", "--bucket", "BUCKET", "key"],
    &["replay"],
    &["migrate"],
    &["health", "--ready"],
    &["--version"],
];

/// What SQS answers where a signature is wrong: what should have been signed, and in it what the request came with
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>).
fn signature(service: &str) -> Play {
    let canonical =
        format!("x-amz-date:20261124T000000Z\\nx-amz-security-token:{TOKEN}\\n\\nhost;x-amz-date");
    let message = format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.\\n\\nThe Canonical String for this \
         request should have been\\n'POST\\n/\\n\\n{canonical}'"
    );
    let code = "SignatureDoesNotMatch";
    if service == "sqs" {
        return Play::Answer(
            403,
            format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#),
        );
    }
    let message = message.replace("\\n", "\n");
    let error = format!(
        "<Error><Code>{code}</Code><Message>{message}</Message><CanonicalRequest>{canonical}</CanonicalRequest></Error>"
    );
    Play::Answer(403, error)
}

/// A session in a role, as STS hands it out.
fn session(account: &str) -> Play {
    let credentials = format!(
        "<Credentials><AccessKeyId>{account}</AccessKeyId><SecretAccessKey>{ROLE_SECRET}</SecretAccessKey>\
         <SessionToken>{ROLE_TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    );
    Play::Answer(
        200,
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>{credentials}\
             <AssumedRoleUser><AssumedRoleId>AROA:stocktake</AssumedRoleId><Arn>arn:aws:sts::123456789012:\
             assumed-role/reader/stocktake</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

#[tokio::test]
async fn a_connection_string_that_is_wrong_is_never_repeated() {
    let mut heard = Heard::default();
    let urls = [
        format!("postgres://stocktake:{PASSWORD}@127.0.0.1:port/db"),
        format!("postgres://stocktake:{PASSWORD}@127.0.0.1:1/db"),
        format!("postgres://stocktake:{PASSWORD}%ZZ@127.0.0.1:1/db"),
        format!("postgres://stocktake:{PASSWORD}@[::1/db"),
        format!("postgres://stocktake:{PASSWORD}#x@127.0.0.1/db"),
        format!("postgres://stocktake:1/{PASSWORD}@127.0.0.1/db"),
        format!("postgres//stocktake:{PASSWORD}@127.0.0.1/db"),
        format!("mysql://stocktake:{PASSWORD}@127.0.0.1/db"),
        format!("postgres://stocktake@127.0.0.1:1/db?password={PASSWORD}"),
        format!("postgres://stocktake@127.0.0.1:1/db?password={PASSWORD}&sslmode=nonsense"),
        format!("postgres://stocktake@127.0.0.1:1/db?passwort={PASSWORD}"),
        format!("host=127.0.0.1 password={PASSWORD}"),
        PASSWORD.to_owned(),
    ];
    let mut attempts: Vec<(String, Vec<(&str, String)>)> = Vec::new();
    for url in &urls {
        attempts.push((
            format!("[database]\nurl = {url:?}\n[[bucket]]\nname = \"b\"\nregion = \"eu-central-1\"\n"),
            Vec::new(),
        ));
        attempts.push((String::new(), vec![("STOCKTAKE_DATABASE__URL", url.clone())]));
    }
    for text in [
        // A quotation mark that is missing, a list, a table, keys that are none.
        format!("[database]\nurl = \"postgres://stocktake:{PASSWORD}@127.0.0.1/db\n"),
        format!("[database]\nurl = postgres://stocktake:{PASSWORD}@127.0.0.1/db\n"),
        format!("[database]\nurl = [\"postgres://stocktake:{PASSWORD}@127.0.0.1/db\"]\n"),
        format!("[database.url]\npassword = \"{PASSWORD}\"\n"),
        format!("[database]\nurl = \"postgres://h/db\"\npassword = \"{PASSWORD}\"\n"),
        format!("url = \"postgres://stocktake:{PASSWORD}@127.0.0.1/db\"\n"),
        format!("database = \"postgres://stocktake:{PASSWORD}@127.0.0.1/db\"\n"),
    ] {
        attempts.push((text, Vec::new()));
    }
    for variable in [
        "STOCKTAKE_DATABASE",
        "STOCKTAKE_DATABASE__PASSWORD",
        "STOCKTAKE_DATABASE__URL__PASSWORD",
        "STOCKTAKE_URL",
    ] {
        attempts.push((String::new(), vec![(variable, PASSWORD.to_owned())]));
    }
    for (text, environment) in attempts {
        for words in
            [["status", "--format", "json"], ["doctor", "--format", "json"], ["migrate", "--format", "text"]]
        {
            let told = alone_with(&words, &text, &environment).await;
            assert!(matches!(told.code, Some(1 | 78)), "{text} {environment:?}: {told:?}");
            heard.told(&format!("{words:?} with {text}{environment:?}"), &told);
        }
    }
    heard.must_be_clean();
}

#[tokio::test]
async fn no_secret_is_told_served_or_written_down() {
    let mut stage = Stage::forgiving(2).await;
    let _cluster = Cluster::of(&mut stage).await;
    let planted = [
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_SESSION_TOKEN", TOKEN),
        ("STOCKTAKE_ADMIN__TOKEN", ADMIN_TOKEN),
    ];
    stage.more = planted.map(|(name, secret)| (name, secret.to_owned())).to_vec();
    let bucket = stage.name("secret");
    stage.bucket(&bucket, Some(Enabled)).await;
    let (right, wrong) = (with_password(&stage, PASSWORD).await, with_password(&stage, WRONG_PASSWORD).await);
    let front = Front::of(&stage.endpoint).await;
    let mut heard = Heard::default();

    for (filter, role) in [("info", ""), ("trace", "role_arn = \"arn:aws:iam::123456789012:role/reader\"")] {
        let log = format!("[log]\nfilter = {filter:?}");
        let config = Config { database: right.clone(), endpoint: front.url.clone(), ..stage.config() };
        let config = config.place_with(&bucket, &format!("reconcile_every = \"6s\"\n{role}")).with(&log);
        heard.must_be_planted(&config.text("127.0.0.1:1".parse().unwrap()));
        front.play([Rule::of("AssumeRole", session(&stage.account))]);
        let daemon = stage.serve(&config).await;
        stage.put(&bucket, "key", "body").await;
        stage.send("this is not JSON").await;
        stage.until_settled().await;
        for words in COMMANDS {
            let words = words
                .iter()
                .map(|word| if *word == "BUCKET" { bucket.as_str() } else { word })
                .collect::<Vec<_>>();
            heard.told(&format!("{filter} {words:?}"), &stage.run(&config, &words).await);
        }
        heard.served(&daemon).await;

        let expired = || sqs_error(403, "ExpiredToken");
        for (name, plays) in [
            (
                "ExpiredToken",
                vec![
                    Rule::of(RECEIVE, expired()),
                    Rule::of(DELETE, expired()),
                    Rule::of(LIST, s3_error(400, "ExpiredToken")),
                    Rule::of(
                        "AssumeRole",
                        query_error(
                            403,
                            "ExpiredToken",
                            "The security token included in the request is expired",
                        ),
                    ),
                ],
            ),
            (
                "SignatureDoesNotMatch",
                vec![
                    Rule::of(RECEIVE, signature("sqs")),
                    Rule::of(LIST, signature("s3")),
                    Rule::of("AssumeRole", signature("sts")),
                ],
            ),
            (
                "AccessDenied",
                vec![
                    Rule::of(RECEIVE, sqs_error(403, "AccessDenied")),
                    Rule::of(LIST, s3_error(403, "AccessDenied")),
                    Rule::of(
                        "AssumeRole",
                        query_error(403, "AccessDenied", "not authorized to perform: sts:AssumeRole"),
                    ),
                ],
            ),
        ] {
            front.play(plays);
            eventually(name, async || {
                let told = stage.run(&config, &["status"]).await;
                told.stdout.contains(name).then_some(())
            })
            .await;
            for words in [
                vec!["status"],
                vec!["doctor", "--format", "json"],
                vec!["reconcile"],
                vec!["connect", "--bucket", &bucket],
            ] {
                heard.told(&format!("{filter} {name} {words:?}"), &stage.run(&config, &words).await);
            }
            heard.served(&daemon).await;
            heard.written_down(&stage.pool).await;
        }
        front.play([Rule::of("AssumeRole", session(&stage.account))]);
        heard.say("the log", &daemon.log());
        daemon.stop().await;

        let config = Config { database: wrong.clone(), ..config };
        let mut daemon = stage.start(&config);
        daemon.until_unwell().await;
        heard.say("the log of one that is not let in", &daemon.log());
        for words in
            [["status", "--format", "json"], ["doctor", "--format", "json"], ["migrate", "--format", "text"]]
        {
            let told = stage.run(&config, &words).await;
            assert_eq!(told.code, Some(1), "{told:?}");
            heard.told(&format!("{filter}, a wrong password, {words:?}"), &told);
        }
    }
    heard.must_have("password authentication failed");
    heard.must_be_clean();
}

/// A connection string for a role of its own with this password; the role's password is [`PASSWORD`].
async fn with_password(stage: &Stage, password: &str) -> String {
    let statements = format!(
        "do $$ begin
             if not exists (select from pg_roles where rolname = 'planted') then
                 create role planted login superuser password '{PASSWORD}';
             end if;
             execute format('copy (select unnest(array[%L, %L])) to %L',
                 'host all postgres 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 scram-sha-256',
                 current_setting('hba_file'));
         end $$;
         select pg_reload_conf();"
    );
    stage.pool.execute(AssertSqlSafe(statements)).await.unwrap();
    let mut url = Url::parse(&stage.database).unwrap();
    url.set_username("planted").unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}
