//! A card for each bucket: how it is in a word, how fresh, how much is in it, and how its last run went.

use maud::{Markup, html};
use time::OffsetDateTime;

use super::verdict::tone;
use super::{bucket, progress, show, spark};
use crate::catalog::{BucketStatus, RunUnderWay, Stretch};
use crate::overview::{Bucket, Overview, drift, place};
use crate::words::{grouped, rough};

/// How many hours are drawn.
pub(super) const HOURS: i32 = 6;
/// In how many stretches: five minutes each.
pub(super) const STRETCHES: i32 = 72;

/// Stretches of all connections, by bucket and prefix.
pub(super) type Traffic = [(String, String, Stretch)];

pub(super) fn card(
    bucket: &Bucket,
    under_way: &[RunUnderWay],
    traffic: &Traffic,
    overview: &Overview,
) -> Markup {
    let Bucket { state, status, .. } = bucket;
    let tone = tone(*state);
    let as_of = overview.as_of;
    let run = &status.run;
    let under_way = under_way.iter().find(|under_way| Some(under_way.run_id) == run.run_id);
    html! {
        article.card.(tone.as_str()) {
            header {
                h3 { a href=(bucket::address(&status.bucket, &status.prefix)) { (show::text(&place(status))) } }
                span.badge.(tone.as_str()) { span aria-hidden="true" { (tone.sign()) } " " (state.as_str()) }
            }
            p.dim { (show::text(status.region.as_deref().unwrap_or("region not known yet"))) " · "
                (show::text(status.versioning.as_deref().unwrap_or("versioning not known yet"))) }
            (facts(status, as_of))
            (sparks(status, traffic))
            @if let Some(under_way) = under_way { (progress::under_way(under_way, &[], as_of)) } @else {
                p.run {
                    @match run.status.as_deref() {
                        Some(ended) => {
                            "Last run " (ended) " " (show::since(run.finished_at, as_of)) ", "
                            (keys(run.keys_listed.unwrap_or_default())) ", drift " (drift(run))
                        }
                        None => "No run yet"
                    }
                }
            }
        }
    }
}

fn keys(listed: i64) -> String {
    if listed == 1 { "1 key".to_owned() } else { format!("{} keys", grouped(listed)) }
}

/// How much there is, and how fresh.
pub(super) fn facts(status: &BucketStatus, as_of: OffsetDateTime) -> Markup {
    html! {
        dl {
            div { dt { "Objects" } dd { (show::count(status.objects)) } }
            div { dt { "Bytes" } dd { (show::bytes(status.bytes)) } }
            div { dt title="What happened before is in the catalog: the last complete listing began then" { "Proved up to" }
                dd { (show::since(status.complete_through, as_of)) } }
            div { dt title="All events that had been sent by then are in the catalog" { "Queues empty" }
                dd { (show::since(status.caught_up_at, as_of)) } }
            div { dt { "Last event" } dd { (show::since(status.last_event_at, as_of)) } }
            div { dt title="About to be listed by themselves" { "Keys in doubt" } dd { (show::count(status.rechecks)) } }
        }
    }
}

/// Events and lag of the last hours.
pub(super) fn sparks(status: &BucketStatus, traffic: &Traffic) -> Markup {
    let mut events = vec![None; STRETCHES as usize];
    let mut lags = events.clone();
    let own =
        traffic.iter().filter(|(bucket, prefix, _)| *bucket == status.bucket && *prefix == status.prefix);
    for (_, _, stretch) in own {
        let Some(place) = usize::try_from(stretch.place).ok().filter(|place| *place < events.len()) else {
            continue;
        };
        events[place] = Some(stretch.events);
        lags[place] = Some(stretch.lag_seconds.unwrap_or_default());
    }
    let seconds = |lag: f64| std::time::Duration::try_from_secs_f64(lag).map(rough).unwrap_or_default();
    let rate = |rate: f64| {
        if rate > 0.0 && rate < 10.0 { format!("{rate:.1}") } else { grouped(rate.round() as i64) }
    };
    html! {
        div.sparks {
            (figure("Events / min", "Events a minute", &events, rate))
            (figure("Lag", "Longest lag", &lags, seconds))
        }
    }
}

fn figure(short: &str, name: &str, values: &[Option<f64>], word: impl Fn(f64) -> String) -> Markup {
    let now = values.iter().rev().take(2).find_map(|value| *value);
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let now = now.map_or("not known".to_owned(), &word);
    let label = format!("{name} over the last {HOURS} hours: now {now}, at most {}", word(most));
    html! {
        figure {
            figcaption { span.dim { (short) } " " b { (now) } span.dim.most { "peak " (word(most)) } }
            (spark::bars(values, &label))
        }
    }
}
