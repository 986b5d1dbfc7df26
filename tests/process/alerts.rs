//! The alert rules in a Prometheus that reads a daemon which is in trouble.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::trouble::database_behind_relay;
use crate::support::{
    Config, Daemon, Front, RECEIVE, Rule, Stage, eventually, free_address, sqs_error, tool,
};

/// How long the copy of a rule waits: as many rounds of evaluation, of a second.
const FOR: &str = "for: 3s";

/// A Prometheus with the rules, each of which waits no longer than it takes to see it wait. It ends with the test.
struct Prometheus {
    address: String,
    _child: Child,
}

impl Prometheus {
    fn of(daemon: &Daemon, folder: &Path) -> Self {
        let rules = include_str!("../../deploy/prometheus/rules.yml");
        let quick = rules.lines().map(|line| match line.split_once("for: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}{FOR}\n"),
            _ => format!("{line}\n"),
        });
        std::fs::write(folder.join("rules.yml"), quick.collect::<String>()).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: any, static_configs: [{{targets: ['{}']}}]}}]\n",
            daemon.address()
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let address = free_address().to_string();
        let mut command = Command::new(tool("prometheus"));
        command.arg(format!("--web.listen-address={address}")).arg("--storage.tsdb.path=prometheus-data");
        command.arg("--config.file=prometheus.yml").current_dir(folder).kill_on_drop(true);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { address, _child: child }
    }

    /// What it answers.
    async fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// Its alerts that wait or are raised, as `name state subject`.
    async fn alerts(&self) -> Option<Vec<String>> {
        let answer = self.get("/api/v1/alerts").await?;
        let alert = |alert: &Value| {
            let (labels, word) =
                (&alert["labels"], |word: &Value| word.as_str().unwrap_or_default().to_owned());
            let subject = if labels["subject"].is_null() { &labels["bucket"] } else { &labels["subject"] };
            [word(&labels["alertname"]), word(&alert["state"]), word(subject)].join(" ").trim().to_owned()
        };
        Some(answer["data"]["alerts"].as_array()?.iter().map(alert).collect())
    }

    /// Waits for an alert, which waits first and is raised then.
    async fn must_raise(&self, name: &str, subject: &str) {
        for state in ["pending", "firing"] {
            let alert = format!("{name} {state} {subject}");
            eventually(&alert, async || {
                self.alerts().await?.contains(&alert.trim().to_owned()).then_some(())
            })
            .await;
        }
    }

    async fn must_be_silent(&self) {
        eventually("no alert", async || self.alerts().await?.is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn who_is_in_trouble_raises_the_alert_for_it() {
    let stage = Stage::new().await;
    let bucket = stage.name("watched");
    stage.bucket(&bucket, None).await;
    let front = Front::of(&stage.endpoint).await;
    let (relay, database) = database_behind_relay(&stage).await;
    relay.close();
    let config = Config { endpoint: front.url.clone(), database, ..stage.config_of(&[&bucket]) };
    let daemon = stage.serve(&config).await;
    let prometheus = Prometheus::of(&daemon, &stage.folder);
    eventually("a daemon that is scraped", async || {
        let up = prometheus.get("/api/v1/query?query=stocktake_build_info").await?;
        (!up["data"]["result"].as_array()?.is_empty()).then_some(())
    })
    .await;
    prometheus.must_be_silent().await;

    front.play([Rule::of(RECEIVE, sqs_error(403, "AccessDenied"))]);
    prometheus.must_raise("StocktakeDegraded", &format!("queue {}", stage.queue.url)).await;
    front.play([]);
    prometheus.must_be_silent().await;

    relay.open();
    prometheus.must_raise("StocktakeDatabaseAway", "").await;
    relay.close();
    prometheus.must_be_silent().await;

    stage.send("this is not JSON").await;
    prometheus.must_raise("StocktakeQuarantine", "").await;

    daemon.kill().await;
    prometheus.must_raise("StocktakeDown", "").await;
}
