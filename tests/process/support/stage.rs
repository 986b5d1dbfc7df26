//! A test's own account in the emulator, with a queue, and its own database in Postgres.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, Event,
    NotificationConfiguration, QueueConfiguration, VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tokio::process::Command;
use url::Url;

use super::{PATIENCE, eventually};

pub(crate) const REGION: &str = "eu-central-1";
const FAMILIES: [&str; 3] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"];
/// How far a date that came with an event may be from S3's own.
const TOLERANCE: Duration = Duration::from_secs(10);

/// A queue in the emulator.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) arn: String,
}

/// Where one test plays. Its account is its own; names of buckets are everybody's, as at AWS.
pub(crate) struct Stage {
    pub(crate) endpoint: String,
    pub(crate) account: String,
    /// The URL of its database.
    pub(crate) database: String,
    pub(crate) pool: PgPool,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// How long messages stay with a daemon that dies.
    seconds_invisible: u32,
    /// The queue that buckets tell of their changes.
    pub(crate) queue: Queue,
    /// What stocktake has in its environment besides, or instead.
    pub(crate) more: Vec<(&'static str, String)>,
    /// `stocktake` itself: as it is tested, unless `PROGRAM` names another build of it.
    pub(crate) program: PathBuf,
    /// For files.
    pub(crate) folder: PathBuf,
    /// Where stocktake finds its keys, if not in its environment.
    pub(crate) credentials_file: Option<String>,
    pub(super) python: String,
}

/// What the bed tells; a test that runs without one says how to get it.
fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set. These tests need servers of their own beside them: run `make test`, or \
             `tests/testbed/run -- cargo test --test process`"
        )
    })
}

/// How long a message that is neither deleted nor given back stays away: longer than any test.
const SECONDS_INVISIBLE: u32 = 3_600;

impl Stage {
    /// A stage where whatever the daemon neither deletes nor gives back is never seen again.
    pub(crate) async fn new() -> Self {
        Self::forgiving(SECONDS_INVISIBLE).await
    }

    /// A stage where such messages come again after some seconds, for daemons that are killed.
    pub(crate) async fn forgiving(seconds_invisible: u32) -> Self {
        let (endpoint, python, server) =
            (needed("TESTBED_ENDPOINT"), needed("TESTBED_PYTHON"), needed("DATABASE_URL"));
        let account = fastrand::u64(100_000_000_000..1_000_000_000_000).to_string();
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let name = format!("stocktake_process_{account}");
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.unwrap();
        let mut database = Url::parse(&server).unwrap();
        database.set_path(&name);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&account);
        std::fs::create_dir_all(&folder).unwrap();

