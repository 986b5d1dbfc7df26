//! What runs found wrong, and put right.

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
use crate::catalog::KeyDrift;
use crate::words::grouped;

/// Differences of a page.
const SHOWN_MAX: i64 = 500;

/// Of which run.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    run: i64,
}

/// The address of what a run found.
pub(super) fn address(run_id: i64) -> String {
    link("/drift", &[("run", &run_id.to_string())])
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = of_run(&page, wanted.run).await;
    page.answer(shown)
}

async fn of_run(page: &Page, run_id: i64) -> Shown {
    let Some(bucket) = page.catalog.bucket_of_run(run_id).await? else {
        return Err(Failure::Absent(format!(
            "there was no run {run_id}, or it ended longer ago than ledger.keep"
        )));
    };
    let found = page.catalog.differences_of_run(run_id, SHOWN_MAX).await?;
    let as_of = (page.clock)();
    let content = html! {
        h1 { "What run " (run_id) " found wrong" }
        p.lead { "Each difference was put right when it was found." }
        section aria-labelledby="drift" {
            h2 #drift { "Differences" }
            @if found.is_empty() { p { "It found none, or it is longer ago than " code { "ledger.keep" } "." } }
            @else { (table(&bucket, &found, as_of, true)) }
            @if found.len() as i64 == SHOWN_MAX {
                p.more.dim { "The first " (grouped(SHOWN_MAX)) "; all are in " code { "catalog.drift" } "." }
            }
        }
    };
    let crumbs = [
        ("Overview".to_owned(), "/".to_owned()),
        (bucket.clone(), super::browse::address(&bucket, "")),
        (format!("Run {run_id}"), address(run_id)),
    ];
    let frame = Frame { title: &format!("Run {run_id}"), tone: Tone::Note, crumbs: &crumbs, refresh: false };
    Ok(page.dress(&frame, &content).into_response())
}

/// Differences, with the key or with the run that found them.
pub(super) fn table(bucket: &str, found: &[KeyDrift], as_of: OffsetDateTime, is_of_run: bool) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-labelledby="drift" {
            table {
                thead { tr { th scope="col" { "found" } th scope="col" { "kind" }
                    th scope="col" { @if is_of_run { "key" } @else { "run" } } th scope="col" { "version" }
                    th scope="col" { "before and after" } } }
                tbody {
                    @for difference in found {
                        tr {
                            td { (show::since(Some(difference.found_at), as_of)) }
                            td { (difference.kind) }
                            @if is_of_run {
                                th scope="row" { a href=(super::key::address(bucket, &difference.key, None)) { (show::code(&difference.key)) } }
                            } @else {
                                th scope="row" { a href=(address(difference.run_id)) { (difference.run_id) } }
                            }
                            td { (show::code(&difference.version_id)) }
                            td { details { summary { (meaning(&difference.kind)) } pre { (show::code(&difference.detail)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn meaning(kind: &str) -> &str {
    match kind {
        "missing" => "the bucket had it, the catalog had not",
        "stale" => "another content",
        "ghost" => "the catalog had it, the bucket had not",
        "latest" => "another version is the latest",
        "stats" => "the sums of the bucket were wrong",
        other => other,
    }
}
