//! A cable between the daemon and a server that can be pulled out, get stuck, or lead to another server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes passed on at a time.
const CHUNK: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Connections are taken and dropped, and those that were there are cut.
    Open,
    /// Bytes are passed on, like current in an electric circuit.
    Closed,
    /// Connections stay, and nothing goes through them: no byte is lost.
    Stalled,
}

/// Passes bytes on, or does not, as it is told.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    /// How many times it was frozen.
    freezes: Arc<watch::Sender<u64>>,
    server: Arc<Mutex<String>>,
}

impl Relay {
    /// A relay to `server`, open.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(State::Open);
        let (freezes, froze) = watch::channel(0);
        let server = Arc::new(Mutex::new(server));
        let target = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = target.lock().unwrap().clone();
                tokio::spawn(pass_on(client, server, receiver.clone(), froze.clone()));
            }
        });
        Self { address, state: Arc::new(sender), freezes: Arc::new(freezes), server }
    }

    /// From now on nothing that is sent over the connections there are arrives, in neither direction, nor does their end: as if
    /// a firewall had forgotten them. New connections work.
    pub(crate) fn freeze(&self) {
        self.freezes.send_modify(|times| *times += 1);
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, server: String) {
        *self.server.lock().unwrap() = server;
    }

    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    pub(crate) fn open(&self) {
        self.state.send_replace(State::Open);
    }

    pub(crate) fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }
}

async fn pass_on(
    client: TcpStream,
    server: String,
    mut state: watch::Receiver<State>,
    mut froze: watch::Receiver<u64>,
) {
    if *state.borrow_and_update() == State::Open {
        return;
    }
    let times = *froze.borrow_and_update();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((mut client_out, mut client_in), (mut server_out, mut server_in)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        biased;
        _ = froze.wait_for(|now| *now != times) => {}
        () = one_way(&mut client_out, &mut server_in, state.clone()) => return,
        () = one_way(&mut server_out, &mut client_in, state.clone()) => return,
        _ = state.wait_for(|state| *state == State::Open) => return,
    }
    tokio::join!(swallow(client_out), swallow(server_out), std::future::pending::<()>());
    drop((client_in, server_in));
}

/// Takes what comes, and lets nobody know.
async fn swallow(mut from: OwnedReadHalf) {
    let mut bytes = vec![0; CHUNK];
    while let Ok(1..) = from.read(&mut bytes).await {}
}

async fn one_way(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if state.wait_for(|state| *state != State::Stalled).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
