//! What may grow, looked at again and again, and whether it did.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use super::replica::Replica;
use super::tables;

/// What a daemon may hold open of Postgres: `database.max_connections`, one to see whether it is there, and the status
/// page's three.
const CONNECTIONS_MAX: i64 = 14;
/// What one at rest may have open: those connections, as many to S3 and SQS as the SDK keeps for later, and a few of its
/// own.
const FILES_MAX: f64 = 40.0;
/// And one at work: it has as many connections as it has requests under way, and messages that came late are many at once.
const FILES_AT_WORK_MAX: f64 = 250.0;
/// How long it may take to come to rest: the SDK keeps a connection that it does not need for 90 s.
const RESTS_WITHIN: Duration = Duration::from_secs(120);
/// By how much the middle of the last quarter may exceed that of the second: a tenth, and so much of each.
const SHARE: f64 = 0.1;
const MEMORY_SLACK: f64 = 5.0;
const TABLES_SLACK: f64 = 16.0;

/// What a daemon takes of its machine.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// Resident memory in MiB.
    memory: f64,
    /// Open files, sockets among them.
    files: f64,
}

impl Process {
    fn of(number: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: f64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
        let files = fs::read_dir(format!("/proc/{number}/fd")).unwrap().count();
        Self { memory: kib / 1024.0, files: f64::from(u32::try_from(files).unwrap()) }
    }
}

/// One look.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    at: Duration,
    processes: [Process; 2],
    /// None while Postgres is not there.
    connections: Option<i64>,
    /// What those tables take, in MiB, that have no more rows than there is to keep.
    tables: Option<f64>,
}

impl Sample {
    /// Looks until what was opened for a run that just ended is given back, or that takes too long.
    pub(super) async fn at_rest(began: Instant, replicas: &mut [Replica; 2], pool: &PgPool) -> Self {
        let deadline = Instant::now() + RESTS_WITHIN;
        loop {
            let sample = Self::take(began.elapsed(), replicas, pool).await;
            if sample.processes.iter().all(|process| process.files <= FILES_MAX) || deadline < Instant::now()
            {
                return sample;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Looks; fails if one of the daemons has ended by itself.
    pub(super) async fn take(at: Duration, replicas: &mut [Replica; 2], pool: &PgPool) -> Self {
        let processes = replicas.each_mut().map(|replica| {
            replica.daemon.must_run();
            Process::of(replica.daemon.process())
        });
        Self { at, processes, connections: connections(pool).await, tables: tables::bounded(pool).await }
    }
}

/// How many connections daemons have to Postgres.
pub(super) async fn connections(pool: &PgPool) -> Option<i64> {
    let query = "select count(*) from pg_stat_activity
                 where application_name = 'stocktake' and datname = current_database()";
    sqlx::query_scalar(query).fetch_one(pool).await.ok()
}

impl Display for Sample {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let [one, other] = self.processes;
        let connections = self.connections.map_or("-".to_owned(), |count| count.to_string());
        let tables = self.tables.map_or("-".to_owned(), |size| format!("{size:.1}"));
        write!(
            to,
            "{:6.0} s  memory {:5.1} {:5.1} MiB  files {:3} {:3}  connections {connections:>3}  tables {tables:>5} MiB",
            self.at.as_secs_f64(),
            one.memory,
            other.memory,
            one.files,
            other.files
        )
    }
}

/// What is to be said in the end.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    told: Vec<String>,
    wrong: Vec<String>,
}

impl Verdict {
    /// What a soak showed; whether anything grew only if it was long enough for that.
    pub(super) fn of(samples: &[Sample], is_long: bool) -> Self {
        let mut verdict = Self::default();
        let most = samples.iter().filter_map(|sample| sample.connections).max().unwrap_or_default();
        // Of one that was killed, Postgres may not know yet.
        verdict.must("connections to Postgres at most", most, 3 * CONNECTIONS_MAX);
        if is_long {
            let immortal = |pick: fn(&Process) -> f64| {
                samples.iter().map(|sample| pick(&sample.processes[1])).collect::<Vec<_>>()
            };
            verdict.grown("memory in MiB", &immortal(|process| process.memory), MEMORY_SLACK);
            let files = immortal(|process| process.files).into_iter().fold(0.0, f64::max);
            verdict.must("open files of the immortal at most", files, FILES_AT_WORK_MAX);
            let tables: Vec<_> = samples.iter().filter_map(|sample| sample.tables).collect();
            verdict.grown("tables in MiB", &tables, TABLES_SLACK);
        }
        verdict
    }

