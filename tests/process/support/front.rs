//! A front of the emulator's, through which a daemon reaches S3 and SQS, and which plays what it is told to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

pub(crate) const LIST: &str = "ListObjectVersions";
pub(crate) const RECEIVE: &str = "ReceiveMessage";
pub(crate) const DELETE: &str = "DeleteMessageBatch";
pub(crate) const NOTIFY: &str = "PutBucketNotificationConfiguration";

/// What S3 is asked about a bucket: the name in the query, and what AWS calls it.
const SUBRESOURCES: [(&str, &str); 9] = [
    ("versions", LIST),
    ("versioning", "GetBucketVersioning"),
    ("notification", "GetBucketNotificationConfiguration"),
    ("encryption", "GetBucketEncryption"),
    ("lifecycle", "GetBucketLifecycleConfiguration"),
    ("location", "GetBucketLocation"),
    ("object-lock", "GetObjectLockConfiguration"),
    ("replication", "GetBucketReplication"),
    ("requestPayment", "GetBucketRequestPayment"),
];

/// What is done to a request.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// It waits before it is passed on.
    Delay(Duration),
    /// A listing is passed on for so many entries.
    Entries(u32),
    /// It is answered here: a status and a body.
    Answer(u16, String),
    /// The same with further headers, each with its line end.
    AnswerWith(u16, &'static str, String),
    /// The connection is reset instead of an answer.
    Reset,
    /// It is passed on and done, and then the answer is lost: it is told that it failed.
    Lose,
    /// It is passed on, and its answer, which is JSON, changed.
    Change(fn(&mut Value)),
    /// A session in a role is asked for, and ends after this time already: so says the answer, and so it is here.
    Shorten(Duration),
    /// It is passed on, and in its answer a queue has another value of an attribute; none if that is empty.
    Attribute(&'static str, String),
}

/// What is done to which requests, and to how many of them.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    operation: &'static str,
    play: Play,
    chance: f64,
    first: u32,
    left: u32,
}

impl Rule {
    /// Does `play` to each request for `operation`, as AWS calls it.
    pub(crate) fn of(operation: &'static str, play: Play) -> Self {
        Self { operation, play, chance: 1.0, first: 0, left: u32::MAX }
    }

    /// Only with this chance.
    pub(crate) fn by_chance(self, chance: f64) -> Self {
        Self { chance, ..self }
    }

