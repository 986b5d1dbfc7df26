//! A cable between the daemon and a server that can be pulled out, or got stuck.

use std::net::SocketAddr;
use std::sync::Arc;

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
}

impl Relay {
    /// A relay to `server`, open.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server.clone(), receiver.clone()));
            }
        });
        Self { address, state: Arc::new(sender) }
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

async fn pass_on(client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    if *state.borrow_and_update() == State::Open {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((client_out, client_in), (server_out, server_in)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = one_way(client_out, server_in, state.clone()) => {}
        () = one_way(server_out, client_in, state.clone()) => {}
        _ = state.wait_for(|state| *state == State::Open) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
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