        let credentials = || Credentials::new(&account, "secret", None, None, "test");
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&endpoint)
            .credentials_provider(credentials())
            .force_path_style(true)
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&endpoint)
            .credentials_provider(credentials())
            .build();
        let (s3, sqs) = (aws_sdk_s3::Client::from_conf(s3), aws_sdk_sqs::Client::from_conf(sqs));
        let queue = make_queue(&sqs, "events").await;
        let pool = PgPool::connect(database.as_str()).await.unwrap();
        let database = database.into();
        Self {
            endpoint,
            account,
            database,
            pool,
            s3,
            sqs,
            seconds_invisible,
            queue,
            more: Vec::new(),
            program: std::env::var_os("PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_stocktake").into()).into(),
            folder,
            credentials_file: None,
            python,
        }
    }

    /// A bucket's name that no other test has.
    pub(crate) fn name(&self, word: &str) -> String {
        format!("{word}-{}", self.account)
    }

    /// Another queue.
    pub(crate) async fn another_queue(&self, name: &str) -> Queue {
        make_queue(&self.sqs, name).await
    }

    /// Makes a bucket, and has it tell the queue of its changes.
    pub(crate) async fn bucket(&self, name: &str, versioning: Option<BucketVersioningStatus>) {
        self.silent_bucket(name, versioning).await;
        self.tell(name, &self.queue).await;
    }

    /// Makes a bucket that tells nobody.
    pub(crate) async fn silent_bucket(&self, name: &str, versioning: Option<BucketVersioningStatus>) {
        let constraint = BucketLocationConstraint::from(REGION);
        let place = CreateBucketConfiguration::builder().location_constraint(constraint).build();
        self.s3.create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
        if let Some(status) = versioning {
            self.version(name, status).await;
        }
    }

    /// From now on `bucket` keeps versions, or keeps no more of them.
    pub(crate) async fn version(&self, bucket: &str, status: BucketVersioningStatus) {
        let status = VersioningConfiguration::builder().status(status).build();
        let request = self.s3.put_bucket_versioning().bucket(bucket);
        request.versioning_configuration(status).send().await.unwrap();
    }

    /// From now on `bucket` tells `queue` of its changes.
    pub(crate) async fn tell(&self, bucket: &str, queue: &Queue) {
        let events = FAMILIES.map(Event::from).to_vec();
        let rule = QueueConfiguration::builder().queue_arn(&queue.arn).set_events(Some(events));
        let rules = NotificationConfiguration::builder().queue_configurations(rule.build().unwrap()).build();
        let request = self.s3.put_bucket_notification_configuration().bucket(bucket);
        request.notification_configuration(rules).send().await.unwrap();
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, body: &str) {
        let body = ByteStream::from(body.as_bytes().to_vec());
        self.s3.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    pub(crate) async fn delete(&self, bucket: &str, key: &str) {
        self.s3.delete_object().bucket(bucket).key(key).send().await.unwrap();
    }

    /// Sends a message of our own to the queue.
    pub(crate) async fn send(&self, body: &str) {
        let request = self.sqs.send_message().queue_url(&self.queue.url);
        request.message_body(body).send().await.unwrap();
    }

    /// Drops the messages that wait: events lost.
    pub(crate) async fn purge(&self) {
        self.sqs.purge_queue().queue_url(&self.queue.url).send().await.unwrap();
    }

    /// How many messages wait in a queue, and how many are in somebody's hands.
    pub(crate) async fn depth(&self, queue: &Queue) -> (u32, u32) {
        let (waiting, in_hand) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let request = self.sqs.get_queue_attributes().queue_url(&queue.url);
        let told = request.attribute_names(waiting.clone()).attribute_names(in_hand.clone()).send().await;
        let told = told.unwrap().attributes.unwrap();
        (told[&waiting].parse().unwrap(), told[&in_hand].parse().unwrap())
    }

    /// Random operations below `place`, by another program: the same seed does the same things.
    pub(crate) async fn workload(&self, place: &str, seed: u32, operations: u32, switch: bool) {
        let (seed, operations) = (seed.to_string(), operations.to_string());
        let mut words = vec!["--seed", &seed, "--operations", &operations, place];
        words.extend(switch.then_some("--switch"));
        let (is_done, text) = self.python("workload.py", &words).await;
        assert!(is_done, "the workload on {place} ended:\n{text}");
    }

    /// Has four buckets tell the queue in four ways: see `fan_out.py`.
    pub(crate) async fn fan_out(&self, buckets: &[String; 4]) {
        let words: Vec<&str> = [&self.queue.arn].into_iter().chain(buckets).map(String::as_str).collect();
        let (is_done, text) = self.python("fan_out.py", &words).await;
        assert!(is_done, "{text}");
    }

    /// Waits until all events are worked off and all doubts settled.
    pub(crate) async fn until_settled(&self) {
        eventually("an empty queue and no doubts", async || {
            let doubts: i64 = self.count("select count(*) from catalog.rechecks").await;
            (self.depth(&self.queue).await == (0, 0) && doubts == 0).then_some(())
        })
        .await;
    }

    /// The catalog equals what another S3 client lists, once everything that was told is worked off.
    pub(crate) async fn must_be_equal(&self, places: &[&str]) {
        self.until_settled().await;
        self.compare(places, TOLERANCE).await;
    }

    /// The same to the last detail, dates and storage classes included: as a run leaves it.
    pub(crate) async fn must_be_exact(&self, places: &[&str]) {
        self.until_settled().await;
        self.compare(places, Duration::ZERO).await;
    }

    async fn compare(&self, places: &[&str], tolerance: Duration) {
        // S3 tells of a change a moment after it.
        let (tolerance, wait) = (tolerance.as_secs().to_string(), PATIENCE.as_secs().to_string());
        let mut words = vec!["--wait", &wait, "--tolerance", &tolerance];
        words.extend(places);
        let (is_equal, text) = self.python("compare.py", &words).await;
        if !is_equal {
            let ledger =
                "select concat_ws(' ', found_at, run_id, key, version_id, kind, detail) from catalog.drift
                          order by drift_id desc limit 20";
            let ledger: Vec<String> = sqlx::query_scalar(ledger).fetch_all(&self.pool).await.unwrap();
            panic!("the catalog is not what the bucket is:\n{text}\nthe ledger ends: {ledger:#?}");
        }
    }

    /// Runs a program of the test bed with this stage's account and database.
    async fn python(&self, program: &str, words: &[&str]) -> (bool, String) {
        let mut command = self.python_with(program, words);
        let done =
            command.envs(self.environment()).env("DATABASE_URL", &self.database).output().await.unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// A program of the test bed, with nothing of this stage's yet.
    pub(crate) fn python_with(&self, program: &str, words: &[&str]) -> Command {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/testbed");
        let mut command = Command::new(&self.python);
        command.args(["-B"]).arg(folder.join(program)).args(words).kill_on_drop(true);
        command
    }

    /// A file of a profile with these keys.
    pub(crate) fn credentials(&self, key: &str, secret: &str) -> String {
        let file = self.folder.join(format!("credentials-{key}"));
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    /// What leads an AWS client to this stage.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        let mut environment = vec![
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", &self.account),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        environment.extend(self.more.iter().map(|(name, value)| (*name, value.as_str())));
        environment
    }

    /// Asks the catalog for a number.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// A configuration for this stage and nothing more; sections of buckets are still to come.
    pub(crate) fn config(&self) -> Config {
        Config {
            database: self.database.clone(),
            endpoint: self.endpoint.clone(),
            queues: vec![self.queue.url.clone()],
            seconds_invisible: self.seconds_invisible,
            doctor: "never",
            more: String::new(),
        }
    }

    /// The same with a section for each place, `bucket` or `bucket/prefix/`.
    pub(crate) fn config_of(&self, places: &[&str]) -> Config {
        places.iter().fold(self.config(), |config, place| config.place(place))
    }

    /// The same, for a daemon with a role of its own, which owns nothing and may what a daemon has to. And that role.
    pub(crate) async fn granted(&self, config: Config) -> (Config, String) {
        let role = format!("stocktake_{}", self.account);
        let create = format!("create role {role} login");
        for statement in [create, format!("select catalog.grant_daemon('{role}')")] {
            self.pool.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let mut url = Url::parse(&self.database).unwrap();
        url.set_username(&role).unwrap();
        (Config { database: url.into(), ..config }, role)
    }
}

impl Drop for Stage {
    /// Takes the database and the files away. In a thread, because a test's runtime cannot wait here.
    fn drop(&mut self) {
        let name = self.database.rsplit('/').next().unwrap_or_default().to_owned();
        let server = needed("DATABASE_URL");
        let _ = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                let statement = AssertSqlSafe(format!("drop database {name} with (force)"));
                sqlx::query(statement).execute(&mut admin).await.unwrap();
            });
        })
        .join();
        // What a test leaves that failed is worth a look.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

