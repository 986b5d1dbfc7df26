//! A server on loopback that answers one request after another from a script. When the script
//! ends, it is gone: one request too many is a refused connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{ATTEMPTS_MAX, Access, sdk_config};

/// How long the SDK waits before it tries again: as good as not at all.
const BACKOFF: Duration = Duration::from_millis(1);

/// An answer as it goes over the wire, with the `Date` of now: about another one the SDK
/// would think that our clock is wrong, and sign and try again.
pub(crate) fn answer(status: u16, body: &str) -> String {
    let date = httpdate::fmt_http_date(crate::clock::now().into());
    answer_with(status, &format!("Date: {date}\r\n"), body)
}

/// An answer with exactly these headers, each with its line end, beside those of HTTP.
pub(crate) fn answer_with(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

/// Instead of an answer: the connection is closed.
pub(crate) const CLOSED: &str = "\r\n\r\n";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Path and query.
    pub(crate) target: String,
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = String>) -> Self {
        Self::start_slow(Duration::ZERO, answers).await
    }

    /// A server that rests for `pause` between the head and the body of each answer.
    pub(crate) async fn start_slow(pause: Duration, answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answers) = (Arc::clone(&asked), answers.into_iter().collect::<Vec<_>>());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                log.lock().unwrap().push(request);
                if answer == CLOSED {
                    continue;
                }
                let (head, body) = answer.split_at(answer.find("\r\n\r\n").unwrap() + 4);
                stream.write_all(head.as_bytes()).await.unwrap();
                tokio::time::sleep(pause).await;
                stream.write_all(body.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A configuration that asks this server, as production would but for credentials and patience.
    pub(crate) async fn config(&self) -> SdkConfig {
        let region = Some("eu-west-1".to_owned());
        let access = Access { region, endpoint_url: Some(self.url.clone()), ..Access::default() };
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX).with_initial_backoff(BACKOFF);
        let config = sdk_config(&access).await.into_builder();
        config.credentials_provider(credentials()).retry_config(retries).build()
    }
}

pub(crate) fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::for_tests())
}

async fn read_request(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            let target = head.split(' ').nth(1).unwrap().to_owned();
            return Asked { target, head: head.to_owned(), body: body.to_owned() };
        }
        assert!(read > 0, "the request broke off: {text}");
    }
}

fn content_length(head: &str) -> usize {
    let head = head.to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    value.map_or(0, |value| value.parse().unwrap())
}
