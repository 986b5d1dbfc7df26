//! What breaks next, by the dice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::replica::Replica;
use crate::faults::twice_and_in_reverse;
use crate::support::{Cluster, DELETE, LIST, Play, RECEIVE, Rule, Stage, s3_error, sqs_error};

/// How many faults there are in the time of a soak, at least, and the longest rest between two.
const FAULTS_MIN: u32 = 30;
const REST_MAX: Duration = Duration::from_secs(20);
/// How long somebody is away, or a connection stuck, at most.
const AWAY_MAX: Duration = Duration::from_secs(6);

/// What may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A replica is gone without a word, and comes back.
    Kill,
    /// A replica is stopped, and comes back.
    Terminate,
    /// Postgres is stopped, or its machine loses power.
    StopPostgres,
    KillPostgres,
    /// All of a replica's connections to Postgres are cut, or let nothing through for a while.
    Cut,
    Stall,
    /// From now on: a queue that fails, or only says so; that brings each message twice, the last first; a store that is
    /// overloaded. Until it is well again.
    FailingQueue,
    UntidyQueue,
    BusyStore,
    Recover,
}

/// How often each comes, out of all.
const WEIGHTS: [(u32, Fault); 10] = [
    (8, Fault::Kill),
    (6, Fault::Terminate),
    (2, Fault::StopPostgres),
    (1, Fault::KillPostgres),
    (6, Fault::Cut),
    (5, Fault::Stall),
    (5, Fault::FailingQueue),
    (4, Fault::UntidyQueue),
    (4, Fault::BusyStore),
    (4, Fault::Recover),
];

fn failing_queue() -> Vec<Rule> {
    vec![
        Rule::of(RECEIVE, Play::Lose).by_chance(0.1),
        Rule::of(RECEIVE, sqs_error(500, "InternalFailure")).by_chance(0.1),
        Rule::of(RECEIVE, sqs_error(400, "ThrottlingException")).by_chance(0.05),
        Rule::of(RECEIVE, Play::Reset).by_chance(0.05),
        Rule::of(DELETE, Play::Lose).by_chance(0.2),
        Rule::of(DELETE, sqs_error(500, "InternalFailure")).by_chance(0.1),
        Rule::of(DELETE, Play::Reset).by_chance(0.1),
    ]
}

fn untidy_queue() -> Vec<Rule> {
    vec![
        Rule::of(RECEIVE, Play::Change(twice_and_in_reverse)),
        Rule::of(RECEIVE, Play::Delay(Duration::from_millis(400))).by_chance(0.5),
        Rule::of(DELETE, Play::Delay(Duration::from_secs(1))).by_chance(0.2),
    ]
}

fn busy_store() -> Vec<Rule> {
    [LIST, "HeadObject", "GetBucketVersioning"]
        .into_iter()
        .flat_map(|operation| {
            [
                Rule::of(operation, s3_error(503, "SlowDown")).by_chance(0.1),
                Rule::of(operation, s3_error(500, "InternalError")).by_chance(0.1),
                Rule::of(operation, Play::Lose).by_chance(0.1),
                Rule::of(operation, Play::Reset).by_chance(0.1),
                Rule::of(operation, Play::Delay(Duration::from_millis(300))).by_chance(0.3),
            ]
        })
        .collect()
}

/// The dice, Postgres, and what was thrown so far.
pub(super) struct Faults {
    dice: fastrand::Rng,
    rest_max: Duration,
    cluster: Cluster,
    thrown: BTreeMap<Fault, u32>,
}

impl Faults {
    /// The same seed breaks the same things in the same order.
    pub(super) fn new(seed: u64, lasts: Duration, cluster: Cluster) -> Self {
        let rest_max = REST_MAX.min(lasts / FAULTS_MIN);
        Self { dice: fastrand::Rng::with_seed(seed), rest_max, cluster, thrown: BTreeMap::new() }
    }

    /// Waits a little, then breaks something. Tells what.
    pub(super) async fn strike(&mut self, stage: &Stage, replicas: &mut [Replica; 2]) -> String {
        tokio::time::sleep(self.up_to(self.rest_max)).await;
        let away = self.up_to(AWAY_MAX);
        let fault = self.throw();
        *self.thrown.entry(fault).or_default() += 1;
        let chosen = self.dice.usize(..replicas.len());
        match fault {
            Fault::Kill | Fault::Terminate => {
                let mortal = &mut replicas[0];
                mortal.end(fault == Fault::Kill).await;
                tokio::time::sleep(away).await;
                mortal.restart(stage);
                format!("{fault:?}, back after {away:.1?}")
            }
            Fault::StopPostgres | Fault::KillPostgres => {
                if fault == Fault::StopPostgres {
                    self.cluster.stop().await;
                } else {
                    self.cluster.kill().await;
                }
                tokio::time::sleep(away).await;
                self.cluster.start().await;
                format!("{fault:?}, back after {away:.1?}")
            }
            Fault::Cut | Fault::Stall => {
                let Replica { name, relay, .. } = &replicas[chosen];
                let away = if fault == Fault::Cut {
                    relay.open();
                    self.up_to(Duration::from_millis(500))
                } else {
                    relay.stall();
                    away
                };
                tokio::time::sleep(away).await;
                relay.close();
                format!("{fault:?} between {name} and Postgres, for {away:.1?}")
            }
            Fault::FailingQueue | Fault::UntidyQueue | Fault::BusyStore | Fault::Recover => {
                let Replica { name, front, .. } = &replicas[chosen];
                front.play(match fault {
                    Fault::FailingQueue => failing_queue(),
                    Fault::UntidyQueue => untidy_queue(),
                    Fault::BusyStore => busy_store(),
                    _ => Vec::new(),
                });
                format!("{fault:?} for {name}, until further notice")
            }
        }
    }

    /// Everything is well again.
    pub(super) fn mend(&self, replicas: &[Replica; 2]) {
        replicas.iter().for_each(Replica::mend);
    }

    /// How often what befell them.
    pub(super) fn told(&self) -> String {
        let told: Vec<_> = self.thrown.iter().map(|(fault, times)| format!("{fault:?} {times}")).collect();
        format!("faults: {}", told.join(", "))
    }

    fn throw(&mut self) -> Fault {
        let all: u32 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut left = self.dice.u32(..all);
        for (weight, fault) in WEIGHTS {
            if left < weight {
                return fault;
            }
            left -= weight;
        }
        unreachable!("less than the sum of the weights")
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.dice.f64())
    }
}
