//! The login: a form that takes the token, and a cookie that stands for it.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

use super::asked::Asked;
use super::failure::Failure;
use super::gate::{COOKIE_NAME, SESSION_SECONDS};
use super::layout::{Frame, Tone};
use super::strangers::is_foreign;
use super::{Page, busy};
use crate::doorway::Peer;

/// Where to go on after the login.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Given {
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn ask(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    form(&page, StatusCode::OK, &wanted.next, false)
}

pub(super) async fn check(
    State(page): State<Arc<Page>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    given: Result<Form<Given>, FormRejection>,
) -> Response {
    if is_foreign(&headers) {
        return page.answer(Err(Failure::Foreign));
    }
    let opens = given.as_ref().is_ok_and(|Form(given)| page.gate.opens_to(given.token.trim()));
    // Who knows the token does not share the limit of those who do not: they would keep everybody from logging in.
    if !opens && !page.strangers.limit.take() {
        return busy();
    }
    let Ok(Form(given)) = given else {
        return page.answer(Err(Failure::Broken("what was sent is not the form of the login".to_owned())));
    };
    let Some(session) = opens.then(|| page.gate.session((page.clock)())).flatten() else {
        page.strangers.note(peer);
        return form(&page, StatusCode::FORBIDDEN, &given.next, true);
    };
    tracing::info!("somebody logged in to the status page");
    leave_for(&given.next, &cookie(&session, SESSION_SECONDS, &headers))
}

pub(super) async fn leave(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if is_foreign(&headers) {
        return page.answer(Err(Failure::Foreign));
    }
    leave_for("/login", &cookie("", 0, &headers))
}

fn form(page: &Page, status: StatusCode, next: &str, is_wrong: bool) -> Response {
    let content = html! {
        section.login {
            h1 { "Log in" }
            form method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                // What a password is for: those who keep passwords want to know.
                input type="text" name="username" value="stocktake" autocomplete="username" readonly hidden;
                label for="token" { "Token" }
                input #token type="password" name="token" required autofocus autocomplete="current-password"
                    aria-describedby="hint" aria-invalid=[is_wrong.then_some("true")];
                @if is_wrong {
                    p.wrong role="alert" { "That is not the token." }
                }
                p #hint.dim { "It is the setting " code { "admin.token" } " of the daemon. It is kept for twelve hours." }
                button type="submit" { "Log in" }
            }
        }
    };
    let frame = Frame { title: "Log in", tone: Tone::Note, crumbs: &[], refresh: false };
    (status, page.dress(&frame, &content)).into_response()
}

/// Scripts do not see it, and it is sent with requests of our own pages only. Whether TLS ends in front of us
/// is known from what the proxy says; where it lies, the browser refuses the cookie.
fn cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn leave_for(next: &str, cookie: &str) -> Response {
    // Only to a page of ours: `//elsewhere` and `/\elsewhere` are other sites.
    let is_ours = next.starts_with('/') && !next[1..].starts_with(['/', '\\']);
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic());
    let next = if is_ours && is_plain { next } else { "/" };
    ([(SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::header::LOCATION;

    use super::*;

    #[test]
    fn a_login_leads_nowhere_else() {
        for (next, location) in [
            ("/bucket?name=b", "/bucket?name=b"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
        ] {
            assert_eq!(leave_for(next, "a=b").headers()[LOCATION], location, "{next}");
        }
    }
}
