//! How many may be connected to the admin endpoint, and how long they may say nothing: whoever opens connections and
//! keeps them must neither use up the files that the daemon may have open, nor keep probes out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

/// Connections of one address at once, and of all.
const OF_ONE_MAX: usize = 32;
const OF_ALL_MAX: usize = 128;
/// How long one may say nothing, and take nothing of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);

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
                let silence = Box::pin(tokio::time::sleep(SILENCE_MAX));
                return (Visit { stream, silence, _inside: inside }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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

/// A connection that ends when nothing has come or gone for too long.
#[derive(Debug)]
pub(crate) struct Visit {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _inside: Inside,
}

impl Visit {
    /// The outcome of a step: one that got on begins the silence anew, one that has to wait may have waited enough.
    fn step<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return done;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.step(context, done)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.step(context, done)
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
        assert_eq!((error.kind(), began.elapsed() >= SILENCE_MAX), (io::ErrorKind::TimedOut, true));
    }
}
