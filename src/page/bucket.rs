//! A bucket: how it is, its runs, how it grew, and what changes in it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use time::OffsetDateTime;

use super::asked::Asked;
use super::failure::{Failure, Shown};
use super::layout::{Frame, Tone};
use super::verdict::tone;
use super::{Page, cards, growth, link, progress, show, tail};
use crate::catalog::{BucketStatus, KeyDoubt, RunLine};
use crate::overview::{Overview, drift, notice, place};
use crate::words::rough;

/// How many runs are shown.
const RUNS_SHOWN: i64 = 30;
/// How many ranges of a run under way.
const RANGES_SHOWN: i64 = 360;
/// How many changes.
const CHANGES_SHOWN: i64 = 20;
/// How many keys in doubt.
const DOUBTS_SHOWN: i64 = 20;

/// Which one.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    name: String,
    #[serde(default)]
    prefix: String,
}

/// The address of the page of a bucket.
pub(super) fn address(bucket: &str, prefix: &str) -> String {
    link("/bucket", &[("name", bucket), ("prefix", prefix)])
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = bucket(&page, &wanted).await;
    page.answer(shown)
}

async fn bucket(page: &Page, wanted: &Wanted) -> Shown {
    let (name, prefix) = (&*wanted.name, &*wanted.prefix);
    let catalog = &page.catalog;
    let overview = Overview::of(catalog.status().await?, &page.config);
    let as_of = overview.as_of;
    let found =
        overview.buckets.iter().find(|bucket| bucket.status.bucket == name && bucket.status.prefix == prefix);
    let Some(bucket) = found else {
        return Err(Failure::Absent(format!(
            "no bucket {name:?} below {prefix:?} is connected or configured"
        )));
    };
    let status = &bucket.status;
    let tone = tone(bucket.state);
    let under_way = catalog.runs_under_way(i64::MAX).await?;
    let under_way = under_way.into_iter().find(|run| run.bucket == name && run.prefix.starts_with(prefix));
    let ranges = match &under_way {
        Some(run) => catalog.ranges_of(run.run_id, RANGES_SHOWN).await?,
        None => Vec::new(),
    };
    let runs = catalog.runs_of(name, prefix, RUNS_SHOWN).await?;
    let doubts = catalog.doubts_below(name, prefix, DOUBTS_SHOWN).await?;
    let changes = catalog.changes_before(name, None, CHANGES_SHOWN).await?;
    let growth = growth::section(catalog, name).await?;
    let traffic = catalog.recent_traffic(cards::HOURS, cards::STRETCHES).await?;
    let content = html! {
        header.title {
            h1 { (show::text(&place(status))) }
            span.badge.(tone.as_str()) { span aria-hidden="true" { (tone.sign()) } " " (bucket.state.as_str()) }
            a.action href=(super::browse::address(name, prefix)) { "Browse its folders" }
        }
        section.panel aria-label="How it is" {
            (cards::facts(status, as_of))
            @if let Some(notice) = notice(status) { p.notice { (show::text(&notice)) } }
            (cards::sparks(status, &traffic))
        }
        @if let Some(run) = &under_way {
            section aria-labelledby="under-way" {
                h2 #under-way { "Run under way" }
                div.panel { (progress::under_way(run, &ranges, as_of)) }
            }
        }
        (findings(bucket, &overview))
        (in_doubt(name, status, &doubts, as_of))
        (timeline(&runs, as_of))
        (growth)
        section aria-labelledby="changes" {
            h2 #changes { "What changed last" }
            (tail::table(name, &changes, as_of, "changes"))
            p.more { a href=(tail::address(name, None)) { "All changes" } }
        }
    };
    let title = place(status);
    let crumbs = [("Overview".to_owned(), "/".to_owned()), (title.clone(), address(name, prefix))];
    let frame = Frame { title: &title, tone, crumbs: &crumbs, refresh: true };
    Ok(page.dress(&frame, &content).into_response())
}

