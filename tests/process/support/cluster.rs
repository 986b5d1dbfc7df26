//! A Postgres of a test's own, which can be stopped and killed.

use std::path::Path;
use std::process::Stdio;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use super::Stage;

/// What `tests/testbed/cluster.py` runs. It ends with the test.
pub(crate) struct Cluster {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    /// Starts one, and leads `stage` to a new database in it.
    pub(crate) async fn of(stage: &mut Stage) -> Self {
        Self::with(stage, &[]).await
    }

    /// The same with further settings, `name=value`.
    pub(crate) async fn with(stage: &mut Stage, settings: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/cluster.py");
        let mut command = Command::new(&stage.python);
        command.arg("-B").arg(program).args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut cluster = Self { _child: child, orders, answers };
        let server = cluster.answer().await;
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let name = stage.database.rsplit('/').next().unwrap_or_default();
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.unwrap();
        let mut database = Url::parse(&server).unwrap();
        database.set_path(name);
        stage.pool = PgPool::connect(database.as_str()).await.unwrap();
        stage.database = database.into();
        cluster
    }

    /// Stops it, as an administrator does.
    pub(crate) async fn stop(&mut self) {
        self.order("stop").await;
    }

    /// Kills all of its processes at once.
    pub(crate) async fn kill(&mut self) {
        self.order("kill").await;
    }

    /// Starts it again, at the same address.
    pub(crate) async fn start(&mut self) {
        self.order("start").await;
    }

    /// Starts it anew, with a standby that follows it. The host and port of that.
    pub(crate) async fn standby(&mut self) -> String {
        let url = Url::parse(&self.order("standby").await).unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
    }

    async fn order(&mut self, order: &str) -> String {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> String {
        self.answers.next_line().await.unwrap().expect("a Postgres of the test's own")
    }
}
