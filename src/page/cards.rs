//! A card for each bucket: how it is in a word, how fresh, how much is in it, and how its last run went.

use maud::{Markup, html};

use super::show;
use super::verdict::tone;
use crate::overview::{Bucket, Overview, drift, place};

pub(super) fn card(bucket: &Bucket, overview: &Overview) -> Markup {
    let Bucket { state, status, .. } = bucket;
    let tone = tone(*state);
    let as_of = overview.as_of;
    let run = &status.run;
    html! {
        article.card.(tone.as_str()) {
            header {
                h3 { (show::text(&place(status))) }
                span.badge.(tone.as_str()) { span aria-hidden="true" { (tone.sign()) } " " (state.as_str()) }
            }
            p.dim { (show::text(status.region.as_deref().unwrap_or("region not known yet"))) " · "
                (show::text(status.versioning.as_deref().unwrap_or("versioning not known yet"))) }
            dl {
                div { dt { "Objects" } dd { (show::count(status.objects)) } }
                div { dt { "Bytes" } dd { (show::bytes(status.bytes)) } }
                div { dt { "Complete up to" } dd { (show::since(status.complete_through, as_of)) } }
                div { dt { "Queues empty" } dd { (show::since(status.caught_up_at, as_of)) } }
                div { dt { "Last event" } dd { (show::since(status.last_event_at, as_of)) } }
                div { dt { "Keys in doubt" } dd { (show::count(status.rechecks)) } }
            }
            p.run {
                @match (run.status.as_deref(), run.started_at) {
                    (Some("running"), Some(started_at)) => {
                        "Run under way since " (show::since(Some(started_at), as_of)) ", "
                        (show::count(run.keys_listed.unwrap_or_default())) " keys so far"
                    }
                    (Some(ended), Some(_)) => {
                        "Last run " (ended) " " (show::since(run.finished_at, as_of)) ", "
                        (show::count(run.keys_listed.unwrap_or_default())) " keys, drift " (drift(run))
                    }
                    _ => "No run yet"
                }
            }
        }
    }
}
