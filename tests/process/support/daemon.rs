//! `stocktake` itself, as an operator runs it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::{Config, PATIENCE, Stage, eventually};

/// What a service manager grants before it kills.
const STOP_MAX: Duration = Duration::from_secs(25);
/// Lines of the log that a failed test shows.
const LINES_SHOWN: usize = 40;

/// `stocktake serve` at work. It ends with the test.
pub(crate) struct Daemon {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

/// How a daemon ended, and how long it took.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) after: Duration,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Told {
    fn from(done: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: done.status.code(), stdout: text(&done.stdout), stderr: text(&done.stderr) }
    }
}

impl Told {
    /// The lines of a command that was asked for JSON, one value each.
    pub(crate) fn json(&self) -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(&self.stdout).into_iter();
        values.map(|value| value.unwrap_or_else(|error| panic!("{error} in {self:?}"))).collect()
    }
}

/// The binary with nothing in its environment but what leads it to `stage`.
fn binary(stage: &Stage) -> Command {
    let mut command = Command::new(&stage.program);
    command.envs(stage.environment()).current_dir(&stage.folder).kill_on_drop(true);
    if let Some(file) = &stage.credentials_file {
        // Keys in the environment would be found before those in a file.
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_SHARED_CREDENTIALS_FILE", file);
    }
    command
}

impl Stage {
    /// Starts a daemon and waits for nothing.
    pub(crate) fn start(&self, config: &Config) -> Daemon {
        self.start_with(config, &[], &["serve"])
    }

    /// The same, by these words, and with this in its environment, too.
    pub(crate) fn start_with(&self, config: &Config, environment: &[(&str, &str)], words: &[&str]) -> Daemon {
        let admin = free_address();
        let name = admin.port().to_string();
        let (file, log) = (self.folder.join(format!("{name}.toml")), self.folder.join(format!("{name}.log")));
        std::fs::write(&file, config.text(admin)).unwrap();
        let output = File::create(&log).unwrap();
        let mut command = binary(self);
        command.envs(environment.iter().copied());
        command.arg("--config").arg(file).args(words).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Daemon { child: command.spawn().unwrap(), admin, log }
    }

    /// Starts a daemon and waits until each of its buckets was listed and what that brought up is settled.
    pub(crate) async fn serve(&self, config: &Config) -> Daemon {
        let mut daemon = self.start(config);
        daemon.until_ready().await;
        eventually("a run over each bucket", async || {
            daemon.must_run();
            let new = "select count(*) from catalog.buckets where complete_through is null";
            (self.count(new).await == 0).then_some(())
        })
        .await;
        daemon
    }

    /// Runs one of its commands.
    pub(crate) async fn run(&self, config: &Config, words: &[&str]) -> Told {
        told(self.command(config, words), "").await
    }

    /// Runs one of its commands with the configuration of a daemon.
    pub(crate) async fn ask(&self, daemon: &Daemon, words: &[&str]) -> Told {
        let mut command = binary(self);
        command.arg("--config").arg(daemon.log.with_extension("toml")).args(words);
        told(command, "").await
    }

