//! Traces, as a collector receives them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus::Enabled;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::support::{Stage, eventually};

/// A message of gRPC's that says nothing: not compressed, of no length
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
const NOTHING: [u8; 5] = [0; 5];

/// What a collector was sent. Texts stand in it as they are.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn has(&self, text: &str) -> bool {
        self.0.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }

    async fn take(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
        assert_eq!(request.uri().path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        let body = request.into_body().collect().await?.to_bytes();
        self.0.lock().unwrap().extend_from_slice(&body);
        let trailers = HeaderMap::from_iter([(
            hyper::header::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let frames = [Frame::data(Bytes::from_static(&NOTHING)), Frame::trailers(trailers)];
        let mut response = Response::new(StreamBody::new(stream::iter(frames.map(Ok))).boxed());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        Ok(response)
    }
}

/// A collector that listens there.
fn collector(listener: TcpListener) -> Collected {
    let collected = Collected::default();
    let taken = collected.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let taken = taken.clone();
            let take = service_fn(move |request| taken.clone().take(request));
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), take),
            );
        }
    });
    collected
}

/// Where nobody answers yet, and its address.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[tokio::test]
async fn a_collector_is_told_what_was_done_and_how_long_it_took() {
    let (listener, endpoint) = silent().await;
    let collected = collector(listener);
    let stage = Stage::new().await;
    let bucket = stage.name("traced");
    stage.bucket(&bucket, Some(Enabled)).await;
    let config = stage.config_of(&[&bucket]).with(&format!("[trace]\nendpoint = {endpoint:?}"));
    let daemon = stage.serve(&config).await;
    stage.must_be_exact(&[&bucket]).await;
    stage.put(&bucket, "a key that nobody else need know", "body").await;
    // Only a run or a recheck leaves S3's own date; an event has its own moment.
    stage.must_be_equal(&[&bucket]).await;
    daemon.stop().await;
    for text in ["stocktake", "run", "range", "save", "ListObjectVersions", "batch", &bucket] {
        assert!(collected.has(text), "the collector was not told of {text:?}");
    }
    assert!(!collected.has("nobody else need know"), "what was done is told, not with which keys");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let stage = Stage::new().await;
    let bucket = stage.name("untraced");
    stage.bucket(&bucket, Some(Enabled)).await;
    // Nobody listens there.
    let config = stage.config_of(&[&bucket]).with("[trace]\nendpoint = \"http://127.0.0.1:9\"");
    let daemon = stage.serve(&config).await;
    stage.put(&bucket, "key", "body").await;
    stage.must_be_equal(&[&bucket]).await;
    let ended = daemon.stop().await;
    assert!(ended.after < Duration::from_secs(5), "{ended:?}");
}

#[tokio::test]
async fn a_collector_that_never_answers_is_told_of_once_and_when_it_does() {
    let stage = Stage::new().await;
    let bucket = stage.name("lost");
    stage.bucket(&bucket, Some(Enabled)).await;
    let (silent, endpoint) = silent().await;
    let config = stage.config_of(&[&bucket]).with(&format!("[trace]\nendpoint = {endpoint:?}"));
    let mut daemon = stage.start_with(&config, &[("OTEL_TRACES_SAMPLER", "xray")], &["serve"]);
    daemon.until_ready().await;
    assert!(daemon.log().contains("OTEL_TRACES_SAMPLER is \"xray\", which is not known here"));
    let lost = format!("traces are lost: the collector at {endpoint} does not take them");
    // Its first run makes the first spans.
    eventually("a word that traces are lost", async || daemon.log().contains(&lost).then_some(())).await;
    // A second batch is lost, too.
    stage.put(&bucket, "key", "body").await;
    stage.must_be_equal(&[&bucket]).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(daemon.log().matches("traces are lost").count(), 1, "{}", daemon.log());
    let address = silent.local_addr().unwrap();
    drop(silent);
    let _collected = collector(TcpListener::bind(address).await.unwrap());
    let again = format!("the collector at {endpoint} takes traces again");
    eventually("a word that they are not", async || {
        stage.put(&bucket, "key", "body").await;
        daemon.log().contains(&again).then_some(())
    })
    .await;
    daemon.stop().await;
}
