//! What queries ask for exists.

use stocktake::metrics::{ALL, Kind, Metric};

/// What a histogram is scraped as.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// What is wrong with the metrics that a query names, and the labels that it picks of each.
pub(crate) fn mistakes(query: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (start, _) in query.match_indices("stocktake_") {
        let rest = &query[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(metric) = metric(name) else {
            mistakes.push(format!("there is no metric {name}"));
            continue;
        };
        let picked =
            after.strip_prefix('{').and_then(|after| after.split_once('}')).map_or("", |(picked, _)| picked);
        for matcher in picked.split(',').filter(|matcher| !matcher.is_empty()) {
            let label = matcher.split(['=', '!', '~']).next().unwrap_or_default().trim();
            if !metric.labels.contains(&label) && label != "le" {
                mistakes.push(format!("{name} has no label {label}"));
            }
        }
    }
    mistakes
}

fn metric(scraped: &str) -> Option<&'static Metric> {
    let of_part = PARTS.iter().find_map(|part| scraped.strip_suffix(part));
    ALL.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => of_part == Some(metric.name),
        Kind::Counter | Kind::Gauge => metric.name == scraped,
    })
}

#[test]
fn queries_that_ask_for_nothing_are_seen() {
    assert!(
        mistakes("rate(stocktake_event_lag_seconds_bucket[5m]) > stocktake_queue_depth{queue=\"q\"}")
            .is_empty()
    );
    for (query, mistake) in [
        ("stocktake_event_lag_seconds", "there is no metric stocktake_event_lag_seconds"),
        ("stocktake_queue_depth_sum", "there is no metric stocktake_queue_depth_sum"),
        ("sum(stocktake_depth)", "there is no metric stocktake_depth"),
        ("stocktake_drift_total{kind=\"ghost\",queue=~\"q\"}", "stocktake_drift_total has no label queue"),
    ] {
        assert_eq!(mistakes(query), [mistake]);
    }
}
