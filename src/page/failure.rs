//! What is shown where something cannot be.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::{Frame, Tone};
use super::{Page, show};
use crate::catalog::remedy_of;
use crate::catalog::{READ_LIMIT, Trouble, trouble};
use crate::chain::chain;
use crate::health::Problem;

/// A statement that was given up: `statement_timeout`.
const CANCELED: &str = "57014";

/// What was asked for is not there: a cursor that is none, or one of another journal.
const NOT_THERE: [&str; 3] = ["22023", "22P02", "22003"];
/// No text in Postgres has a NUL.
const NUL: &str = "22021";

/// How many prefixes are named where none is the one that was asked for.
const PREFIXES_SHOWN: usize = 5;

/// What of a bucket is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// A key.
    Key(&'a str),
    /// What is below a prefix.
    Folder(&'a str),
}

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) enum Failure {
    /// Postgres did not answer, or not in time.
    Database(sqlx::Error),
    /// There is no such thing.
    Absent(String),
    /// What was asked for makes no sense.
    Broken(String),
    /// A form was sent by another site.
    Foreign,
    /// Too much was asked for.
    Busy,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        let absent = database.and_then(|database| match &*database.code()? {
            code if NOT_THERE.contains(&code) => Some(database.message().to_owned()),
            NUL => Some("no name in the catalog has a NUL".to_owned()),
            _ => None,
        });
        absent.map_or(Self::Database(error), Self::Absent)
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
            Err(Failure::Broken(what)) => {
                self.tell(StatusCode::BAD_REQUEST, Tone::Note, "Not understood", &what, false)
            }
            Err(Failure::Foreign) => {
                let why = "a page of another site sent this form here; open the status page itself";
                self.tell(StatusCode::FORBIDDEN, Tone::Warn, "Not taken", why, false)
            }
            Err(Failure::Database(error)) => {
                let code = error.as_database_error().and_then(|error| error.code());
                let (sentence, remedy) = match () {
                    () if code.as_deref() == Some(CANCELED) => (
                        format!("This took longer than {READ_LIMIT:?}, and was given up."),
                        "ask for less at once; all else goes on as it did",
                    ),
                    () if trouble(&error) == Trouble::Away => {
                        ("Postgres does not answer: nothing can be kept true.".to_owned(), remedy_of(&error))
                    }
                    () if trouble(&error) == Trouble::Locked => {
                        ("Somebody keeps a table of the catalog to himself.".to_owned(), remedy_of(&error))
                    }
                    () => ("The catalog cannot be read.".to_owned(), remedy_of(&error)),
                };
                let why = format!("{}; {remedy}", chain(&error));
                self.tell(StatusCode::SERVICE_UNAVAILABLE, Tone::Bad, &sentence, &why, true)
            }
        }
    }

    /// Fails where nothing of a bucket is connected, or nothing that has to do with `place`.
    pub(super) async fn must_know(&self, bucket: &str, place: Place<'_>) -> Result<(), Failure> {
        let prefixes = self.catalog.connected_prefixes(bucket).await?;
        let is_known = prefixes.iter().any(|prefix| match place {
            Place::Key(key) => key.starts_with(prefix),
            Place::Folder(folder) => folder.starts_with(prefix) || prefix.starts_with(folder),
        });
        if is_known {
            return Ok(());
        }
        let shown: Vec<_> =
            prefixes.iter().take(PREFIXES_SHOWN).map(|prefix| format!("{prefix:?}")).collect();
        let others = if prefixes.len() > PREFIXES_SHOWN { " and others" } else { "" };
        Err(Failure::Absent(match (place, shown.is_empty()) {
            (_, true) => format!("no bucket {bucket:?} is connected: the overview has those that are"),
            (Place::Key(key), false) => format!(
                "the key {key:?} is not followed: of bucket {bucket:?}, only what is below {}{others} is connected",
                shown.join(", ")
            ),
            (Place::Folder(folder), false) => format!(
                "nothing below {folder:?} is followed: of bucket {bucket:?}, only what is below {}{others} is connected",
                shown.join(", ")
            ),
        }))
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
        let frame = Frame { title: sentence, tone, crumbs: &crumbs, refresh: is_ill };
        (status, self.dress(&frame, &content)).into_response()
    }
}

/// Whatever path is none of ours.
pub(super) async fn nowhere(State(page): State<Arc<Page>>, uri: Uri) -> Response {
    page.answer(Err(Failure::Absent(format!("there is no page {:?}: begin at the overview", uri.path()))))
}
