//! Alert rules, their tests, and the runbook.

use std::process::Command;

use stocktake::metrics::ALL;

use crate::promql::mistakes;
use crate::{read, root, run, tool};

const RULES: &str = "deploy/prometheus/rules.yml";

/// What stands after `key` in each line that has it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::trim).collect()
}

#[test]
fn alerts_are_raised_when_they_must_be_and_only_then() {
    run(Command::new(tool("promtool"))
        .args(["test", "rules", "rules_test.yml"])
        .current_dir(root().join("deploy/prometheus")));
}

#[test]
fn every_alert_has_tests_and_a_chapter_of_the_runbook() {
    let (rules, tests, runbook) =
        (read(RULES), read("deploy/prometheus/rules_test.yml"), read("docs/RUNBOOK.md"));
    let alerts = values(&rules, "- alert:");
    assert!(alerts.len() > 10, "{alerts:?}");
    let anchors: Vec<&str> = values(&rules, "runbook:");
    let expected: Vec<String> =
        alerts.iter().map(|alert| format!("docs/RUNBOOK.md#{}", alert.to_lowercase())).collect();
    assert_eq!(anchors, expected);

    let chapters: Vec<&str> = values(&runbook, "## ");
    assert_eq!(chapters, alerts, "chapters are in the order of the rules");
    for (alert, chapter) in alerts.iter().zip(runbook.split("\n## ").skip(1)) {
        for part in ["**Means**", "**Look at**", "**Do**", "**Over**"] {
            assert!(
                chapter.contains(part) || chapter.contains("**Look at** and **do**"),
                "{alert} has no {part}"
            );
        }
        let checks: Vec<&str> =
            tests.lines().filter(|line| line.contains(&format!("alertname: {alert}"))).collect();
        let silent = checks.iter().filter(|check| check.contains("exp_alerts: []")).count();
        assert!(silent > 0 && silent < checks.len(), "{alert} must be tested to be raised, and not to be");
    }
}

#[test]
fn rules_and_runbook_name_metrics_that_exist() {
    assert_eq!(mistakes(&read(RULES)), Vec::<String>::new());
    for name in read("docs/RUNBOOK.md").split('`').filter(|word| word.starts_with("stocktake_")) {
        let name = name.split('{').next().unwrap_or_default();
        assert!(ALL.iter().any(|metric| metric.name == name), "docs/RUNBOOK.md: there is no metric {name}");
    }
}
