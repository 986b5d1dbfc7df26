//! The command line, and what the process's exit code says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Source;
use crate::setup::documents;

/// What was built: `0.1.0 (2572388c8bc6)`.
pub const VERSION: &str = env!("BUILT_VERSION");

/// How the process ended, in the numbers of BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// Something failed, or a check did.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The configuration makes no sense.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Config => 78,
        })
    }
}

const CONFIG_HELP: &str =
    "Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]";

/// Keeps a Postgres catalog of S3 buckets true, from their events and from listings.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "stocktake", version = VERSION, disable_help_subcommand = true)]
#[command(after_help = "Every key of the configuration can be overridden by a variable such as \
    STOCKTAKE_DATABASE__URL.\nExit codes: 0 done, 1 failed, 64 wrong usage, 78 wrong configuration.")]
pub struct Cli {
    /// Where the configuration is read from; none leaves it to `STOCKTAKE_CONFIG`, and then to
    /// `config/default.toml`.
    #[arg(long, global = true, value_name = "FILE", help = CONFIG_HELP, long_help = CONFIG_HELP)]
    pub config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed. The log has a setting of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences, for people
    Text,
    /// JSON, for programs
    Json,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the daemon until SIGTERM or SIGINT
    Serve(Serve),
    /// List buckets now, and repair what the catalog has wrong
    Reconcile(Reconcile),
    /// Ask S3 about these keys now, and repair what the catalog has wrong
    Recheck(Recheck),
    /// Plan what it takes to connect a bucket, or do it: queue, policies and notifications
    Connect(Connect),
    /// Plan how to undo what `connect` did, or do it
    Disconnect(Disconnect),
    /// Check everything that can be wrong with set-up, and change nothing
    Doctor(Doctor),
    /// Put what is in quarantine through again, after an upgrade
    Replay(Replay),
    /// Print the policies that a bucket takes: the least that must be allowed, and to whom
    Policy(Policy),
    /// Say what a message's body means, without touching anything
    Decode(Decode),
    /// Show what is connected, how fresh it is, and how much drift there was
    Status(Status),
    /// Ask the daemon of this machine whether its loops turn: 0 if so, for service managers and containers
    Health(Health),
    /// Bring the database's schema up to date
    Migrate,
}

/// Options of `serve`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Serve {
    /// Leave the schema as it is: somebody else runs `migrate` first
    #[arg(long)]
    pub no_migrate: bool,
}

/// Options of `reconcile`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Reconcile {
    /// What to compare the catalog with [default: what the bucket's section says]
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub source: Option<Source>,
    /// Only this bucket [default: all that are configured]
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// Only the configured part of the bucket, or what is below this prefix of it
    #[arg(long, requires = "bucket", value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Print what would be repaired, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove whatever the listing does not show, however much it is: lifts `reconcile.max_removals` once
    #[arg(long)]
    pub allow_removals: bool,
}

/// Options of `recheck`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Recheck {
    /// The bucket the keys are in
    #[arg(long, value_name = "BUCKET")]
    pub bucket: String,
    /// The keys, as they really are: not URL-encoded
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
}

/// Options of `connect`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Connect {
    /// What is to be connected
    #[command(flatten)]
    pub place: Place,
    /// Whether it is done
    #[command(flatten)]
    pub resolve: Resolve,
    /// Print the plan in another language, and do nothing
    #[arg(long, value_enum, value_name = "LANGUAGE", conflicts_with = "apply")]
    pub print: Option<Language>,
}

/// Options of `disconnect`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Disconnect {
    /// What is to be disconnected
    #[command(flatten)]
    pub place: Place,
    /// Whether it is done
    #[command(flatten)]
    pub resolve: Resolve,
    /// Drop the rows of the catalog, too: they are not needed for a new start, and take long to make again
    #[arg(long)]
    pub drop_rows: bool,
}

/// Whether a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct Resolve {
    /// Do what is planned
    #[arg(long)]
    pub apply: bool,
    /// Let S3 not try whether it can send: others' destinations in the bucket may be gone
    #[arg(long, requires = "apply")]
    pub skip_validation: bool,
}

