//! What cannot be beaten: pages asked for and thrown away, rows copied and thrown away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::form_urlencoded::{self, byte_serialize};

use crate::store::Synthetic;

/// In how many parts the pages are asked for, as a run does.
const PARTS: usize = 64;

/// How long it takes to ask for all pages of a bucket, so many at once, while one `copy` reads all rows
/// of `table`.
pub(crate) async fn clean(
    pool: &PgPool,
    table: &str,
    authority: &str,
    bucket: &Synthetic,
    concurrency: usize,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let (pages, rows) =
        tokio::join!(discard_pages(authority, bucket, concurrency), discard_rows(pool, table));
    pages?;
    rows?;
    Ok(begin.elapsed())
}

/// How long it takes to copy rows into an empty table.
pub(crate) async fn load(pool: &PgPool, table: &str, rows: &[Bytes]) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let mut copy = pool.copy_in_raw(&format!("copy {table} from stdin (format binary)")).await?;
    for piece in rows {
        copy.send(&**piece).await?;
    }
    copy.finish().await?;
    Ok(begin.elapsed())
}

/// All rows of a table in byte order, as `copy` gives and takes them.
pub(crate) async fn rows(pool: &PgPool, table: &str) -> anyhow::Result<Vec<Bytes>> {
    let statement =
        format!("copy (select * from {table} order by key, version_id) to stdout (format binary)");
    Ok(pool.copy_out_raw(&statement).await?.try_collect().await?)
}

async fn discard_rows(pool: &PgPool, table: &str) -> anyhow::Result<()> {
    let mut rows = pool.copy_out_raw(&format!("copy {table} to stdout (format binary)")).await?;
    while rows.try_next().await?.is_some() {}
    Ok(())
}

async fn discard_pages(authority: &str, bucket: &Synthetic, concurrency: usize) -> anyhow::Result<()> {
    let bound = |part: usize| (0 < part && part < PARTS).then(|| bucket.key(bucket.keys() * part / PARTS));
    let parts: Arc<Vec<_>> = Arc::new((0..PARTS).map(|part| (bound(part), bound(part + 1))).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (authority, parts, next) = (authority.to_owned(), Arc::clone(&parts), Arc::clone(&next));
        workers.spawn(async move {
            let (mut client, connection) =
                handshake(TokioIo::new(TcpStream::connect(&authority).await?)).await?;
            tokio::spawn(connection);
            while let Some((after, to)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                discard_part(&mut client, &authority, after.clone(), to.as_deref()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

async fn discard_part(
    client: &mut SendRequest<Empty<Bytes>>,
    authority: &str,
    after: Option<String>,
    to: Option<&str>,
) -> anyhow::Result<()> {
    let mut marker = after.map(|key| (key, String::new()));
    loop {
        let mut uri = "/bench?versions&encoding-type=url&max-keys=1000".to_owned();
        if let Some((key, version)) = &marker {
            uri.push_str("&key-marker=");
            uri.extend(byte_serialize(key.as_bytes()));
            uri.push_str("&version-id-marker=");
            uri.push_str(version);
        }
        let request = hyper::Request::get(uri).header("host", authority).body(Empty::new())?;
        let response = client.send_request(request).await?;
        ensure!(response.status().is_success(), "the stand-in answered {}", response.status());
        let page = response.into_body().collect().await?.to_bytes();
        marker = next_marker(&page).context("read the markers of a page")?;
        if marker.as_ref().is_none_or(|(key, _)| to.is_some_and(|to| key.as_str() >= to)) {
            return Ok(());
        }
    }
}

/// The markers stand before the entries, so what is looked through is short.
fn next_marker(page: &[u8]) -> anyhow::Result<Option<(String, String)>> {
    let head = String::from_utf8_lossy(&page[..page.len().min(8_192)]);
    let text = |tag: &str| {
        let (_, rest) = head.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    if text("IsTruncated").context("no IsTruncated")? != "true" {
        return Ok(None);
    }
    let key = text("NextKeyMarker").context("no NextKeyMarker")?;
    let key = form_urlencoded::parse(format!("key={key}").as_bytes()).next().map(|(_, key)| key.into_owned());
    Ok(key.zip(text("NextVersionIdMarker")))
}