async fn make_queue(sqs: &aws_sdk_sqs::Client, name: &str) -> Queue {
    let url = sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let told = request.send().await.unwrap().attributes.unwrap();
    Queue { url, arn: told[&QueueAttributeName::QueueArn].clone() }
}

/// A configuration file in the making.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) database: String,
    pub(crate) endpoint: String,
    pub(crate) queues: Vec<String>,
    pub(crate) seconds_invisible: u32,
    /// How often a daemon looks at its set-up. The queues of most tests have no policy.
    pub(crate) doctor: &'static str,
    /// Further sections.
    pub(crate) more: String,
}

impl Config {
    /// Adds a `[[bucket]]` for `bucket` or `bucket/prefix/`.
    pub(crate) fn place(self, place: &str) -> Self {
        self.place_with(place, "")
    }

    /// The same with further keys.
    pub(crate) fn place_with(mut self, place: &str, keys: &str) -> Self {
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let _ = write!(self.more, "\n[[bucket]]\nname = {name:?}\nprefix = {prefix:?}\n{keys}\n");
        self
    }

    /// Adds whole sections.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        self.more = format!("{sections}\n{}", self.more);
        self
    }

    /// The text of the file. One clock tells all times here, so the margin for those of S3 that
    /// disagree can be small, and doubts need not wait for it.
    pub(crate) fn text(&self, admin: std::net::SocketAddr) -> String {
        let Self { database, endpoint, queues, seconds_invisible, doctor, more } = self;
        let mut text = format!(
            "[database]\nurl = {database:?}\nconnect_timeout = \"2s\"\n\n[aws]\nregion = {REGION:?}\nendpoint_url = {endpoint:?}\n\n\
             [admin]\nlisten = \"{admin}\"\n\n[merge]\nmargin = \"1s\"\n\n[recheck]\ndelay = \"200ms\"\n\n[doctor]\nevery = {doctor:?}\n"
        );
        for url in queues {
            let _ =
                write!(text, "\n[[queue]]\nurl = {url:?}\nvisibility_timeout = \"{seconds_invisible}s\"\n");
        }
        text + "\n" + more
    }
}
