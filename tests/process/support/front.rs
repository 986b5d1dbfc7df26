//! A front of the emulator's that refuses some requests, as S3 would.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is in the query of a listing of versions, and of nothing else.
const LISTING: &str = "versions";

/// Answers `AccessDenied` to listings of versions while it is told to; passes on all the rest.
pub(crate) struct Front {
    pub(crate) url: String,
    denies: Arc<watch::Sender<bool>>,
}

impl Front {
    /// A front of `endpoint` that denies listings.
    pub(crate) async fn of(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = endpoint.trim_start_matches("http://").to_owned();
        let (sender, denies) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, denies) = (server.clone(), *denies.borrow());
                tokio::spawn(async move { serve(client, &server, denies).await });
            }
        });
        Self { url, denies: Arc::new(sender) }
    }

    /// From now on listings are allowed.
    pub(crate) fn allow(&self) {
        self.denies.send_replace(false);
    }
}

/// Serves one request. Those that Stocktake makes of S3 have no body.
async fn serve(mut client: TcpStream, server: &str, denies: bool) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split(' ').nth(1)?;
    let query = target.split_once('?').map_or("", |(_, query)| query);
    if denies && query.split('&').any(|pair| pair.split('=').next() == Some(LISTING)) {
        let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\nx-amz-request-id: R1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        return client.write_all(answer.as_bytes()).await.ok();
    }
    let mut server = TcpStream::connect(server).await.ok()?;
    // The next request comes on a connection of its own, and is looked at like this one.
    let (line, headers) = head.split_once("\r\n")?;
    server.write_all(format!("{line}\r\nconnection: close\r\n{headers}").as_bytes()).await.ok()?;
    tokio::io::copy(&mut server, &mut client).await.ok()?;
    Some(())
}
