//! Set-ups that are broken in one way each, played by a front of the emulator's in the words that AWS documents: the
//! doctor names what is broken, and nothing else.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{Play, Rule, Told};
use place::Place;

mod cases;
mod place;
mod refusals;

/// Doctors at once.
const AT_ONCE: usize = 4;

/// A set-up and what is to be said of it.
struct Broken {
    /// What AWS answers otherwise.
    plays: Vec<Rule>,
    /// Further keys of the bucket's section.
    keys: String,
    /// The checks that are not well, and how; the first has all of `words`.
    told: Vec<(&'static str, &'static str)>,
    words: Vec<String>,
}

/// What is played, and that this is a failure of one check with all of these words.
fn failing(
    check: &'static str,
    words: &[&str],
    plays: impl IntoIterator<Item = (&'static str, Play)>,
) -> Broken {
    broken(&[(check, "failure")], words, plays.into_iter().map(played).collect())
}

fn warned(
    check: &'static str,
    words: &[&str],
    plays: impl IntoIterator<Item = (&'static str, Play)>,
) -> Broken {
    broken(&[(check, "warning")], words, plays.into_iter().map(played).collect())
}

fn played((operation, play): (&'static str, Play)) -> Rule {
    match play {
        // The queue for dead letters is looked at second.
        Play::Attribute(..) => Rule::of(operation, play).times(1),
        play => Rule::of(operation, play),
    }
}

fn broken(told: &[(&'static str, &'static str)], words: &[&str], plays: Vec<Rule>) -> Broken {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    Broken { plays, keys: String::new(), told: told.to_vec(), words }
}

impl Broken {
    /// And with it something more that is not well.
    fn and(mut self, check: &'static str, verdict: &'static str) -> Self {
        self.told.push((check, verdict));
        self
    }

    fn with(self, keys: &str) -> Self {
        Self { keys: keys.to_owned(), ..self }
    }
}

/// What the doctor says that is not well, but for databases of tests, which need not survive a crash.
fn ill(told: &Told) -> Vec<Value> {
    let is_ill = |finding: &Value| finding["verdict"] != "ok" && finding["check"] != "durability";
    told.json().into_iter().filter(is_ill).collect()
}

#[tokio::test]
async fn each_broken_set_up_is_named_and_nothing_else() {
    let place = Arc::new(Place::new().await);
    let well = vec![broken(&[], &[], Vec::new())];
    let all = [
        well,
        cases::credentials(&place),
        cases::buckets(),
        cases::notifications(&place),
        cases::queues(&place),
        cases::keys(&place),
    ]
    .into_iter()
    .flatten();
    let (turns, mut doctors) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for set_up in all {
        let (place, turns) = (Arc::clone(&place), Arc::clone(&turns));
        doctors.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let told = place.doctor(set_up.plays.clone(), &set_up.keys).await;
            judge(&set_up, &told)
        });
    }
    let mut wrong = Vec::new();
    while let Some(judged) = doctors.join_next().await {
        wrong.extend(judged.unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is wrong with what was said of a set-up.
fn judge(set_up: &Broken, told: &Told) -> Option<String> {
    let Broken { told: expected, words, .. } = set_up;
    let ill = ill(told);
    let mut said: Vec<(&str, &str)> = ill
        .iter()
        .map(|finding| (finding["check"].as_str().unwrap(), finding["verdict"].as_str().unwrap()))
        .collect();
    said.dedup();
    let is_failed = told.json().iter().any(|finding| finding["verdict"] == "failure");
    let text = |finding: &Value| {
        format!("{}; {}", finding["found"].as_str().unwrap(), finding["remedy"].as_str().unwrap())
    };
    let first =
        ill.iter().find(|finding| expected.first().is_some_and(|(check, _)| finding["check"] == *check));
    let first = first.map(text).unwrap_or_default();
    let is_as_expected = expected.iter().all(|one| said.contains(one))
        && said.iter().all(|one| expected.contains(one))
        && words.iter().all(|word| first.contains(word))
        && told.code == Some(i32::from(is_failed));
    (!is_as_expected)
        .then(|| format!("expected {expected:?} with {words:?}, and was told {ill:#?} {}", told.stderr))
}
