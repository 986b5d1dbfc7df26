//! What changed, the latest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use time::OffsetDateTime;

use super::asked::Asked;
use super::failure::{Place, Shown};
use super::layout::{Frame, Tone};
use super::{Page, link, show};
use crate::catalog::Change;

/// Lines of a page.
const LINES: i64 = 100;

/// Which changes.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    bucket: String,
    before: Option<String>,
}

/// The address of the changes of a bucket before a cursor.
pub(super) fn address(bucket: &str, before: Option<&str>) -> String {
    let before = before.map(|before| ("before", before));
    link("/changes", &[("bucket", bucket)].into_iter().chain(before).collect::<Vec<_>>())
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = changes(&page, &wanted).await;
    page.answer(shown)
}

async fn changes(page: &Page, Wanted { bucket, before }: &Wanted) -> Shown {
    page.must_know(bucket, Place::Folder("")).await?;
    let changes = page.catalog.changes_before(bucket, before.as_deref(), LINES).await?;
    let as_of = (page.clock)();
    let content = html! {
        h1 { "Changes of " (show::text(bucket)) }
        section aria-label="Changes" {
            (table(bucket, &changes, as_of, "changes"))
            @if let Some(last) = changes.last().filter(|_| changes.len() as i64 == LINES) {
                p.more { a href=(address(bucket, Some(&last.cursor))) { "Earlier changes" } }
            }
        }
    };
    let crumbs = [
        ("Overview".to_owned(), "/".to_owned()),
        // The journal is of all connections of the bucket, so the page of none of them is above.
        (format!("Changes of {bucket}"), address(bucket, before.as_deref())),
    ];
    let frame = Frame { title: "Changes", tone: Tone::Note, crumbs: &crumbs, refresh: before.is_none() };
    Ok(page.dress(&frame, &content).into_response())
}

/// A table of changes. Of one key, it does without the key.
pub(super) fn table(bucket: &str, changes: &[Change], as_of: OffsetDateTime, of: &str) -> Markup {
    let is_of_key = of == "history";
    html! {
        @if changes.is_empty() { p { "None is in the journal." } } @else {
            div.wide tabindex="0" role="region" aria-labelledby=(of) {
                table {
                    thead { tr { th scope="col" { "when" } th scope="col" { "change" }
                        @if is_of_key { th scope="col" { "version" } } @else { th scope="col" { "key" } }
                        th.number scope="col" { "bytes" } th scope="col" { "by whom" } th scope="col" { "told by" } } }
                    tbody {
                        @for change in changes {
                            tr {
                                td { (show::since(Some(change.event_time.unwrap_or(change.recorded_at)), as_of)) }
                                @let (sign, word) = kind(&change.change);
                                td title=(change.change) { (sign) " " (word) }
                                @if is_of_key {
                                    th scope="row" { (show::code(&change.version_id)) }
                                } @else {
                                    th scope="row" { a href=(super::key::address(bucket, &change.key, None)) { (show::code(&change.key)) } }
                                }
                                td.number {
                                    @if let Some(before) = change.before_size.filter(|_| change.size != change.before_size) {
                                        s.dim { (show::bytes(before)) } " "
                                    }
                                    @if let Some(size) = change.size { (show::bytes(size)) }
                                }
                                td {
                                    @if let Some(requester) = &change.requester { (show::text(requester)) }
                                    @if let Some(address) = &change.source_ip { span.dim { " from " (show::text(address)) } }
                                }
                                td title=(change.cause) { (cause(&change.cause)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A sign and a word for a kind of change.
fn kind(change: &str) -> (&'static str, &str) {
    match change {
        "created" => ("+", "written"),
        "marker_created" => ("⊘", "delete marker"),
        "removed" => ("−", "removed"),
        "attributes" => ("·", "storage class"),
        other => ("·", other),
    }
}

/// Who told of a change.
fn cause(cause: &str) -> &str {
    match cause {
        "event" => "an event",
        "reconcile" => "a listing",
        "recheck" => "a recheck",
        "inventory" => "a report",
        other => other,
    }
}
