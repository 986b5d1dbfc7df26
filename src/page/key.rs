//! A key: its versions, the evidence for each, what runs found about it, and what happened to it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use time::OffsetDateTime;

use super::asked::Asked;
use super::failure::{Failure, Place, Shown};
use super::layout::{Frame, Tone};
use super::{Page, browse, drift, evidence, link, show, tail};
use crate::catalog::{KeyDoubt, KeyVersion};
use crate::words::grouped;

/// Versions that are shown.
const VERSIONS: i64 = 200;
/// Differences that are shown.
const DRIFT: i64 = 50;
/// Changes that are shown.
const CHANGES: i64 = 200;

/// Which one, and before which place of the journal its history is looked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    bucket: String,
    key: String,
    before: Option<String>,
}

/// The address of the page of a key.
pub(super) fn address(bucket: &str, key: &str, before: Option<&str>) -> String {
    let before = before.map(|before| ("before", before));
    link("/key", &[("bucket", bucket), ("key", key)].into_iter().chain(before).collect::<Vec<_>>())
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = key(&page, &wanted).await;
    page.answer(shown)
}

async fn key(page: &Page, Wanted { bucket, key, before }: &Wanted) -> Shown {
    if key.is_empty() {
        return Err(Failure::Broken("a key has at least one character".to_owned()));
    }
    // What happened to a key may be much.
    let _one = page.limits.dear().await.ok_or(Failure::Busy)?;
    let catalog = &page.catalog;
    page.must_know(bucket, Place::Key(key)).await?;
    let versions = catalog.versions_of(bucket, key, VERSIONS).await?;
    let doubt = catalog.doubt_about(bucket, key).await?;
    let found = catalog.differences_of_key(bucket, key, DRIFT).await?;
    let changes = catalog.changes_of_key(bucket, key, before.as_deref(), CHANGES).await?;
    let as_of = (page.clock)();
    let content = html! {
        h1 { (show::code(key)) }
        p.lead { (standing(&versions)) }
        @if let Some(doubt) = &doubt { (in_doubt(doubt, as_of)) }
        section aria-labelledby="versions" {
            h2 #versions { "Versions, and why the catalog says so" }
            @if versions.len() as i64 == VERSIONS { p.dim { "The first " (grouped(VERSIONS)) " of them." } }
            @if versions.is_empty() { p { "Neither an event nor a listing has told of this key, or it was removed and accounted for." } }
            div.versions { @for version in &versions { (one(version, as_of)) } }
        }
        @if !found.is_empty() {
            section aria-labelledby="drift" {
                h2 #drift { "What listings found wrong" }
                (drift::table(bucket, &found, as_of, false))
            }
        }
        section aria-labelledby="history" {
            h2 #history { "History" }
            (tail::table(bucket, &changes, as_of, "history"))
            p.more {
                @match changes.last().filter(|_| changes.len() as i64 == CHANGES) {
                    Some(last) => a href=(address(bucket, key, Some(&last.cursor))) { "Earlier changes" },
                    None => span.dim { "That is all that the journal has" @if before.is_some() { " before that" } "." },
                }
            }
        }
    };
    let folder = key.rfind('/').map_or("", |place| &key[..=place]);
    let mut crumbs = browse::crumbs(bucket, folder);
    let name = Some(&key[folder.len()..]).filter(|name| !name.is_empty()).unwrap_or(browse::ITSELF);
    crumbs.push((name.to_owned(), address(bucket, key, None)));
    let frame = Frame { title: key, tone: Tone::Note, crumbs: &crumbs, refresh: false };
    Ok(page.dress(&frame, &content).into_response())
}

/// What a reader of the catalog sees of the key.
fn standing(versions: &[KeyVersion]) -> Markup {
    let latest = versions.iter().find(|version| version.is_latest);
    let kept = versions.iter().filter(|version| version.is_present).count();
    match latest {
        Some(KeyVersion { is_delete_marker: true, .. }) => html! {
            "Deleted: its latest version is a delete marker, so " code { "catalog.objects" } " does not show it."
        },
        Some(version) => html! {
            "There: a plain read gets version " (show::code(&version.version_id))
            @if let Some(size) = version.size { ", " (show::bytes(size)) }
            @if kept > 1 { "; " (kept) " versions and markers are kept" } "."
        },
        None if kept > 0 => html! { "Versions of it are there, but none is known to be the latest." },
        None => html! { "Not there." },
    }
}

fn in_doubt(doubt: &KeyDoubt, as_of: OffsetDateTime) -> Markup {
    html! {
        section.verdict.warn aria-label="In doubt" {
            p.sign aria-hidden="true" { "?" }
            div {
                p { strong { "In doubt" } " since " (show::since(Some(doubt.asked_at), as_of)) ": " (evidence::doubt(&doubt.reason)) "." }
                p {
                    "It is listed by itself at " (show::at(doubt.due_at)) ", tried so far: " (doubt.attempts) "."
                    @if let Some(error) = &doubt.last_error { " Last time: " (show::text(error)) }
                }
            }
        }
    }
}

fn one(version: &KeyVersion, as_of: OffsetDateTime) -> Markup {
    let (sign, word) = match version {
        KeyVersion { is_present: false, .. } => ("−", "removed"),
        KeyVersion { is_delete_marker: true, .. } => ("⊘", "delete marker"),
        _ => ("●", "object"),
    };
    html! {
        article.version.latest[version.is_latest].gone[!version.is_present] {
            header {
                h3 { (show::code(&version.version_id)) }
                span.badge.note { span aria-hidden="true" { (sign) } " " (word) }
                @if version.is_latest { span.badge.well { span aria-hidden="true" { "★" } " latest" } }
            }
            dl {
                @if version.is_present && !version.is_delete_marker {
                    div { dt { "Size" } dd { @match version.size { Some(size) => (show::bytes(size)), None => "not known" } } }
                    div { dt { "Storage class" } dd { (show::text(version.storage_class.as_deref().unwrap_or("not known"))) } }
                    div { dt { "ETag" } dd { (show::code(version.etag.as_deref().unwrap_or("not known"))) } }
                }
                @if let Some(date) = version.last_modified { div { dt { "Last modified" } dd { (show::at(date)) } } }
            }
            ul.evidence { @for sentence in evidence::of(version) { li { (sentence) } } li.dim { (evidence::written(version, as_of)) } }
        }
    }
}
