//! `stocktake health`: asks the daemon of this machine how it is, for service managers and containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::print;
use crate::cli::{Exit, Format, Health};
use crate::config::Config;

/// How long the daemon may take to answer: less than who asks usually waits.
const PATIENCE: Duration = Duration::from_secs(4);
/// The most that is read of an answer.
const ANSWER_MAX: u64 = 1 << 20;

pub(super) async fn health(config: &Config, options: &Health, format: Format) -> anyhow::Result<Exit> {
    let listen = config.admin.listen.context("ask the daemon: admin.listen is \"\", so it answers nobody")?;
    let path = if options.ready { "/readyz" } else { "/livez" };
    let accept = if format == Format::Json { "application/json" } else { "text/plain" };
    let asked = tokio::time::timeout(PATIENCE, ask(reachable(listen), path, accept)).await;
    let answer = asked.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}"));
    let (is_well, body) = answer.with_context(|| format!("ask the daemon at {listen}: see that it runs"))?;
    print(body.trim_end())?;
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

/// Where a daemon that listens on all addresses can be reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether the answer is 200, and its body.
async fn ask(address: SocketAddr, path: &str, accept: &str) -> anyhow::Result<(bool, String)> {
    let mut stream = TcpStream::connect(address).await?;
    // In HTTP/1.0 a body ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\naccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("what it says is no HTTP")?;
    Ok((head.split(' ').nth(1) == Some("200"), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_on_the_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.1.2.3:4", "10.1.2.3:4"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
