//! The status page, as a browser asks for it: the router on a real Postgres.

use std::collections::HashMap;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use stocktake::catalog::Catalog;
use stocktake::health::Health;
use stocktake::page::Page;
use stocktake::pulse::Pulses;
use stocktake::{admin, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::NOW;

mod access;
mod front;
mod history;
mod hostile;
mod pages;

/// A page at work. It ends with the test.
struct Site {
    address: std::net::SocketAddr,
    health: Health,
    _stop: DropGuard,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The value of a header; empty where there is none.
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(is, value)| (is == name).then_some(value)).unwrap_or_default()
    }
}

impl Site {
    /// The page of what is in `pool`, as a daemon that follows the bucket genomics shows it.
    async fn of(pool: &PgPool) -> Self {
        Self::with(&pool.connect_options(), &[]).await
    }

    /// The same, with further variables, as of `options`.
    async fn with(options: &PgConnectOptions, variables: &[(&str, &str)]) -> Self {
        let known = [
            ("STOCKTAKE_DATABASE__URL", "postgres://stocktake:s3cret-password@localhost/stocktake"),
            ("STOCKTAKE_QUEUE__0__URL", "http://127.0.0.1:4566/000000000000/events"),
            ("STOCKTAKE_BUCKET__0__NAME", "genomics"),
        ];
        let variables = known.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into()));
        let config = config::load(None, variables.collect::<HashMap<String, String>>()).unwrap();
        let (health, stop) = (Health::default(), CancellationToken::new());
        let catalog = Catalog::to_read(options.clone());
        let page = Page::new(catalog, Arc::new(config), health.clone(), Pulses::default(), || NOW).router();
        let listener = admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let guard = stop.clone().drop_guard();
        tokio::spawn(admin::serve(listener, health.clone(), Pulses::default(), metrics, page, stop));
        Self { address, health, _stop: guard }
    }

    /// The page at that path, which has to be there.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path, &[("accept", "text/html")]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "").await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
                body.len()
            );
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Answer { status, head: head.to_owned(), body: unchunked(head, body) }
    }
}

/// Addresses of a page that begin like that, as a browser would follow them.
fn links(page: &str, begin: &str) -> Vec<String> {
    let all = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    all.filter(|link| link.starts_with(begin)).map(|link| link.replace("&amp;", "&")).collect()
}

/// A body without the sizes of its pieces.
fn unchunked(head: &str, body: &str) -> String {
    assert!(!head.contains("transfer-encoding"), "pages are sent whole: {head}");
    body.to_owned()
}
