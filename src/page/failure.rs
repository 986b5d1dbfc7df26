//! What is shown where something cannot be.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::{Frame, Tone};
use super::{Page, show};
use crate::catalog::{READ_LIMIT, Trouble, trouble};
use crate::chain::chain;
use crate::health::Problem;
use crate::watch::REMEDY;

/// A statement that was given up: `statement_timeout`.
const CANCELED: &str = "57014";

/// What was asked for is not there: a bucket that is not connected, a cursor that is none, a key with a NUL.
const NOT_THERE: [&str; 5] = ["42704", "22023", "22P02", "22003", "22021"];

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) enum Failure {
    /// Postgres did not answer, or not in time.
    Database(sqlx::Error),
    /// There is no such thing.
    Absent(String),
    /// Too much was asked for.
    Busy,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let database = error
            .as_database_error()
            .filter(|database| database.code().is_some_and(|code| NOT_THERE.contains(&&*code)));
        database.map(|database| Self::Absent(database.message().to_owned())).unwrap_or(Self::Database(error))
    }
}

/// What a page comes to.
pub(super) type Shown = Result<Response, Failure>;

impl Page {
    /// The page itself, or what is known without it.
    pub(super) fn answer(self: &Arc<Self>, shown: Shown) -> Response {
        match shown {
            Ok(response) => response,
            Err(Failure::Busy) => super::busy(),
            Err(Failure::Absent(what)) => {
                self.tell(StatusCode::NOT_FOUND, Tone::Note, "Not here", &what, false)
            }
            Err(Failure::Database(error)) => {
                let code = error.as_database_error().and_then(|error| error.code());
                let (sentence, remedy) = match () {
                    () if code.as_deref() == Some(CANCELED) => (
                        format!("This took longer than {READ_LIMIT:?}, and was given up."),
                        "ask for less at once; all else goes on as it did",
                    ),
                    () if trouble(&error) == Trouble::Away => {
                        ("Postgres does not answer: nothing can be kept true.".to_owned(), REMEDY)
                    }
                    () => ("The catalog cannot be read.".to_owned(), "see that it is migrated, and the log"),
                };
                let why = format!("{}; {remedy}", chain(&error));
                self.tell(StatusCode::SERVICE_UNAVAILABLE, Tone::Bad, &sentence, &why, true)
            }
        }
    }

    /// Says it in a sentence, and with it what the daemon itself knows to be wrong: that needs no Postgres.
    fn tell(&self, status: StatusCode, tone: Tone, sentence: &str, why: &str, is_ill: bool) -> Response {
        let snapshot = self.health.snapshot();
        let problems: Vec<_> = if is_ill { snapshot.problems().collect() } else { Vec::new() };
        let content = html! {
            section.verdict.(tone.as_str()) {
                p.sign aria-hidden="true" { (tone.sign()) }
                div { h1 { (sentence) } p { (show::text(why)) } }
            }
            @if !problems.is_empty() {
                section aria-labelledby="known" {
                    h2 #known { "What this daemon knows" }
                    ul.findings {
                        @for (subject, Problem { message, remedy, since }) in problems {
                            li {
                                h3 { (show::text(&subject.to_string())) }
                                p { (show::text(message)) }
                                p.remedy { (show::text(remedy)) }
                                p.dim { "since " (show::at(*since)) }
                            }
                        }
                    }
                }
            }
        };
        let crumbs = [("Overview".to_owned(), "/".to_owned())];
        let frame = Frame { title: sentence, tone, crumbs: &crumbs, refresh: true };
        (status, self.dress(&frame, &content)).into_response()
    }
}
