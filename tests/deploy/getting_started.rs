//! The policies of docs/GETTING-STARTED.md are those that the program prints for the configuration given there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{read, run};

/// The block of the document after a mark.
fn block(mark: &str) -> String {
    let document = read("docs/GETTING-STARTED.md");
    let (_, from) = document.split_once(&format!("<!-- {mark} -->\n```")).expect(mark);
    let (_, from) = from.split_once('\n').expect("a line of its own");
    from.split_once("```").expect("an end").0.to_owned()
}

fn document(mark: &str) -> Value {
    serde_json::from_str(&block(mark)).unwrap_or_else(|error| panic!("{mark}: {error}"))
}

/// What the program prints for these blocks.
fn printed(configuration: &[&str], only: &str) -> Value {
    let text: String = configuration.iter().map(|mark| block(mark)).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("getting-started-{only}.toml"));
    fs::write(&file, text).expect("a file");
    let mut policy = Command::new(env!("CARGO_BIN_EXE_stocktake"));
    policy.arg("--config").arg(file).args(["policy", "--bucket", "genomics", "--account", "111122223333"]);
    policy.args(["--principal", "arn:aws:iam::444455556666:role/platform", "--only", only]);
    serde_json::from_str(&run(&mut policy)).expect("one document")
}

#[test]
fn the_policies_are_those_that_are_printed() {
    assert_eq!(document("user.json"), printed(&["user.toml"], "permissions"));
    assert_eq!(document("trust.json"), printed(&["user.toml", "role.toml"], "trust"));
    assert_eq!(document("queue.json"), printed(&["user.toml"], "queue"));
}

#[test]
fn whoever_connects_may_do_what_that_takes() {
    let needed = read("docs/TROUBLESHOOTING.md");
    let (_, needed) = needed.split_once("beyond what the doctor looks at,").expect("what connect needs");
    let needed = needed.split_once(": an operator's rights").expect("an end").0.split('`');
    let statements = document("operator.json")["Statement"].clone();
    for action in needed.filter(|word| word.contains(':')) {
        assert!(statements.to_string().contains(&format!("\"{action}\"")), "{action} is missing");
    }
}
