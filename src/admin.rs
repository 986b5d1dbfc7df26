//! The admin endpoint: probes and metrics, which have nothing secret to show, and the status page. It only reads.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::doorway::{Doorway, Peer};
use crate::health::{Health, Problem, Snapshot, line};
use crate::metrics;
use crate::page::secured;
use crate::pulse::{Pulses, Sign};

/// How long requests under way may take once the daemon stops: a client that says nothing must
/// not hold it up.
const DRAIN: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The text format of Prometheus has a version of its own.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Admin {
    health: Health,
    pulses: Pulses,
    metrics: PrometheusHandle,
}

/// Takes the address, before anything else is started: whether it is free is the operator's to know.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| {
        format!("listen on {listen}: set admin.listen to a free address of this machine, or to \"\" for none")
    })
}

/// Answers until told to stop. Probes and metrics are for programs, which need no token; the paths of `page` see to
/// their own.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    pulses: Pulses,
    metrics: PrometheusHandle,
    page: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Admin { health, pulses, metrics })
        .layer(map_response(secured))
        .merge(page);
    let service = router.into_make_service_with_connect_info::<Peer>();
    let server =
        axum::serve(Doorway::new(listener), service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server.into_future() => served.context("serve the admin endpoint"),
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

/// Whether the loops turn. Only a restart helps one that is stuck; what a restart does not help is for
/// [`readyz`] to tell.
async fn livez(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let stuck = admin.pulses.stuck();
    let status = if stuck.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if wants_json(&headers) {
        let loops = admin.pulses.all().into_iter().map(|Sign { name, silent, is_stuck }| Turning {
            name,
            is_stuck,
            silent_seconds: silent.as_secs_f64(),
        });
        return json(status, &Liveness { live: stuck.is_empty(), loops: loops.collect() });
    }
    let lines = stuck.iter().map(|Sign { name, silent, .. }| format!("stuck for {silent:.0?}: {name}\n"));
    let body: String = lines.collect();
    answer(status, TEXT, if body.is_empty() { "ok\n".to_owned() } else { body })
}

async fn render(State(admin): State<Admin>) -> Response {
    for (subject, problem) in admin.health.snapshot().subjects() {
        metrics::problems(&subject.to_string()).set(if problem.is_some() { 1.0 } else { 0.0 });
    }
    answer(StatusCode::OK, METRICS, admin.metrics.render())
}

async fn readyz(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let snapshot = admin.health.snapshot();
    let reasons = snapshot.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if wants_json(&headers) {
        return json(status, &Readiness::new(&snapshot, reasons));
    }
    answer(status, TEXT, describe(&snapshot, &reasons))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.any(|value| value.contains(JSON))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => answer(status, JSON, body),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("write the answer: {error}\n")),
    }
}

/// A line for each reason not to be ready, or a word that there is none; then what is degraded.
fn describe(snapshot: &Snapshot, reasons: &[String]) -> String {
    let mut body = if reasons.is_empty() { "ready\n".to_owned() } else { String::new() };
    for reason in reasons {
        let _ = writeln!(body, "{reason}");
    }
    for (subject, problem) in snapshot.problems() {
        let line = line(subject, problem);
        if !reasons.contains(&line) {
            let _ = writeln!(body, "degraded: {line}");
        }
    }
    body
}

/// What `/livez` says as JSON.
#[derive(Serialize)]
struct Liveness {
    live: bool,
    loops: Vec<Turning>,
}

#[derive(Serialize)]
struct Turning {
    #[serde(rename = "loop")]
    name: String,
    #[serde(rename = "stuck")]
    is_stuck: bool,
    /// Since its last beat; 0 while it waits for work.
    silent_seconds: f64,
}

/// What `/readyz` says as JSON.
#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    reasons: Vec<String>,
    subjects: Vec<Condition<'a>>,
}

#[derive(Serialize)]
struct Condition<'a> {
    subject: String,
    ok: bool,
    problem: Option<&'a Problem>,
}

impl<'a> Readiness<'a> {
    fn new(snapshot: &'a Snapshot, reasons: Vec<String>) -> Self {
        let subjects = snapshot.subjects().map(|(subject, problem)| Condition {
            subject: subject.to_string(),
            ok: problem.is_none(),
            problem,
        });
        Self { ready: reasons.is_empty(), reasons, subjects: subjects.collect() }
    }
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use serde_json::{Value, json};
    use time::macros::datetime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::health::Subject;

