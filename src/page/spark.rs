//! Small pictures of numbers over time, which need neither scripts nor styles of their own.

use std::fmt::Write;

use maud::{Markup, html};

/// How wide a stretch of time is drawn, with the gap behind it.
const STEP: usize = 4;
const HEIGHT: f64 = 28.0;
/// What is not nothing is seen.
const LEAST: f64 = 1.5;

/// A bar for each stretch of time, the latest last; where nothing is known there is a gap. `label` says all of it.
pub(super) fn bars(values: &[Option<f64>], label: &str) -> Markup {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let mut known = String::new();
    let mut path = String::new();
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let x = place * STEP;
        let _ = write!(known, "M{x} {HEIGHT}h{}", STEP - 1);
        if *value > 0.0 && most > 0.0 {
            let height = (value / most * HEIGHT).max(LEAST);
            let _ = write!(path, "M{x} {HEIGHT}h{}v-{height:.1}h-{}z", STEP - 1, STEP - 1);
        }
    }
    let width = values.len() * STEP;
    html! {
        svg.spark viewBox={ "0 0 " (width) " " (HEIGHT + 1.0) } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            path.line d=(known) {}
            path.bars d=(path) {}
        }
    }
}

/// Layers one upon the other, at the same moments each, which are parts of the whole time: what is lowest comes first.
pub(super) fn layers(moments: &[f64], layers: &[Vec<f64>], label: &str) -> Markup {
    const WIDTH: f64 = 720.0;
    const TALL: f64 = 120.0;
    let total = |moment: usize| layers.iter().filter_map(|layer| layer.get(moment)).sum::<f64>();
    let most = (0..moments.len()).map(total).fold(0.0, f64::max);
    let x = |moment: usize| moments.get(moment).copied().unwrap_or_default() * WIDTH;
    let y = |value: f64| if most > 0.0 { TALL - value / most * (TALL - 2.0) } else { TALL };
    let mut below = vec![0.0; moments.len()];
    let mut paths = Vec::new();
    for layer in layers {
        let above: Vec<f64> = layer.iter().zip(&below).map(|(value, below)| value + below).collect();
        let mut path = String::new();
        for (moment, value) in above.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if moment == 0 { "M" } else { "L" }, x(moment), y(*value));
        }
        for (moment, value) in below.iter().enumerate().rev() {
            let _ = write!(path, "L{:.1} {:.1}", x(moment), y(*value));
        }
        paths.push(path + "z");
        below = above;
    }
    html! {
        svg.layers viewBox={ "0 0 " (WIDTH) " " (TALL) } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            @for (place, path) in paths.iter().enumerate() { path class={ "layer" (place % 6) } d=(path) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_value_and_a_gap_is_none() {
        let picture = bars(&[Some(0.0), None, Some(5.0), Some(10.0), Some(0.001)], "<most 10>").into_string();
        assert!(picture.contains("viewBox=\"0 0 20 29\""), "{picture}");
        assert!(picture.contains("aria-label=\"&lt;most 10&gt;\""), "{picture}");
        assert!(picture.contains("d=\"M0 28h3M8 28h3M12 28h3M16 28h3\""), "what is known: {picture}");
        assert!(picture.contains("d=\"M8 28h3v-14.0h-3zM12 28h3v-28.0h-3zM16 28h3v-1.5h-3z\""), "{picture}");
    }

    #[test]
    fn nothing_at_all_is_drawn_as_nothing() {
        for values in [vec![], vec![None], vec![Some(0.0)]] {
            assert!(bars(&values, "").into_string().contains("class=\"bars\" d=\"\""));
        }
        assert!(
            layers(&[1.0], &[vec![0.0], vec![0.0]], "").into_string().contains("M720.0 120.0L720.0 120.0z")
        );
    }

    #[test]
    fn layers_stand_upon_each_other() {
        let picture = layers(&[0.0, 1.0], &[vec![1.0, 1.0], vec![0.0, 1.0]], "").into_string();
        assert!(picture.contains("d=\"M0.0 61.0L720.0 61.0L720.0 120.0L0.0 120.0z\""), "{picture}");
        assert!(picture.contains("d=\"M0.0 61.0L720.0 2.0L720.0 61.0L0.0 61.0z\""), "{picture}");
    }
}
