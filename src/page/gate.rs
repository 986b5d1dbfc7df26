//! Who may see the page: whoever is on this machine or, once there is a token, whoever knows it.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use time::OffsetDateTime;

use super::Page;
use crate::config::Token;
use crate::doorway::Peer;

/// How long a login lasts, in seconds: a day's work.
pub(super) const SESSION_SECONDS: i64 = 12 * 3_600;
/// The cookie's name.
pub(super) const COOKIE_NAME: &str = "stocktake";

/// Knows who may see the page.
#[derive(Debug)]
pub(super) struct Gate(Option<Lock>);

/// What it takes to know the token again. The cookie of a login has when it ends, and a signature that only
/// who knows the token can make: so it is good for all daemons with that token, and after they start anew.
#[derive(Debug)]
struct Lock {
    digest: digest::Digest,
    signer: hmac::Key,
}

impl Gate {
    pub(super) fn new(token: Option<&Token>) -> Self {
        Self(token.map(|token| Lock {
            digest: digest::digest(&digest::SHA256, token.expose().as_bytes()),
            signer: hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes()),
        }))
    }

    /// Whether one has to log in.
    pub(super) fn is_locked(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this is the token. Takes as long whatever it is not.
    pub(super) fn opens_to(&self, token: &str) -> bool {
        self.0.as_ref().is_some_and(|lock| {
            let given = digest::digest(&digest::SHA256, token.as_bytes());
            constant_time::verify_slices_are_equal(given.as_ref(), lock.digest.as_ref()).is_ok()
        })
    }

    /// The value of a cookie for somebody who knew the token; none where none is needed.
    pub(super) fn session(&self, now: OffsetDateTime) -> Option<String> {
        let lock = self.0.as_ref()?;
        let ends = now.unix_timestamp() + SESSION_SECONDS;
        let tag = hmac::sign(&lock.signer, signed(ends).as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{ends}.{tag}"))
    }

    /// Whether that is the value of a cookie that was given out and is still good.
    fn knows(&self, session: &str, now: OffsetDateTime) -> bool {
        let Some((lock, (ends, tag))) = self.0.as_ref().zip(session.split_once('.')) else { return false };
        let (Ok(ends), Some(tag)) = (ends.parse::<i64>(), unhex(tag)) else { return false };
        hmac::verify(&lock.signer, signed(ends).as_bytes(), &tag).is_ok() && now.unix_timestamp() < ends
    }

    /// Whether whoever sends these headers may see the page.
    fn admits(&self, headers: &HeaderMap, now: OffsetDateTime) -> bool {
        let texts = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let mut bearers = texts(AUTHORIZATION).filter_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let mut sessions = texts(COOKIE).flat_map(|value| value.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE_NAME).then_some(value)
        });
        bearers.any(|token| self.opens_to(token)) || sessions.any(|session| self.knows(session, now))
    }
}

/// What is signed: nothing else that is ever signed with the token reads like this.
fn signed(ends: i64) -> String {
    format!("may see the status page of stocktake until {ends}")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Lets in whoever may see the page, and not too often.
pub(super) async fn admit(
    State(page): State<Arc<Page>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if page.gate.is_locked() {
        if !page.gate.admits(headers, (page.clock)()) {
            return turn_away(&page, peer, &request);
        }
    } else if !is_named_by_address(headers) {
        let body = "the status page is not shown under this name, which anybody's site could lead here: open it by \
                    the address of this machine or as localhost, or set admin.token\n";
        return (StatusCode::FORBIDDEN, body).into_response();
    }
    if !page.limits.all.take() {
        return super::busy();
    }
    next.run(request).await
}

/// People are led to the login, programs told what is missing.
fn turn_away(page: &Page, peer: Peer, request: &Request) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        page.strangers.note(peer);
    }
    if !page.strangers.limit.take() {
        return super::busy();
    }
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
        return Redirect::to(&super::link("/login", &[("next", wanted)])).into_response();
    }
    let body = "set the header `Authorization: Bearer …` to admin.token, or log in at /login\n";
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))], body).into_response()
}

/// Whether the page was asked for by an address or as localhost. Any other name may be that of a site whose owner
/// has it lead to our address: its scripts would be let read the page in the browser of somebody who is here.
fn is_named_by_address(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);
    const TOKEN: &str = "0123456789abcdef";

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn who_knows_the_token_is_let_in() {
        let gate = Gate::new(Some(&TOKEN.into()));
        let admits = |headers: &HeaderMap| gate.admits(headers, NOW);
        assert!(admits(&headers(AUTHORIZATION, &format!("Bearer {TOKEN}"))));
        assert!(admits(&headers(AUTHORIZATION, &format!("bearer  {TOKEN} "))));
        for wrong in ["Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", TOKEN] {
            assert!(!admits(&headers(AUTHORIZATION, wrong)), "{wrong}");
        }
        assert!(!admits(&HeaderMap::new()));
        assert!(!Gate::new(None).opens_to(""), "without a token nothing is one");
    }

    #[test]
    fn a_cookie_is_good_until_it_ends_and_for_this_token_only() {
        let gate = Gate::new(Some(&TOKEN.into()));
        let session = gate.session(NOW).unwrap();
        assert!(!session.contains(TOKEN));
        let cookie = |value: &str| headers(COOKIE, &format!("a=b; stocktake={value}; c"));
        let end = NOW + time::Duration::seconds(SESSION_SECONDS);
        assert!(gate.admits(&cookie(&session), end - time::Duration::SECOND));
        assert!(!gate.admits(&cookie(&session), end));
        assert!(Gate::new(Some(&TOKEN.into())).admits(&cookie(&session), NOW), "after a new start");
        assert!(!Gate::new(Some(&"another token of length".into())).admits(&cookie(&session), NOW));
        let (ends, tag) = session.split_once('.').unwrap();
        let later = ends.parse::<i64>().unwrap() + 1;
        for forged in [
            format!("{later}.{tag}"),
            format!("{ends}.{}", &tag[2..]),
            format!("{ends}."),
            format!("{ends}.é"),
            format!("{ends}.0"),
            ends.to_owned(),
            TOKEN.to_owned(),
        ] {
            let value = HeaderValue::from_bytes(format!("stocktake={forged}").as_bytes()).unwrap();
            assert!(!gate.admits(&HeaderMap::from_iter([(COOKIE, value)]), NOW), "{forged}");
        }
    }

    #[test]
    fn a_name_that_could_be_anybodys_is_no_address() {
        for (host, is_address) in [
            ("127.0.0.1:9464", true),
            ("127.0.0.1", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("[::1]:9464", true),
            ("evil.example:9464", false),
            ("127.0.0.1.evil.example:9464", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_named_by_address(&headers(HOST, host)), is_address, "{host}");
        }
        assert!(!is_named_by_address(&HeaderMap::new()));
    }
}
