//! The dashboard.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::promql::mistakes;
use crate::{read, root, run, tool};

/// Every query in it.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/stocktake.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect()
}

#[test]
fn it_is_what_its_program_prints() {
    let printed = run(Command::new("python3").arg("dashboard.py").current_dir(root().join("deploy/grafana")));
    let now = read("deploy/grafana/stocktake.json");
    assert!(printed == now, "in deploy/grafana: python3 dashboard.py > stocktake.json");
}

#[test]
fn its_queries_can_be_read_and_name_metrics_that_exist() {
    let queries = queries();
    assert!(queries.len() > 25, "{queries:?}");
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (index, query) in queries.iter().enumerate() {
        assert_eq!(mistakes(query), Vec::<String>::new(), "in {query}");
        let query = query.replace("$__rate_interval", "5m").replace("$bucket", ".*");
        let _ = writeln!(rules, "  - record: query:{index}\n    expr: {}", Value::from(query));
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.yml");
    fs::write(&file, rules).expect("a file");
    run(Command::new(tool("promtool")).args(["check", "rules"]).arg(file));
}

#[test]
fn it_shows_every_metric() {
    let queries = queries().join("\n");
    for metric in stocktake::metrics::ALL {
        assert!(queries.contains(metric.name), "no panel shows {}", metric.name);
    }
}
