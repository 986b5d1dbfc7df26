//! A stand-in for S3 with a bucket of any size, for benches and tests of load. It answers what runs
//! ask: `ListObjectVersions` as S3 does it, `GetBucketVersioning`, `HeadBucket`. The bucket is worked
//! out of a seed whenever somebody looks, so it takes no memory, and everybody who knows the seed
//! knows what is in it.

pub(crate) mod page;
pub(crate) mod synthetic;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, Method, Response, StatusCode, Uri, header};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) use synthetic::Synthetic;

/// The region it says it is in.
pub(crate) const REGION: &str = "eu-central-1";

/// How the stand-in is to deal with requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// How long each page takes at least. What else is asked for is answered at once.
    pub(crate) latency: Duration,
    /// Which share of requests fails, half of them with 503 `SlowDown`, half with 500.
    pub(crate) errors: f64,
}

struct Store {
    bucket: Synthetic,
    weather: Weather,
}

/// Serves the bucket, whatever name it is asked for by, for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, bucket: Synthetic, weather: Weather) -> std::io::Result<()> {
    let store = Arc::new(Store { bucket, weather });
    axum::serve(listener, Router::new().fallback(answer).with_state(store)).await
}

async fn answer(State(store): State<Arc<Store>>, method: Method, uri: Uri) -> Response<Body> {
    let began = Instant::now();
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let response = respond_to(&store, &method, &query);
    // A timer's shortest is a millisecond.
    if asks_for(&query, "versions") && !store.weather.latency.is_zero() {
        tokio::time::sleep_until(began + store.weather.latency).await;
    }
    response
}

fn asks_for(query: &[(String, String)], name: &str) -> bool {
    query.iter().any(|(asked, _)| asked == name)
}

fn respond_to(store: &Store, method: &Method, query: &[(String, String)]) -> Response<Body> {
    if fastrand::f64() < store.weather.errors {
        return if fastrand::bool() {
            error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")
        } else {
            error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        };
    }
    if *method == Method::HEAD {
        respond(StatusCode::OK, String::new())
    } else if asks_for(query, "versions") {
        match page::Request::read(query) {
            Ok(request) => respond(StatusCode::OK, page::write(&store.bucket, &request)),
            Err(code) => error(StatusCode::BAD_REQUEST, code),
        }
    } else if asks_for(query, "versioning") {
        let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        respond(StatusCode::OK, status.to_owned())
    } else {
        error(StatusCode::NOT_IMPLEMENTED, "NotImplemented")
    }
}

fn error(status: StatusCode, code: &str) -> Response<Body> {
    respond(status, format!("<Error><Code>{code}</Code><Message>of the stand-in</Message></Error>"))
}

/// The server adds the `Date`.
fn respond(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    headers.insert(HeaderName::from_static("x-amz-bucket-region"), header::HeaderValue::from_static(REGION));
    response
}
