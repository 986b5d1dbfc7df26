//! A real `PgBouncer` before Postgres: the doctor says where our sessions are not kept.

use std::process::Stdio;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use url::Url;

use crate::support::{Config, Stage, Told, eventually, tool};

/// It ends with the test.
struct Pooler {
    _child: Child,
    /// The database of the stage, by way of it.
    url: String,
}

impl Pooler {
    async fn before(stage: &Stage, settings: &str) -> Self {
        let server = Url::parse(&stage.database).unwrap();
        let (host, port) = (server.host_str().unwrap(), server.port().unwrap_or(5432));
        let (user, name) = (server.username(), server.path().trim_start_matches('/'));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let text = format!(
            "[databases]\n{name} = host={host} port={port} dbname={name} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\n{settings}\n",
            address.port()
        );
        // It refuses to be root, and whoever it is instead may not look into a checkout of root's.
        let shown = std::env::temp_dir().join(format!("stocktake-pooler-{}.ini", address.port()));
        std::fs::write(&shown, text).unwrap();
        let program = tool("pgbouncer");
        let mut command = Command::new(&program);
        command.arg(&shown).env("LD_LIBRARY_PATH", program.parent().unwrap());
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        eventually("a pooler that listens", async || TcpStream::connect(address).await.ok()).await;
        std::fs::remove_file(shown).unwrap();
        let mut url = server.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        Self { _child: child, url: url.into() }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// What is said of our sessions, and of what is looked at behind that.
fn of_database(told: &Told) -> (Value, usize) {
    let of_database: Vec<Value> =
        told.json().into_iter().filter(|finding| finding["subject"] == "database").collect();
    let session = of_database.iter().find(|finding| finding["check"] == "session");
    (session.unwrap_or_else(|| panic!("no word of sessions: {told:?}")).clone(), of_database.len())
}

#[tokio::test]
async fn a_pooler_that_keeps_no_sessions_is_named() {
    let stage = Stage::new().await;
    let config = stage.config_of(&["genomics"]);
    stage.migrate(&config).await;
    let doctor = async |database: &str| {
        let config = Config { database: database.to_owned(), ..config.clone() };
        stage.run(&config, &["doctor", "--format", "json"]).await
    };
    let (session, all) = of_database(&doctor(&stage.database).await);
    assert_eq!(session["verdict"], "ok", "{session}");

    // As it comes out of the box.
    let pooler = Pooler::before(&stage, "pool_mode = transaction").await;
    let (session, lines) = of_database(&doctor(&pooler.url).await);
    assert!(session["verdict"] == "failure" && lines == 2, "{session}");
    assert!(session["found"].as_str().unwrap().contains("unsupported startup parameter"), "{session}");

    // As people make it let everybody in.
    let lends = "pool_mode = transaction\nignore_startup_parameters = options,extra_float_digits";
    let pooler = Pooler::before(&stage, lends).await;
    for _ in 0..5 {
        let (session, lines) = of_database(&doctor(&pooler.url).await);
        assert!(session["verdict"] == "failure" && lines == 2, "{session}");
        let (found, remedy) = (session["found"].as_str().unwrap(), session["remedy"].as_str().unwrap());
        assert!(found.contains("two sessions") && remedy.contains("past the pooler"), "{session}");
    }

    // Whoever else meets it says so, too, and not what comes of it.
    let away = Config { database: pooler.url.clone(), ..config.clone() };
    for command in [&["status"][..], &["reconcile"], &["migrate"], &["replay"]] {
        let told = stage.run(&away, command).await;
        assert!(told.code == Some(1) && told.stderr.contains("past the pooler"), "{told:?}");
        assert!(!told.stderr.contains("prepared statement"), "{told:?}");
    }
    let daemon = stage.start(&away);
    eventually("a daemon's word of it", async || daemon.log().contains("past the pooler").then_some(()))
        .await;
    daemon.stop().await;

    // Sessions are kept, and not what we set in them.
    let keeps = "pool_mode = session\nignore_startup_parameters = options,extra_float_digits";
    let pooler = Pooler::before(&stage, keeps).await;
    let (session, lines) = of_database(&doctor(&pooler.url).await);
    assert!(session["verdict"] == "warning" && lines == all, "{session}");
    assert!(session["remedy"].as_str().unwrap().contains("ignore_startup_parameters"), "{session}");
}
