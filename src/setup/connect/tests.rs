use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::setup::estate::Looked;

const THEIRS: &str = "<QueueConfiguration><Id>theirs</Id><Queue>arn:q</Queue></QueueConfiguration>";
const OURS: &str = "<QueueConfiguration><Id>ours</Id><Queue>arn:o</Queue></QueueConfiguration>";

/// A bucket whose configuration is read as the script says, whatever was written.
#[derive(Default)]
struct Scripted {
    reads: Mutex<VecDeque<String>>,
    refusals: Mutex<VecDeque<Fault>>,
    written: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(reads: &[&[&str]]) -> Self {
        let whole = |entries: &&[&str]| {
            format!("<NotificationConfiguration>{}</NotificationConfiguration>", entries.concat())
        };
        Self { reads: Mutex::new(reads.iter().map(whole).collect()), ..Self::default() }
    }

    fn refusing(self, times: usize) -> Self {
        let refusal = || Fault {
            action: "write the notification configuration of \"genomics\"".to_owned(),
            kind: Kind::Other,
            answer: "InvalidArgument: Unable to validate the following destination configurations".to_owned(),
            remedy: "see the policy".to_owned(),
            source: None,
        };
        Self { refusals: Mutex::new((0..times).map(|_| refusal()).collect()), ..self }
    }

    async fn told(&self) -> anyhow::Result<usize> {
        let change = |text: &str| notice::with(text, OURS);
        rewrite(self, How { skip_validation: false, patience: VALID_PATIENCE }, change, |after| {
            after.iter().any(|entry| entry.id == "ours")
        })
        .await?;
        Ok(self.written.lock().unwrap().len())
    }
}

impl Notices for Scripted {
    async fn rules(&self) -> Looked<Rules> {
        unreachable!("what is written is read as text")
    }

    async fn configuration(&self) -> Looked<String> {
        Ok(self.reads.lock().unwrap().pop_front().expect("no more than the script has"))
    }

    async fn configure(&self, text: &str, _skip_validation: bool) -> Looked<()> {
        self.written.lock().unwrap().push(text.to_owned());
        self.refusals.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

#[tokio::test]
async fn what_others_write_meanwhile_is_noticed() {
    let quiet = Scripted::new(&[&[THEIRS], &[THEIRS, OURS]]);
    assert_eq!(quiet.told().await.unwrap(), 1);
    let written = quiet.written.lock().unwrap()[0].clone();
    assert!(written.contains(THEIRS) && written.contains(OURS), "{written}");

    let ours_is_lost_once = Scripted::new(&[&[THEIRS], &[THEIRS], &[THEIRS], &[THEIRS, OURS]]);
    assert_eq!(ours_is_lost_once.told().await.unwrap(), 2);

    let ours_is_lost_always = Scripted::new(&[&[THEIRS][..]; 6]);
    assert!(ours_is_lost_always.told().await.unwrap_err().to_string().contains("all the time"));

    let theirs_is_lost = Scripted::new(&[&[THEIRS], &[OURS]]);
    let error = theirs_is_lost.told().await.unwrap_err().to_string();
    assert!(error.contains("at the same time") && error.contains(THEIRS), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_new_policy_is_waited_for_but_not_for_ever() {
    let late = Scripted::new(&[&[], &[OURS]]).refusing(3);
    assert_eq!(late.told().await.unwrap(), 4);
    let never = Scripted::new(&[&[]]).refusing(100);
    let began = Instant::now();
    let error = never.told().await.unwrap_err().to_string();
    assert!(
        error.ends_with("destination configurations; it is one of these: arn:o; see the policy"),
        "{error}"
    );
    assert!(
        began.elapsed() <= VALID_PATIENCE && began.elapsed() > VALID_PATIENCE / 2,
        "{:?}",
        began.elapsed()
    );
}
