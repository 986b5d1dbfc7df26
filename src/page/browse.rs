//! Folders, a page at a time, with how much is in each.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use time::OffsetDateTime;

use super::asked::Asked;
use super::failure::{Failure, Place, Shown};
use super::layout::{Frame, Tone};
use super::{Page, link, show};
use crate::catalog::Entry;
use crate::words::grouped;

/// Entries of a page.
const ENTRIES: usize = 100;
/// Up to so many objects of a folder are counted without being asked: a page costs a fifth of a second then.
const COUNTED: i64 = 1_000;
/// The parts of a path that are shown one by one; of a longer one the last.
const CRUMBS: usize = 8;

/// What a folder is called that has no name, as in `a//b`.
const NAMELESS: &str = "(a folder without a name)";
/// What the object is called whose key is that of the folder it is in.
pub(super) const ITSELF: &str = "(the folder itself)";

/// Which level, from where on, and whether all of its folders are counted to the last object.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    bucket: String,
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    #[serde(default)]
    all: bool,
}

/// The address of a level.
pub(super) fn address(bucket: &str, prefix: &str) -> String {
    link("/browse", &[("bucket", bucket), ("prefix", prefix)])
}

pub(super) async fn show(State(page): State<Arc<Page>>, Asked(wanted): Asked<Wanted>) -> Response {
    let shown = level(&page, &wanted).await;
    page.answer(shown)
}

async fn level(page: &Page, wanted: &Wanted) -> Shown {
    let Wanted { bucket, prefix, after, all } = wanted;
    page.must_know(bucket, Place::Folder(prefix)).await?;
    let _one = if *all { Some(page.limits.dear().await.ok_or(Failure::Busy)?) } else { None };
    let counted = (!all).then_some(COUNTED);
    let mut entries =
        page.catalog.entries(bucket, prefix, after.as_deref(), ENTRIES as i64 + 1, counted).await?;
    let has_more = entries.len() > ENTRIES;
    entries.truncate(ENTRIES);
    let is_cut = entries.iter().any(|entry| entry.inside.objects == counted && counted.is_some());
    let as_of = (page.clock)();
    let name = match prefix.rsplit_terminator('/').next() {
        None => bucket,
        Some("") => NAMELESS,
        Some(name) => name,
    };
    let content = html! {
        h1 { (show::text(name)) }
        section aria-label="Folders and objects" {
            @if entries.is_empty() { p { "Nothing is here." } } @else {
                (table(wanted, &entries, counted, as_of))
            }
            p.more {
                @if let Some(last) = entries.last().filter(|_| has_more) {
                    a href=(link("/browse", &[("bucket", bucket), ("prefix", prefix), ("after", &last.key)])) { "More" }
                    " "
                }
                @if is_cut {
                    @let all = [("bucket", bucket.as_str()), ("prefix", prefix), ("all", "true")];
                    @let after = after.as_deref().map(|after| ("after", after));
                    a href=(link("/browse", &all.into_iter().chain(after).collect::<Vec<_>>())) {
                        "Count these folders to the last object"
                    }
                    span.dim { " reads all that is in them" }
                }
            }
        }
    };
    let crumbs = crumbs(bucket, prefix);
    let frame = Frame { title: name, tone: Tone::Note, crumbs: &crumbs, refresh: false };
    Ok(page.dress(&frame, &content).into_response())
}

/// The way to a prefix: the overview, the bucket, its folders.
pub(super) fn crumbs(bucket: &str, prefix: &str) -> Vec<(String, String)> {
    let mut crumbs = vec![("Overview".to_owned(), "/".to_owned()), (bucket.to_owned(), address(bucket, ""))];
    let ends: Vec<usize> = prefix.match_indices('/').map(|(place, _)| place + 1).collect();
    for (number, end) in ends.iter().enumerate().skip(ends.len().saturating_sub(CRUMBS)) {
        let begin = if number == 0 { 0 } else { ends[number - 1] };
        let name = &prefix[begin..*end];
        crumbs.push((name.to_owned(), address(bucket, &prefix[..*end])));
    }
    crumbs
}

fn table(wanted: &Wanted, entries: &[Entry], counted: Option<i64>, as_of: OffsetDateTime) -> Markup {
    let weight = |entry: &Entry| entry.size.or(entry.inside.bytes).unwrap_or_default();
    let most = entries.iter().map(weight).max().unwrap_or_default();
    html! {
        div.wide tabindex="0" role="region" aria-label="Folders and objects" {
            table.folders {
                thead { tr { th scope="col" { "name" } th.number scope="col" { "objects" } th.number scope="col" { "bytes" }
                    th scope="col" { span.unseen { "share" } } th scope="col" { "modified" } th scope="col" { "storage class" } } }
                tbody {
                    @for entry in entries {
                        @let name = entry.key.strip_prefix(&*wanted.prefix).unwrap_or(&entry.key);
                        @let is_cut = counted.is_some() && entry.inside.objects == counted;
                        tr {
                            th scope="row" {
                                @if entry.is_folder {
                                    a.folder href=(address(&wanted.bucket, &entry.key)) {
                                        (show::code(name))
                                        @if name == "/" { span.dim { " " (NAMELESS) } }
                                    }
                                } @else {
                                    a href=(super::key::address(&wanted.bucket, &entry.key, None)) {
                                        @if name.is_empty() { (ITSELF) } @else { (show::code(name)) }
                                    }
                                }
                            }
                            td.number {
                                @if let Some(objects) = entry.inside.objects {
                                    @if is_cut { span title="More than were counted" { "≥ " (grouped(objects)) } }
                                    @else { (show::count(objects)) }
                                }
                            }
                            td.number { @if is_cut { "≥ " } (show::bytes(weight(entry))) }
                            td.share { (bar(weight(entry), most)) }
                            td { @if !entry.is_folder { (show::since(entry.last_modified, as_of)) } }
                            td { (show::text(entry.storage_class.as_deref().unwrap_or_default())) }
                        }
                    }
                }
            }
        }
    }
}

/// As long as something is large, beside what is largest on the page. The number stands beside it.
fn bar(weight: i64, most: i64) -> Markup {
    let width = if most > 0 { weight as f64 / most as f64 * 100.0 } else { 0.0 };
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(format!("{width:.1}")) height="8" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_lead_to_each_folder() {
        let names = |prefix: &str| crumbs("b", prefix).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(""), ["Overview", "b"]);
        assert_eq!(names("a//b/"), ["Overview", "b", "a/", "/", "b/"]);
        assert_eq!(names(&"x/".repeat(500)).len(), 2 + CRUMBS);
        let (_, address) = crumbs("b", "a/é&/").pop().unwrap();
        assert_eq!(address, "/browse?bucket=b&prefix=a%2F%C3%A9%26%2F");
    }
}
