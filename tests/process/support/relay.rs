//! A cable between the daemon and a server that can be pulled out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes on while it is closed, like an electric circuit; while it is open, connections are
/// taken and dropped, and those that were there are cut.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    is_closed: Arc<watch::Sender<bool>>,
}

impl Relay {
    /// A relay to `server`, open.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server.clone(), receiver.clone()));
            }
        });
        Self { address, is_closed: Arc::new(sender) }
    }

    pub(crate) fn close(&self) {
        self.is_closed.send_replace(true);
    }

    pub(crate) fn open(&self) {
        self.is_closed.send_replace(false);
    }
}

async fn pass_on(mut client: TcpStream, server: String, mut is_closed: watch::Receiver<bool>) {
    if !*is_closed.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = is_closed.wait_for(|is_closed| !is_closed) => {}
    }
}
