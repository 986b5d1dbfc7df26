//! How much is in a bucket by storage class, over time and now.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use time::OffsetDateTime;

use super::{show, spark};
use crate::catalog::{Amount, Catalog};

/// Moments that are drawn.
const POINTS: i32 = 120;

/// A picture with a layer for each class, and a table of what there is now.
pub(super) async fn section(catalog: &Catalog, bucket: &str) -> Result<Markup, sqlx::Error> {
    let amounts = catalog.growth(bucket, POINTS).await?;
    let hours: BTreeSet<_> = amounts.iter().map(|amount| amount.hour).collect();
    let mut classes: BTreeMap<&str, BTreeMap<_, i64>> = BTreeMap::new();
    for Amount { hour, storage_class, bytes } in &amounts {
        classes.entry(storage_class.as_deref().unwrap_or_default()).or_default().insert(hour, *bytes);
    }
    let layers: Vec<Vec<f64>> = classes
        .values()
        .map(|known| hours.iter().map(|hour| known.get(hour).copied().unwrap_or_default() as f64).collect())
        .collect();
    let span = hours.first().zip(hours.last()).map_or(0.0, |(first, last)| (*last - *first).as_seconds_f64());
    let place =
        |hour: &OffsetDateTime| hours.first().map_or(0.0, |first| (*hour - *first).as_seconds_f64() / span);
    let moments: Vec<f64> = if span > 0.0 { hours.iter().map(place).collect() } else { Vec::new() };
    let now = catalog.stats_of(bucket).await?;
    let label = match (hours.first(), hours.last()) {
        (Some(first), Some(last)) if hours.len() > 1 => {
            format!(
                "Bytes by storage class, all versions, from {} to {}",
                crate::words::moment(*first),
                crate::words::moment(*last)
            )
        }
        _ => String::new(),
    };
    Ok(html! {
        section aria-labelledby="storage" {
            h2 #storage { "Storage" }
            @if !label.is_empty() {
                div.panel {
                    p.dim { (label) }
                    p {
                        @for (place, class) in classes.keys().enumerate() {
                            (swatch(place)) " " @if class.is_empty() { "not known yet" } @else { (show::text(class)) } " "
                        }
                    }
                    (spark::layers(&moments, &layers, &label))
                }
            }
            @if now.is_empty() { p { "Nothing is in it." } } @else {
                div.wide tabindex="0" role="region" aria-labelledby="storage" {
                    table {
                        thead { tr { th scope="col" { "storage class" } th.number scope="col" { "objects" } th.number scope="col" { "bytes" }
                            th.number scope="col" { "noncurrent versions" } th.number scope="col" { "their bytes" }
                            th.number scope="col" { "delete markers" } } }
                        tbody {
                            @for amount in &now {
                                @let class = amount.storage_class.as_deref().unwrap_or_default();
                                tr {
                                    th scope="row" {
                                        @if let Some(place) = classes.keys().position(|known| *known == class) {
                                            (swatch(place)) " "
                                        }
                                        @if class.is_empty() { "not known yet" } @else { (show::text(class)) }
                                    }
                                    td.number { (show::count(amount.objects)) }
                                    td.number { (show::bytes(amount.bytes)) }
                                    td.number { (show::count(amount.noncurrent_versions)) }
                                    td.number { (show::bytes(amount.noncurrent_bytes)) }
                                    td.number { (show::count(amount.delete_markers)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// The colour of a layer, beside its name.
fn swatch(place: usize) -> Markup {
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect class={ "layer" (place % 6) } width="10" height="10" {} }
    }
}