/// A part of a bucket and its queue, as far as the configuration does not say it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Place {
    /// The bucket
    #[arg(long, value_name = "BUCKET")]
    pub bucket: String,
    /// What keys begin with, ends in / [default: what is configured, else the whole bucket]
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// The region, by code or by a project's name, of a bucket that is not configured yet
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The queue, by URL or name [default: the one that is configured, else `stocktake`]
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// The account that owns the bucket, if it is not ours
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
}

/// What a plan can be printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Resources of Terraform
    Terraform,
}

/// Options of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// Only this bucket [default: all that are configured]
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// Wait for the event of a change that you make below the prefix, for up to five minutes
    #[arg(long, requires = "bucket")]
    pub probe: bool,
    /// The same, and make the change: write an object below the prefix, and remove it again
    #[arg(long, requires = "bucket", conflicts_with = "probe")]
    pub probe_write: bool,
}

/// Options of `health`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Health {
    /// Ask whether it can do its work: database and queues
    #[arg(long)]
    pub ready: bool,
}

/// Options of `status`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Status {
    /// Look again every two seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// Options of `replay`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Replay {
    /// Only what has these numbers in `catalog.quarantine` [default: all that was not put through yet]
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub id: Vec<i64>,
}

/// Options of `policy`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Policy {
    /// The bucket, as it is configured
    #[arg(long, value_name = "BUCKET")]
    pub bucket: String,
    /// The user or role that the daemon is before it takes on any other [default: any of the queue's account]
    #[arg(long, value_name = "ARN")]
    pub principal: Option<String>,
    /// The account that owns the bucket [default: that of its role, else that of the queue]
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Only policies of this kind, and nothing but them
    #[arg(long, value_enum, value_name = "KIND")]
    pub only: Option<documents::Kind>,
}

/// Options of `decode`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Decode {
    /// Files with one message body each [default: standard input]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Reads the command line, the program's name included. Where there is nothing to run – help was
/// asked for, or it makes no sense – what is to be said has been printed, and the error is the exit.
pub fn parse<A>(arguments: impl IntoIterator<Item = A>) -> Result<Cli, Exit>
where
    A: Into<OsString> + Clone,
{
    Cli::try_parse_from(arguments).map_err(|error| {
        // If the output is closed, there is nobody left to tell.
        let _ = error.print();
        exit_of(&error)
    })
}

/// Help is an answer, on standard output; anything else is a complaint, on standard error.
fn exit_of(error: &clap::Error) -> Exit {
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, Exit> {
        let arguments = ["stocktake"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(arguments).map_err(|error| exit_of(&error))
    }

    #[test]
    fn commands_are_read() {
        let cli = parsed("serve --config a.toml").unwrap();
        assert_eq!(cli.config, Some(PathBuf::from("a.toml")));
        assert_eq!((cli.format, cli.command), (Format::Text, Command::Serve(Serve { no_migrate: false })));

        let cli = parsed("--format json reconcile --bucket b --prefix p/ --dry-run").unwrap();
        let (bucket, prefix) = (Some("b".into()), Some("p/".into()));
        assert_eq!(cli.format, Format::Json);
        let reconcile = Reconcile { source: None, bucket, prefix, dry_run: true, allow_removals: false };
        assert_eq!(cli.command, Command::Reconcile(reconcile));

        let cli = parsed("recheck --bucket b -- k -l").unwrap();
        let keys = vec!["k".to_owned(), "-l".to_owned()];
        assert_eq!(cli.command, Command::Recheck(Recheck { bucket: "b".into(), keys }));

        let replay = Replay { id: vec![7, 9] };
        assert_eq!(parsed("replay --id 7 --id 9").unwrap().command, Command::Replay(replay.clone()));
        assert_eq!(parsed("replay --id 7 9").unwrap().command, Command::Replay(replay));
        assert_eq!(parsed("status --watch").unwrap().command, Command::Status(Status { watch: true }));
        assert_eq!(parsed("decode").unwrap().command, Command::Decode(Decode { files: Vec::new() }));
        assert_eq!(parsed("migrate --format json").unwrap().format, Format::Json);
    }

    #[test]
    fn exits_say_why() {
        for line in ["--help", "serve --help", "--version"] {
            assert_eq!(parsed(line), Err(Exit::Done), "{line}");
        }
        for line in
            ["", "serv", "serve --fast", "recheck --bucket b", "reconcile --prefix p/", "status --format xml"]
        {
            assert_eq!(parsed(line), Err(Exit::Usage), "{line}");
        }
    }
}