    /// Starts one of its commands, which is told to stop by Ctrl-C as soon as `is_enough` says so.
    pub(crate) async fn interrupt(
        &self,
        config: &Config,
        words: &[&str],
        is_enough: impl AsyncFnOnce(),
    ) -> Told {
        let mut command = self.command(config, words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        is_enough().await;
        signal(&child, "INT").await;
        Told::from(child.wait_with_output().await.unwrap())
    }

    /// Starts one of its commands, which is told to stop by Ctrl-C once it has written so many lines of JSON. Its code.
    pub(crate) async fn watch_lines(&self, config: &Config, words: &[&str], count: usize) -> Option<i32> {
        let mut command = self.command(config, words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let some = async {
            for _ in 0..count {
                let line = lines.next_line().await.unwrap().expect("another line");
                serde_json::from_str::<Value>(&line).unwrap();
            }
            signal(&child, "INT").await;
            // What it still writes must not meet a closed pipe.
            while lines.next_line().await.unwrap().is_some() {}
        };
        tokio::time::timeout(PATIENCE, some).await.expect("lines in time");
        child.wait().await.unwrap().code()
    }

    /// Runs one of its commands on a terminal: all that is drawn there.
    pub(crate) async fn draw(&self, config: &Config, words: &[&str]) -> String {
        let command = self.command(config, words);
        let mut terminal = Command::new(&self.python);
        // In a shell for its `stty`: lines are as long as here.
        let program = "import pty, sys; sys.exit(pty.spawn(['sh', '-c', 'stty cols 160; exec \"$@\"', *sys.argv]) >> 8)";
        terminal.args(["-c", program]).arg(command.as_std().get_program()).args(command.as_std().get_args());
        terminal.envs(self.environment()).env("TERM", "xterm").current_dir(&self.folder).kill_on_drop(true);
        let told = told(terminal, "").await;
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stdout
    }

    fn command(&self, config: &Config, words: &[&str]) -> Command {
        // Several may run at once.
        let file = self.folder.join(format!("command-{:016x}.toml", fastrand::u64(..)));
        std::fs::write(&file, config.text(free_address())).unwrap();
        let mut command = binary(self);
        command.arg("--config").arg(&file).args(words);
        command
    }

    /// What `stocktake status` says, for programs and for people.
    pub(crate) async fn status(&self, config: &Config) -> (Value, String) {
        let json = self.run(config, &["status", "--format", "json"]).await;
        let text = self.run(config, &["status"]).await;
        assert_eq!((json.code, text.code), (Some(0), Some(0)), "{json:?} {text:?}");
        (json.json().remove(0), text.stdout)
    }

    /// What is wrong with `subject` according to `stocktake status`, as soon as something is:
    /// its message and its remedy. People are told the same.
    pub(crate) async fn problem(&self, config: &Config, subject: &str) -> (String, String) {
        eventually(&format!("a problem of {subject}"), async || {
            let (json, text) = self.status(config).await;
            let problems = json["problems"].as_array().unwrap().iter();
            let problem = problems.clone().find(|problem| problem["subject"] == subject)?;
            let word = |name: &str| problem[name].as_str().unwrap().to_owned();
            let (message, remedy) = (word("message"), word("remedy"));
            // What comes of another problem stands below that one's remedy.
            let is_told = text.contains(&message) && (text.contains(&remedy) || !problem["cause"].is_null());
            assert!(is_told, "{text}");
            Some((message, remedy))
        })
        .await
    }
}

/// Runs the binary without any stage: no servers, no configuration, no environment of ours.
pub(crate) async fn alone(words: &[&str], input: &str) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stocktake"));
    command.args(words).current_dir(env!("CARGO_TARGET_TMPDIR")).kill_on_drop(true);
    told(command, input).await
}

/// The same with a configuration of this text, and with this in its environment.
pub(crate) async fn alone_with(words: &[&str], config: &str, environment: &[(&str, String)]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stocktake.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stocktake"));
    command.arg("--config").arg(file).args(words).current_dir(&folder).kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    told(command, "").await
}

async fn told(mut command: Command, input: &str) -> Told {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read has perhaps ended already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    Told::from(child.wait_with_output().await.unwrap())
}

/// Sends a signal, such as `TERM`, by the shell's own `kill`: it is everywhere.
async fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &line]).status().await.unwrap().success());
}

impl Daemon {
    /// Where its admin endpoint is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.admin
    }

    /// The status and the body of an answer of the admin endpoint; none while it does not listen.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        self.get_as(path, "*/*").await
    }

    /// The same, in a form of one's own.
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let headers = format!("host: stocktake\r\nconnection: close\r\naccept: {accept}\r\n");
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// What `/readyz` says, as soon as it is `status` and speaks of `words`.
    pub(crate) async fn until_readyz(&mut self, status: u16, words: &str) -> String {
        eventually(&format!("/readyz with {status} and {words:?}"), async || {
            self.must_run();
            let (code, body) = self.get("/readyz").await?;
            (code == status && body.contains(words)).then_some(body)
        })
        .await
    }

    /// Waits until it says that it is not ready, or gives up.
    pub(crate) async fn until_unwell(&mut self) {
        eventually("trouble", async || {
            let is_over = self.child.try_wait().unwrap().is_some();
            (is_over || self.get("/readyz").await.is_some_and(|(status, _)| status == 503)).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_ready(&mut self) {
        self.until_readyz(200, "ready").await;
    }

    /// The value of a metric with all its labels, as `/metrics` writes it; 0 where there is none.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, body) = self.get("/metrics").await.unwrap();
        let value = body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_default()
    }

    /// Fails if it has ended.
    pub(crate) fn must_run(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the daemon ended with {ended:?}");
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Waits until it has ended, for no longer than a service manager would.
    pub(crate) async fn end(&mut self) -> Ended {
        let began = Instant::now();
        let status = tokio::time::timeout(STOP_MAX, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still there after {STOP_MAX:?}")).unwrap();
        Ended { status, after: began.elapsed() }
    }

    /// Stops it as a service manager does. It has to end well.
    pub(crate) async fn stop(mut self) -> Ended {
        self.signal("TERM").await;
        let ended = self.end().await;
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        ended
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            eprintln!("the daemon's log, {} lines, ends:\n{shown}", lines.len());
        }
    }
}

/// An address that nobody listens on, below the ports that the kernel gives to clients: so nobody
/// gets it between our choosing it and the daemon's binding it.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..30_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
