//! The overview: is all well, what is wrong, and how each bucket is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::failure::Shown;
use super::layout::{Frame, Tone};
use super::verdict::{Verdict, verdict};
use super::{Page, cards, show};
use crate::catalog::DaemonStatus;
use crate::overview::{Overview, Problem};
use crate::words::rough;

/// Runs under way that are shown with a bar.
const RUNS_SHOWN: i64 = 100;

pub(super) async fn show(State(page): State<Arc<Page>>) -> Response {
    let shown = front(&page).await;
    page.answer(shown)
}

async fn front(page: &Page) -> Shown {
    let overview = Overview::of(page.catalog.status().await?, &page.config);
    let under_way = page.catalog.runs_under_way(RUNS_SHOWN).await?;
    let traffic = page.catalog.recent_traffic(cards::HOURS, cards::STRETCHES).await?;
    let stuck: Vec<String> = page.pulses.stuck().into_iter().map(|sign| sign.name).collect();
    let Verdict { tone, sentence, more } = verdict(&overview, &stuck);
    let content = html! {
        section.verdict.(tone.as_str()) aria-label="Is all well?" {
            p.sign aria-hidden="true" { (tone.sign()) }
            div {
                h1 { (show::text(&sentence)) }
                p { (show::text(&more)) }
            }
        }
        (findings(&overview))
        section aria-labelledby="buckets" {
            h2 #buckets { "Buckets" }
            @if overview.buckets.is_empty() {
                p { "None is connected yet: the daemon connects those that are configured." }
            }
            div.cards { @for bucket in &overview.buckets { (cards::card(bucket, &under_way, &traffic, &overview)) } }
        }
        (daemons(&overview))
    };
    let crumbs = [("Overview".to_owned(), "/".to_owned())];
    let frame = Frame { title: &sentence, tone, crumbs: &crumbs, refresh: true };
    Ok(page.dress(&frame, &content).into_response())
}

/// What is wrong, causes with what comes of them, in the words of whoever found it.
fn findings(overview: &Overview) -> Markup {
    let (heads, others): (Vec<&Problem>, Vec<&Problem>) =
        overview.problems.iter().partition(|problem| problem.cause.is_none());
    let ends: Vec<_> =
        overview.buckets.iter().filter_map(|bucket| Some((bucket, overview.untold_end(bucket)?))).collect();
    if heads.is_empty() && ends.is_empty() && overview.quarantined == 0 {
        return html! {};
    }
    html! {
        section aria-labelledby="wrong" {
            h2 #wrong { @if overview.is_attended { "What is wrong" } @else { "What was wrong when a daemon was last at work" } }
            ul.findings {
                @for head in heads {
                    @let Problem { status, .. } = head;
                    li.bad[is_grave(&status.subject)] {
                        h3 { (show::text(&status.subject)) }
                        p { (show::text(&status.message)) }
                        p.remedy { (show::text(&status.remedy)) }
                        @let with: Vec<_> = others.iter().filter(|other| other.cause.as_ref() == Some(&status.subject)).collect();
                        @if !with.is_empty() {
                            ul {
                                @for Problem { status, .. } in with {
                                    li { "and with it " (show::text(&status.subject)) ": " (show::text(&status.message)) }
                                }
                            }
                        }
                        p.dim { "since " (show::since(Some(status.since), overview.as_of)) }
                    }
                }
                @for (bucket, (error, remedy)) in ends {
                    li {
                        h3 { "the last run of " (show::text(&crate::overview::place(&bucket.status))) }
                        p { (show::text(error)) }
                        @if let Some(remedy) = remedy { p.remedy { (show::text(&remedy)) } }
                    }
                }
                @if overview.quarantined > 0 {
                    li {
                        h3 { a href="/quarantine" { (show::count(overview.quarantined)) " in quarantine" } }
                        p { "Messages that could not be read, or records of them, were set aside." }
                        p.remedy { "Once the reasons are gone, " code { "stocktake replay" } " puts them through." }
                    }
                }
            }
        }
    }
}

/// Whether it is of something that is not kept true, and not only of what is around it.
pub(super) fn is_grave(subject: &str) -> bool {
    subject == "database" || subject.starts_with("bucket ")
}

fn daemons(overview: &Overview) -> Markup {
    html! {
        section aria-labelledby="daemons" {
            h2 #daemons { "Daemons" }
            @if overview.daemons.is_empty() { p { "None was at work lately." } } @else {
                div.wide tabindex="0" role="region" aria-labelledby="daemons" {
                    table {
                        thead { tr { th scope="col" { "host" } th scope="col" { "process" } th scope="col" { "version" }
                            th scope="col" { "state" } th scope="col" { "since" } th scope="col" { "seen" }
                            th.number scope="col" { "receives messages of" } } }
                        tbody {
                            @for daemon in &overview.daemons {
                                @let (tone, state) = state(daemon);
                                tr {
                                    th scope="row" { (show::text(&daemon.host)) }
                                    td { (daemon.pid) }
                                    td { (show::text(&daemon.version)) }
                                    td { span.badge.(tone.as_str()) { span aria-hidden="true" { (tone.sign()) } " " (state) } }
                                    td { (show::since(Some(daemon.started_at), overview.as_of)) }
                                    td { (show::since(Some(daemon.seen_at), overview.as_of)) }
                                    td.number {
                                        @match daemon.lag() {
                                            Some(lag) if daemon.is_running => { (rough(lag)) " ago" }
                                            None if daemon.is_running => "no queue",
                                            _ => {}
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn state(daemon: &DaemonStatus) -> (Tone, &'static str) {
    match daemon.stopped_at {
        _ if daemon.is_running => (Tone::Well, "at work"),
        Some(_) => (Tone::Note, "stopped"),
        None => (Tone::Warn, "went silent"),
    }
}
