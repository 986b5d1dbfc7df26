//! The quarantine: messages that could not be read, with the reasons.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use time::OffsetDateTime;

use super::asked::Asked;
use super::failure::{Failure, Shown};
use super::layout::{Frame, Tone};
use super::{Page, link, show};
use crate::catalog::QuarantinedMessage;
use crate::words::grouped;

/// Messages of a page.
const MESSAGES: i64 = 50;
/// Characters of a body that are shown beside others, and by itself: more than S3 sends.
const BODY_SHORT: i32 = 4_000;
const BODY_LONG: i32 = 300_000;

/// Those before a number; or the one with a number, as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    before: Option<i64>,
    id: Option<i64>,
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = quarantine(&page, &wanted).await;
    page.answer(shown)
}

async fn quarantine(page: &Page, wanted: &Wanted) -> Shown {
    let messages = match wanted.id {
        Some(id) => {
            let next = id.saturating_add(1);
            let mut found = page.catalog.quarantine_before(next, BODY_LONG, 1).await?;
            found.retain(|message| message.quarantine_id == id);
            if found.is_empty() {
                let what = format!(
                    "there is no message no. {id} in quarantine, or it was there longer ago than ledger.keep"
                );
                return Err(Failure::Absent(what));
            }
            found
        }
        None => {
            page.catalog.quarantine_before(wanted.before.unwrap_or(i64::MAX), BODY_SHORT, MESSAGES).await?
        }
    };
    let as_of = (page.clock)();
    let content = html! {
        h1 { "Quarantine" }
        p.lead {
            "Messages that could not be read, and records of messages. They were acknowledged; once the reasons are gone, "
            code { "stocktake replay" } " puts them through."
        }
        section aria-label="Messages" {
            @if messages.is_empty() { p { "Nothing is in quarantine" @if wanted.before.is_some() { " before that" } "." } }
            ul.findings { @for message in &messages { (one(message, wanted.id.is_some(), as_of)) } }
            @if let Some(last) = messages.last().filter(|_| messages.len() as i64 == MESSAGES) {
                p.more { a href=(link("/quarantine", &[("before", &last.quarantine_id.to_string())])) { "Earlier ones" } }
            }
        }
    };
    let crumbs =
        [("Overview".to_owned(), "/".to_owned()), ("Quarantine".to_owned(), "/quarantine".to_owned())];
    let frame = Frame { title: "Quarantine", tone: Tone::Note, crumbs: &crumbs, refresh: false };
    Ok(page.dress(&frame, &content).into_response())
}

fn one(message: &QuarantinedMessage, is_alone: bool, as_of: OffsetDateTime) -> Markup {
    let shown = message.body.chars().count() as i64;
    let length = i64::from(message.length);
    let id = message.quarantine_id.to_string();
    html! {
        li {
            h3 { "No. " (id) ": " (show::text(&message.reason)) }
            p.dim {
                "set aside " (show::since(Some(message.received_at), as_of)) " · "
                @if message.record > 0 { "record " (message.record) " of " }
                "message " (show::code(&message.message_id))
                @if let Some(count) = message.receive_count { " · delivered " (count) "×" }
                " · " (show::text(&message.queue))
            }
            @if let Some(replayed_at) = message.replayed_at { p { "✓ put through " (show::since(Some(replayed_at), as_of)) } }
            details open[is_alone] {
                summary { "Body, " (grouped(length)) " characters" }
                pre.body { (show::lines(&message.body)) }
                @if shown < length {
                    p.dim {
                        "Cut off. "
                        @if is_alone { "All of it is in " code { "catalog.quarantine" } "." }
                        @else { a href=(link("/quarantine", &[("id", &id)])) { "Show all of it" } }
                    }
                }
            }
        }
    }
}