    struct Running {
        address: SocketAddr,
        health: Health,
        pulses: Pulses,
        stop: CancellationToken,
        server: JoinHandle<anyhow::Result<()>>,
    }

    async fn running() -> Running {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, pulses, stop) = (Health::default(), Pulses::default(), CancellationToken::new());
        let recorder = PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            ::metrics::counter!("stocktake_tests_total").increment(1)
        });
        let served =
            serve(listener, health.clone(), pulses.clone(), recorder.handle(), Router::new(), stop.clone());
        Running { address, health, pulses, stop, server: tokio::spawn(served) }
    }

    impl Running {
        /// The status line, the headers and the body of one request.
        async fn get(&self, path: &str, headers: &str) -> (String, String, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: stocktake\r\nconnection: close\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let (status, headers) = head.split_once("\r\n").unwrap();
            (status.to_owned(), headers.to_owned(), body.to_owned())
        }
    }

    #[tokio::test]
    async fn probes_and_metrics_are_answered() {
        let running = running().await;
        let (status, _, body) = running.get("/livez", "").await;
        assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ok\n"));

        let (status, _, body) = running.get("/readyz", "").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(body, "database: not reached yet\n");

        running.health.ok(Subject::Database);
        let bucket = Subject::Bucket { name: "genomics".into(), prefix: "a/".into() };
        running.health.problem(bucket, "AccessDenied", "grant it", datetime!(2026-05-04 12:00 UTC));
        let (status, _, body) = running.get("/readyz", "").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(body, "ready\ndegraded: bucket genomics/a/: AccessDenied; grant it\n");

        let (_, headers, body) = running.get("/metrics", "").await;
        assert!(headers.contains("content-type: text/plain; version=0.0.4"), "{headers}");
        assert!(body.contains("stocktake_tests_total 1"), "{body}");

        assert_eq!(running.get("/", "").await.0, "HTTP/1.1 404 Not Found");
    }

    #[tokio::test]
    async fn browsers_are_told_to_trust_nothing_of_it() {
        let running = running().await;
        for path in ["/livez", "/readyz", "/metrics"] {
            let (_, headers, _) = running.get(path, "").await;
            for line in ["x-content-type-options: nosniff", "content-security-policy: default-src 'none'"] {
                assert!(headers.contains(line), "{path}: {headers}");
            }
        }
    }

    #[tokio::test]
    async fn a_loop_that_is_stuck_fails_the_probe_and_is_named() {
        let running = running().await;
        let _turning = running.pulses.begin("rechecks", Duration::from_secs(60));
        let stuck = running.pulses.begin("receiver", Duration::ZERO);
        let (status, _, body) = running.get("/livez", "").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert!(body.starts_with("stuck for ") && body.ends_with(": receiver\n"), "{body}");
        let (status, _, body) = running.get("/livez", "accept: application/json\r\n").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["live"], &body["loops"][0]["stuck"]), (&json!(false), &json!(false)));
        assert_eq!(
            (&body["loops"][1]["loop"], &body["loops"][1]["stuck"]),
            (&json!("receiver"), &json!(true))
        );
        drop(stuck);
        assert_eq!(running.get("/livez", "").await.0, "HTTP/1.1 200 OK");
    }

    #[tokio::test]
    async fn programs_get_json() {
        let running = running().await;
        let noon = datetime!(2026-05-04 12:00 UTC);
        running.health.problem(Subject::Database, "refused", "start it", noon);
        let (status, headers, body) = running.get("/readyz", "accept: application/json\r\n").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert!(headers.contains("content-type: application/json"), "{headers}");
        let problem = json!({ "message": "refused", "remedy": "start it", "since": "2026-05-04T12:00:00Z" });
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({
                "ready": false,
                "reasons": ["database: refused; start it"],
                "subjects": [{ "subject": "database", "ok": false, "problem": problem }],
            })
        );
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let running = running().await;
        let error = bind(running.address).await.unwrap_err();
        let expected = format!(
            "listen on {}: set admin.listen to a free address of this machine, or to \"\" for none: \
             Address already in use (os error 98)",
            running.address
        );
        assert_eq!(format!("{error:#}"), expected);
    }

    #[tokio::test]
    async fn a_silent_client_does_not_hold_up_the_end() {
        let running = running().await;
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        silent.write_all(b"GET /livez HTTP/1.1\r\nhost:").await.unwrap();
        running.get("/livez", "").await;
        running.stop.cancel();
        tokio::time::timeout(2 * DRAIN, running.server).await.unwrap().unwrap().unwrap();
    }
}