    /// Only when so many have come already.
    pub(crate) fn after(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// Only so often.
    pub(crate) fn times(self, left: u32) -> Self {
        Self { left, ..self }
    }
}

/// An error as S3 writes it.
pub(crate) fn s3_error(status: u16, code: &str) -> Play {
    s3_error_with(status, code, "as played")
}

/// The same in S3's own words.
pub(crate) fn s3_error_with(status: u16, code: &str, message: &str) -> Play {
    Play::Answer(status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

/// An error as STS and SNS write it.
pub(crate) fn query_error(status: u16, code: &str, message: &str) -> Play {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    Play::Answer(status, format!("<ErrorResponse>{error}<RequestId>R1</RequestId></ErrorResponse>"))
}

/// An error as SQS writes it.
pub(crate) fn sqs_error(status: u16, code: &str) -> Play {
    Play::Answer(status, format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"as played"}}"#))
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    /// The session tokens that keys may come with that are of no session of ours; any if there are none.
    valid: Vec<String>,
    /// Which tokens came, by operation.
    tokens: HashSet<(String, String)>,
    /// When sessions end, by the id of their key.
    ends: HashMap<String, Instant>,
    /// Who came with keys that are not valid any more, by operation.
    turned_away: Vec<String>,
    /// Each request that came, by its operation, and whether anything but waiting befell it.
    seen: Vec<(String, bool)>,
}

/// Passes on whatever no rule keeps it from.
pub(crate) struct Front {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl Front {
    /// A front of `endpoint` without any rule.
    pub(crate) async fn of(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = endpoint.trim_start_matches("http://").to_owned();
        let script = Arc::new(Mutex::new(Script::default()));
        let played = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, script) = (server.clone(), Arc::clone(&played));
                tokio::spawn(async move { serve(client, &server, &script).await });
            }
        });
        Self { url, script }
    }

    /// From now on plays `rules`, and no others.
    pub(crate) fn play(&self, rules: impl IntoIterator<Item = Rule>) {
        self.script().rules = rules.into_iter().collect();
    }

    /// From now on keys that are of no session have to come with one of these tokens.
    pub(crate) fn demand(&self, tokens: &[&str]) {
        self.script().valid = tokens.iter().map(|&token| token.to_owned()).collect();
    }

    /// Whether a request for `operation` came with this token.
    pub(crate) fn came_with(&self, operation: &str, token: &str) -> bool {
        self.script().tokens.contains(&(operation.to_owned(), token.to_owned()))
    }

    /// Which requests came with keys that were not valid any more.
    pub(crate) fn turned_away(&self) -> Vec<String> {
        self.script().turned_away.clone()
    }

    /// How many requests for `operation` came.
    pub(crate) fn came(&self, operation: &str) -> usize {
        self.script().seen.iter().filter(|(name, _)| name == operation).count()
    }

    /// How many requests for `operation` did not go as they should.
    pub(crate) fn failed(&self, operation: &str) -> usize {
        self.script().seen.iter().filter(|(name, is_failed)| name == operation && *is_failed).count()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

/// Serves one request.
async fn serve(mut client: TcpStream, server: &str, script: &Mutex<Script>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let mut head = String::from_utf8(head).ok()?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.ok()?;
    let operation = operation(&head, &body);
    if let Some(error) = turned_away(script, &head, &operation) {
        return answer(&mut client, 403, "", error.as_bytes()).await;
    }
    let (mut is_lost, mut shortened, mut changes, mut attributes) = (false, None, Vec::new(), Vec::new());
    for play in chosen(script, &operation) {
        match play {
            Play::Delay(pause) => tokio::time::sleep(pause).await,
            Play::Entries(count) => head = head.replacen("max-keys=1000", &format!("max-keys={count}"), 1),
            Play::Answer(status, body) => return answer(&mut client, status, "", body.as_bytes()).await,
            Play::AnswerWith(status, headers, body) => {
                return answer(&mut client, status, headers, body.as_bytes()).await;
            }
            Play::Reset => return client.set_zero_linger().ok(),
            Play::Lose => is_lost = true,
            Play::Change(change) => changes.push(change),
            Play::Shorten(lasts) => shortened = Some(lasts),
            Play::Attribute(name, value) => attributes.push((name, value)),
        }
    }
    let mut server = TcpStream::connect(server).await.ok()?;
    // The next request comes on a connection of its own, and is looked at like this one.
    let (line, headers) = head.split_once("\r\n")?;
    server.write_all(format!("{line}\r\nconnection: close\r\n{headers}").as_bytes()).await.ok()?;
    server.write_all(&body).await.ok()?;
    if !is_lost && shortened.is_none() && changes.is_empty() && attributes.is_empty() {
        return tokio::io::copy(&mut server, &mut client).await.ok().map(drop);
    }
    let mut told = Vec::new();
    server.read_to_end(&mut told).await.ok()?;
    if is_lost {
        return answer(&mut client, 500, "", b"").await;
    }
    let end = told.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let status = String::from_utf8_lossy(&told[..end]).split(' ').nth(1)?.parse().ok()?;
    if let Some(lasts) = shortened {
        let session = shorten(script, &String::from_utf8_lossy(&told[end..]), lasts)?;
        return answer(&mut client, status, "", session.as_bytes()).await;
    }
    let mut value: Value = serde_json::from_slice(&told[end..]).ok()?;
    changes.into_iter().for_each(|change| change(&mut value));
    for (name, text) in attributes {
        value["Attributes"][name] = text.into();
    }
    answer(&mut client, status, "", value.to_string().as_bytes()).await
}

/// The error for whoever comes with keys that are not valid any more.
fn turned_away(script: &Mutex<Script>, head: &str, operation: &str) -> Option<String> {
    let mut script = script.lock().unwrap();
    let key = header(head, "authorization")?.split_once("Credential=")?.1.split('/').next()?;
    let token = header(head, "x-amz-security-token").unwrap_or_default();
    script.tokens.insert((operation.to_owned(), token.to_owned()));
    let is_valid = match script.ends.get(key) {
        Some(end) => Instant::now() < *end,
        None => script.valid.is_empty() || script.valid.iter().any(|valid| valid == token),
    };
    if is_valid {
        return None;
    }
    script.turned_away.push(operation.to_owned());
    let (code, message) = ("ExpiredToken", "The security token included in the request is expired");
    Some(if header(head, "x-amz-target").is_some() {
        format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#)
    } else {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        if operation == "AssumeRole" { format!("<ErrorResponse>{error}</ErrorResponse>") } else { error }
    })
}

/// A session that ends soon, of one that does not.
fn shorten(script: &Mutex<Script>, session: &str, lasts: Duration) -> Option<String> {
    let (before, rest) = session.split_once("<Expiration>")?;
    let (_, after) = rest.split_once("</Expiration>")?;
    let end = (stocktake::clock::now() + lasts).format(&Rfc3339).ok()?;
    let key = session.split_once("<AccessKeyId>")?.1.split('<').next()?;
    script.lock().unwrap().ends.insert(key.to_owned(), Instant::now() + lasts);
    Some(format!("{before}<Expiration>{end}</Expiration>{after}"))
}

/// What befalls a request, up to the first that ends it.
fn chosen(script: &Mutex<Script>, operation: &str) -> Vec<Play> {
    let mut script = script.lock().unwrap();
    let mut plays = Vec::new();
    for rule in script.rules.iter_mut().filter(|rule| rule.operation == operation) {
        if rule.first > 0 {
            rule.first -= 1;
        } else if rule.left > 0 && fastrand::f64() < rule.chance {
            rule.left -= 1;
            plays.push(rule.play.clone());
            if matches!(rule.play, Play::Answer(..) | Play::AnswerWith(..) | Play::Reset) {
                break;
            }
        }
    }
    let is_failed = plays.iter().any(|play| !matches!(play, Play::Delay(_) | Play::Entries(_)));
    script.seen.push((operation.to_owned(), is_failed));
    plays
}

/// What AWS calls a request.
fn operation(head: &str, body: &[u8]) -> String {
    if let Some(target) = header(head, "x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let (method, query) = (head.split(' ').next().unwrap_or_default(), query(head));
    let asks_for = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let of = |pairs: &[(&str, &'static str)]| {
        pairs.iter().find(|(name, _)| asks_for(name)).map_or("", |(_, operation)| operation)
    };
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    let name = match method {
        "GET" => of(&SUBRESOURCES),
        "PUT" if asks_for("notification") => NOTIFY,
        "HEAD" if path.trim_matches('/').contains('/') => "HeadObject",
        "HEAD" => "HeadBucket",
        "POST" => {
            let form = String::from_utf8_lossy(body);
            let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
            return action.unwrap_or_default().to_owned();
        }
        _ => "",
    };
    name.to_owned()
}

fn query(head: &str) -> &str {
    let target = head.split(' ').nth(1).unwrap_or_default();
    target.split_once('?').map_or("", |(_, query)| query)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

async fn answer(client: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    let date = httpdate::fmt_http_date(stocktake::clock::now().into());
    // A date that is played is the only one.
    let date = if headers.starts_with("date:") { String::new() } else { format!("date: {date}\r\n") };
    let head = format!(
        "HTTP/1.1 {status} As Played\r\nconnection: close\r\n{date}x-amz-request-id: R1\r\n{headers}\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.ok()?;
    client.write_all(body).await.ok()
}
