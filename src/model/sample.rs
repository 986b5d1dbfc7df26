//! What is known of keys before they are listed, and where to cut by it.

use super::Span;

/// Keys drawn by chance, each as often as it was drawn: where there are many of them, there is much to list.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    keys: Vec<String>,
    /// About how many rows they were drawn from.
    rows: f64,
}

impl Sample {
    /// Keys in any order, drawn from about so many rows.
    pub fn of(mut keys: Vec<String>, rows: f64) -> Self {
        keys.sort_unstable();
        Self { keys, rows }
    }

    /// Bounds that cut a span into so many parts, or fewer, with as many keys of the sample in each.
    pub fn cuts(&self, span: &Span, parts: usize) -> Vec<String> {
        let within = self.within(span);
        let bound = |part: usize| within.get(part * within.len() / parts).cloned();
        let mut bounds: Vec<String> = (1..parts).filter_map(bound).collect();
        bounds.dedup();
        bounds
    }

    /// About how many rows a span has.
    pub fn rows(&self, span: &Span) -> f64 {
        self.rows * self.within(span).len() as f64 / self.keys.len().max(1) as f64
    }

    /// Those before the end of a span: its last key cuts nothing off.
    fn within(&self, span: &Span) -> &[String] {
        let begin = self.keys.partition_point(|key| *key <= span.after);
        let end = self.keys.partition_point(|key| span.to.as_ref().is_none_or(|to| key < to));
        self.keys.get(begin..end).unwrap_or_default()
    }
}

/// Where to cut pages, all but the last of which end with `ends`, so that each of so many others has a part of
/// them as long as there are some, and none a larger one than the first, who keeps it.
pub fn share(ends: Vec<String>, others: usize) -> Vec<String> {
    let part = (ends.len() + 1).div_ceil(others + 1);
    ends.into_iter().skip(part - 1).step_by(part).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().copied().map(str::to_owned).collect()
    }

    fn span(after: &str, to: Option<&str>) -> Span {
        Span { after: after.to_owned(), to: to.map(str::to_owned) }
    }

    #[test]
    fn a_sample_is_cut_into_equal_parts() {
        let sample = Sample::of(('a'..='h').rev().map(String::from).collect(), 8.0);
        assert_eq!(sample.cuts(&Span::all(), 4), ["c", "e", "g"]);
        assert_eq!(sample.cuts(&span("b", Some("g")), 3), ["d", "e"]);
    }

    #[test]
    fn a_span_is_cut_where_much_was_drawn() {
        let sample = Sample::of(strings(&["a", "c", "c", "c", "d", "e", "f"]), 70.0);
        for (after, to, cuts, rows) in [
            ("", None, &["c"][..], 70.0),
            ("a", Some("d"), &["c"], 30.0),
            ("c", None, &["e"], 30.0),
            ("c", Some("e"), &["d"], 10.0),
            ("d", Some("e"), &[], 0.0),
            ("f", None, &[], 0.0),
            ("e", Some("b"), &[], 0.0),
        ] {
            let span = span(after, to);
            assert_eq!((sample.cuts(&span, 2), sample.rows(&span)), (strings(cuts), rows), "{span:?}");
        }
        let none = Sample::default();
        assert_eq!((none.cuts(&Span::all(), 9), none.rows(&Span::all())), (Vec::new(), 0.0));
    }

    #[test]
    fn pages_are_shared_evenly() {
        let ends = ["1", "2", "3", "4", "5"];
        for (others, cuts) in [
            (0, &[][..]),
            (1, &["3"]),
            (2, &["2", "4"]),
            (3, &["2", "4"]),
            (4, &["2", "4"]),
            (5, &ends),
            (60, &ends),
        ] {
            assert_eq!(share(strings(&ends), others), cuts, "{others} others");
        }
        assert!(share(Vec::new(), 3).is_empty(), "one page");
    }

    proptest! {
        #[test]
        fn cuts_are_keys_within_in_order(
            keys in vec("[a-d]{1,3}", 0..50), after in "[a-d]{0,3}", to in prop::option::of("[a-d]{1,3}"),
            parts in 1_usize..9,
        ) {
            let span = span(&after, to.as_deref());
            let cuts = Sample::of(keys.clone(), 50.0).cuts(&span, parts);
            prop_assert!(cuts.len() < parts);
            prop_assert!(cuts.iter().all(|cut| keys.contains(cut) && span.contains(cut) && span.to.as_ref() != Some(cut)));
            prop_assert!(cuts.is_sorted_by(|one, other| one < other));
        }

        /// As many rounds as there are pages in the first part are enough for all.
        #[test]
        fn nobody_has_more_pages_than_the_first(pages in 1_usize..40, others in 1_usize..70) {
            let ends: Vec<usize> = (1..pages).collect();
            let cuts = share(ends.iter().map(usize::to_string).collect(), others);
            prop_assert!(cuts.len() <= others);
            let places: Vec<usize> = cuts.iter().map(|cut| cut.parse().unwrap()).chain([pages]).collect();
            let first = places[0];
            prop_assert!(places.windows(2).all(|pair| (1..=first).contains(&(pair[1] - pair[0]))));
            prop_assert_eq!(first, pages.div_ceil(others + 1));
        }
    }
}
