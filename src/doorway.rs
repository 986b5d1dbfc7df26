//! How many may be connected to the admin endpoint, and how long they may say nothing: whoever opens connections and
//! keeps them must neither use up the files that the daemon may have open, nor keep probes out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

/// Connections of one address at once, and of all.
const OF_ONE_MAX: usize = 32;
const OF_ALL_MAX: usize = 128;
/// How long one may say nothing, take nothing of an answer, and take to ask for one, however slowly.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener that turns away whoever is one too many.
#[derive(Debug)]
pub(crate) struct Doorway {
    listener: TcpListener,
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Doorway {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, inside: Arc::default() }
    }

    /// Counts somebody in; none if there are too many.
    fn let_in(&self, address: IpAddr) -> Option<Inside> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = inside.values().sum();
        let own = inside.entry(address).or_default();
        if *own >= OF_ONE_MAX || all >= OF_ALL_MAX {
            if *own == 0 {
                inside.remove(&address);
            }
            return None;
        }
        *own += 1;
        Some(Inside { address, inside: Arc::clone(&self.inside) })
    }
}

impl Listener for Doorway {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Who is turned away sees the connection end.
            if let Some(inside) = self.let_in(address.ip()) {
                let end = Box::pin(tokio::time::sleep(PATIENCE));
                return (Visit { stream, is_asking: false, end, _inside: inside }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The address at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Connected<IncomingStream<'_, Doorway>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Doorway>) -> Self {
        Self(stream.remote_addr().ip())
    }
}

/// Is counted as long as it is there.
#[derive(Debug)]
struct Inside {
    address: IpAddr,
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.address);
            }
        }
    }
}

/// A connection that ends when nothing has come or gone for too long, or a request takes too long to come.
#[derive(Debug)]
pub(crate) struct Visit {
    stream: TcpStream,
    /// Whether something came since the last answer.
    is_asking: bool,
    end: Pin<Box<Sleep>>,
    _inside: Inside,
}

impl Visit {
    /// The outcome of a step: the first byte of a request and each of an answer begin the wait anew, and a step that has
    /// to wait may have waited enough. More of a request gains no time: who sends it byte by byte could stay for ever.
    fn step<T>(
        &mut self,
        context: &mut Context<'_>,
        is_asking: bool,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            if !(self.is_asking && is_asking) {
                self.end.as_mut().reset(Instant::now() + PATIENCE);
            }
            self.is_asking = is_asking;
            return done;
        }
        self.end.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.step(context, true, done)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.step(context, false, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn doorway() -> (Doorway, SocketAddr) {
        let doorway = Doorway::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = doorway.local_addr().unwrap();
        (doorway, address)
    }

    #[tokio::test]
    async fn one_address_has_a_share_and_gets_it_back() {
        let (doorway, _) = doorway().await;
        let of = |last: u8| IpAddr::from([127, 0, 0, last]);
        let mut inside: Vec<_> = (0..OF_ONE_MAX).map(|_| doorway.let_in(of(1)).unwrap()).collect();
        assert!(doorway.let_in(of(1)).is_none());
        assert!(doorway.let_in(of(2)).is_some(), "others are let in");
        inside.pop();
        inside.push(doorway.let_in(of(1)).unwrap());
        for last in 2..=4 {
            inside.extend((0..OF_ONE_MAX).map(|_| doorway.let_in(of(last)).unwrap()));
        }
        assert!(doorway.let_in(of(5)).is_none(), "that would be too many in all");
        inside.clear();
        assert!(doorway.inside.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_shown_out() {
        let (mut doorway, address) = doorway().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut visit, _) = doorway.accept().await;
        client.write_all(b"GET").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(visit.read(&mut bytes).await.unwrap(), 3);
        let began = Instant::now();
        let error = visit.read(&mut bytes).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed() >= PATIENCE), (io::ErrorKind::TimedOut, true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_byte_by_byte_is_shown_out() {
        let (mut doorway, address) = doorway().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut visit, _) = doorway.accept().await;
        tokio::spawn(async move {
            while client.write_all(b"G").await.is_ok() {
                tokio::time::sleep(PATIENCE / 5).await;
            }
        });
        let (began, mut byte) = (Instant::now(), [0; 1]);
        while began.elapsed() < PATIENCE / 2 {
            assert_eq!(visit.read(&mut byte).await.unwrap(), 1);
        }
        visit.write_all(b"an answer").await.unwrap();
        let answered = Instant::now();
        let error = loop {
            if let Err(error) = visit.read(&mut byte).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((PATIENCE..2 * PATIENCE).contains(&answered.elapsed()), "{:?}", answered.elapsed());
    }
}