/// What is wrong with this bucket, in words of the doctor and the loops.
fn findings(bucket: &crate::overview::Bucket, overview: &Overview) -> Markup {
    let name = place(&bucket.status);
    // As subjects end: `bucket genomics/`, `rechecks in bucket genomics/`.
    let ending = format!("bucket {}/{}", bucket.status.bucket, bucket.status.prefix);
    let own: Vec<_> = overview
        .problems
        .iter()
        .filter(|problem| problem.status.subject.ends_with(&ending))
        .map(|problem| &problem.status)
        .collect();
    let end = overview.untold_end(bucket);
    if own.is_empty() && end.is_none() {
        return html! {};
    }
    html! {
        section aria-labelledby="wrong" {
            h2 #wrong { "What is wrong" }
            ul.findings {
                @for problem in own {
                    li.bad[super::front::is_grave(&problem.subject)] {
                        h3 { (show::text(&problem.subject)) }
                        p { (show::text(&problem.message)) }
                        p.remedy { (show::text(&problem.remedy)) }
                        p.dim { "since " (show::since(Some(problem.since), overview.as_of)) }
                    }
                }
                @if let Some((error, remedy)) = end {
                    li {
                        h3 { "the last run of " (show::text(&name)) }
                        p { (show::text(error)) }
                        @if let Some(remedy) = remedy { p.remedy { (show::text(&remedy)) } }
                    }
                }
            }
        }
    }
}

fn in_doubt(bucket: &str, status: &BucketStatus, doubts: &[KeyDoubt], as_of: OffsetDateTime) -> Markup {
    html! {
        @if !doubts.is_empty() {
            section aria-labelledby="doubts" {
                h2 #doubts { "Keys in doubt: " (show::count(status.rechecks)) }
                div.wide tabindex="0" role="region" aria-labelledby="doubts" {
                    table {
                        thead { tr { th scope="col" { "key" } th scope="col" { "why" } th scope="col" { "since" }
                            th.number scope="col" { "tried" } th scope="col" { "what went wrong" } } }
                        tbody {
                            @for doubt in doubts {
                                tr {
                                    th scope="row" { a href=(super::key::address(bucket, &doubt.key, None)) { (show::code(&doubt.key)) } }
                                    td { (super::evidence::doubt(&doubt.reason)) }
                                    td { (show::since(Some(doubt.asked_at), as_of)) }
                                    td.number { (doubt.attempts) }
                                    td { (show::text(doubt.last_error.as_deref().unwrap_or_default())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The last runs with their drift.
fn timeline(runs: &[RunLine], as_of: OffsetDateTime) -> Markup {
    let drifts: Vec<Option<f64>> =
        runs.iter().rev().map(|line| line.run.drift.map(|drift| drift as f64)).collect();
    let most = runs.iter().filter_map(|line| line.run.drift).max().unwrap_or_default();
    let label =
        format!("Drift of the last {} runs, the latest on the right; the most was {most}", runs.len());
    html! {
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            @if runs.is_empty() { p { "There was none yet." } } @else {
                @if most > 0 { div.panel { p.dim { (label) } (super::spark::bars(&drifts, &label)) } }
                div.wide tabindex="0" role="region" aria-labelledby="runs" {
                    table {
                        thead { tr { th scope="col" { "run" } th scope="col" { "began" } th scope="col" { "why" }
                            th scope="col" { "took" } th.number scope="col" { "keys" } th scope="col" { "drift" }
                            th.number scope="col" { "left in doubt" } th scope="col" { "how it ended" } } }
                        tbody { @for line in runs { (row(line, as_of)) } }
                    }
                }
            }
        }
    }
}

fn row(RunLine { run, doubts }: &RunLine, as_of: OffsetDateTime) -> Markup {
    let status = run.status.as_deref().unwrap_or_default();
    let tone = match status {
        "complete" => Tone::Well,
        "running" => Tone::Note,
        "stopped" => Tone::Warn,
        _ => Tone::Bad,
    };
    let took =
        run.started_at.zip(run.finished_at.or(Some(as_of))).map(|(from, to)| rough(show::between(from, to)));
    let run_id = run.run_id.unwrap_or_default();
    html! {
        tr {
            th scope="row" { a href=(super::drift::address(run_id)) { (run_id) } }
            td { (show::since(run.started_at, as_of)) }
            td { (progress::why(run.reason.as_deref())) @if run.source.as_deref() == Some("inventory") { ", a report" } }
            td { (took.unwrap_or_default()) }
            td.number { (show::count(run.keys_listed.unwrap_or_default())) }
            td { (drift(run)) }
            td.number { (show::count(*doubts)) }
            td {
                span.badge.(tone.as_str()) { span aria-hidden="true" { (tone.sign()) } " " (status) }
                @if let Some(error) = &run.error { " " (show::text(error)) }
            }
        }
    }
}
