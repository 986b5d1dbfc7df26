//! The status page: what is kept true and how fresh it is, what is wrong, and why the catalog says what it says.
//!
//! Pages are made here and complete without scripts; one of a few lines gets them anew every few seconds. Nothing
//! can be changed here: all is asked of Postgres on connections of its own, which cannot write, are few, and give up
//! a statement that takes long. So nobody who looks slows down the daemon. Keys may hold anything: every text is
//! escaped by the templates, and what is not seen in it is spelled out.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::health::Health;
use crate::pulse::Pulses;
use gate::Gate;
use limits::Limits;
use strangers::Strangers;

mod asked;
mod assets;
mod browse;
mod bucket;
mod cards;
mod drift;
mod evidence;
mod failure;
mod front;
mod gate;
mod growth;
mod key;
mod layout;
mod limits;
mod login;
mod progress;
mod quarantine;
mod show;
mod spark;
mod strangers;
mod tail;
mod verdict;

/// The most bytes of a form: a token and where to go on.
const FORM_MAX: usize = 16 << 10;
/// Only what we serve ourselves, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What pages are made from.
#[derive(Debug)]
pub struct Page {
    catalog: Catalog,
    config: Arc<Config>,
    health: Health,
    pulses: Pulses,
    clock: Clock,
    gate: Gate,
    limits: Limits,
    strangers: Strangers,
}

impl Page {
    /// A page about `catalog`, which it only reads: best one [to read](Catalog::to_read).
    pub fn new(catalog: Catalog, config: Arc<Config>, health: Health, pulses: Pulses, clock: Clock) -> Self {
        let gate = Gate::new(config.admin.token.as_ref());
        let (limits, strangers) = (Limits::default(), Strangers::default());
        Self { catalog, config, health, pulses, clock, gate, limits, strangers }
    }

    /// All paths of the page.
    pub fn router(self) -> Router {
        let page = Arc::new(self);
        let shown = Router::new()
            .route("/", get(front::show))
            .route("/bucket", get(bucket::show))
            .route("/browse", get(browse::show))
            .route("/key", get(key::show))
            .route("/changes", get(tail::show))
            .route("/drift", get(drift::show))
            .route("/quarantine", get(quarantine::show))
            .route_layer(from_fn_with_state(Arc::clone(&page), gate::admit));
        let open = Router::new()
            .route("/login", get(login::ask).post(login::check))
            .route("/logout", post(login::leave))
            .route(assets::STYLE, get(async || assets::style()))
            .route(assets::SCRIPT, get(async || assets::script()))
            .route(assets::ICON, get(assets::icon))
            .fallback(failure::nowhere);
        shown.merge(open).layer(DefaultBodyLimit::max(FORM_MAX)).layer(map_response(secured)).with_state(page)
    }
}

/// What is there instead where others than this machine could see the page, and need no token for it.
pub fn refused() -> Router {
    let body = "the status page is not shown here: set admin.token, or have admin.listen be 127.0.0.1\n";
    Router::new().route("/", get(async move || (StatusCode::FORBIDDEN, body))).layer(map_response(secured))
}

/// Adds what tells a browser to trust nothing in an answer but what it says it is.
pub(crate) async fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    // Addresses of pages have keys in them. Of our own forms a browser has to say that they are.
    set(REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(CACHE_CONTROL, "no-store");
    set(CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// Too much was asked for.
fn busy() -> Response {
    let body = "too many requests, or too many that read much: wait a few seconds\n";
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "5")], body).into_response()
}

/// An address of ours with parameters, whatever is in them.
fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    for (place, (name, value)) in parameters.iter().enumerate() {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        link.push_str(&format!("{}{name}={value}", if place == 0 { '?' } else { '&' }));
    }
    link
}