    /// When nothing happens any more, what was needed for it is given back.
    pub(super) fn at_rest(&mut self, sample: &Sample) {
        self.told.push(format!("at rest: {sample}"));
        self.must("connections at rest", sample.connections.unwrap_or(i64::MAX), 2 * CONNECTIONS_MAX);
        for process in sample.processes {
            self.must("open files at rest", process.files, FILES_MAX);
        }
    }

    /// And nothing panicked on the way.
    pub(super) fn calm(&mut self, replicas: &[Replica; 2]) {
        self.wrong.extend(replicas.iter().flat_map(Replica::panics));
    }

    pub(super) fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }

    fn must<T: PartialOrd + Display>(&mut self, what: &str, is: T, most: T) {
        let line = format!("{what}: {is}, no more than {most}");
        if is > most { &mut self.wrong } else { &mut self.told }.push(line);
    }

    fn grown(&mut self, what: &str, series: &[f64], slack: f64) {
        let quarter = series.len() / 4;
        let (before, after) = (middle(&series[quarter..2 * quarter]), middle(&series[3 * quarter..]));
        let line =
            format!("{what}, the middle of the second quarter and of the last: {before:.1}, {after:.1}");
        let is_grown = after > before * (1.0 + SHARE) + slack;
        if is_grown { &mut self.wrong } else { &mut self.told }.push(line);
    }
}

fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Display for Verdict {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.told {
            writeln!(to, "{line}")?;
        }
        for line in &self.wrong {
            writeln!(to, "WRONG: {line}")?;
        }
        Ok(())
    }
}

/// What a minute shows: memory, files, and tables.
type Course = fn(f64) -> (f64, f64, f64);

#[test]
fn what_leaks_is_noticed_in_an_hour_and_what_goes_up_and_down_is_not() {
    let look = |minute: u32, memory: f64, files: f64, tables: f64| Sample {
        at: Duration::from_secs(60) * minute,
        processes: [Process { memory: 50.0, files: 40.0 }, Process { memory, files }],
        connections: Some(20),
        tables: Some(tables),
    };
    let hour = |of: Course| -> Vec<Sample> {
        let looks = (0..60).map(|minute| {
            let (memory, files, tables) = of(f64::from(minute));
            look(minute, memory, files, tables)
        });
        looks.collect()
    };
    let well = hour(|m| (60.0 + 20.0 * m.sin(), 40.0 + 10.0 * m.cos(), 12.0 + 3.0 * m.sin()));
    assert!(Verdict::of(&well, true).is_well(), "{}", Verdict::of(&well, true));
    // What a start takes is no growth: it is over by the second quarter.
    let warm = hour(|m| (60.0 - 40.0 / (1.0 + m), 40.0, 12.0));
    assert!(Verdict::of(&warm, true).is_well());
    let leaks: [Course; 3] = [
        |m| (50.0 + 0.5 * m + 5.0 * m.sin(), 40.0, 12.0),
        |m| (60.0, 40.0 + 5.0 * m, 12.0),
        |m| (60.0, 40.0, 10.0 + m),
    ];
    for leak in leaks {
        let verdict = Verdict::of(&hour(leak), true);
        assert_eq!(verdict.wrong.len(), 1, "{verdict}");
        assert!(Verdict::of(&hour(leak), false).is_well(), "a minute shows no growth");
    }
    let mut verdict = Verdict::default();
    verdict.at_rest(&look(60, 60.0, 400.0, 12.0));
    assert!(verdict.wrong.len() == 1 && verdict.to_string().contains("open files at rest: 400"), "{verdict}");
}
