//! Our reader of version listings beside the SDK's own, which forgets the order of versions and markers.

use std::time::Duration;

use aws_sdk_s3::types::EncodingType;
use stocktake::bucket::s3::Bucket;
use stocktake::bucket::{Bucket as _, Key};

use crate::process::{Store, client, computed, ourselves, told};

/// How many versions are listed: enough for the calls before the first page not to count.
const VERSIONS: usize = 200_000;

/// Tells what a version costs with each of the two.
pub(crate) async fn compare(seed: u64) -> anyhow::Result<()> {
    println!("\nreading {VERSIONS} versions, one page after the other");
    let store = Store::start(seed, VERSIONS, Duration::ZERO).await?;
    for (reader, what) in [("ours", "our reader"), ("sdk", "the SDK's types, order lost")] {
        let told = told(ourselves("reader", &[store.authority.clone(), reader.to_owned()])?).await?;
        let nanos = told["computed"].as_f64().unwrap_or_default() * 1e9 / VERSIONS as f64;
        println!("  {what:<32}{nanos:>8.0} ns of CPU for a version, with the HTTP of it");
    }
    Ok(())
}

/// The process that reads.
pub(crate) async fn be_reader(arguments: &[String]) -> anyhow::Result<()> {
    let [authority, reader] = arguments else { anyhow::bail!("host:port, ours or sdk") };
    let client = client(authority).await;
    let bucket = Bucket::new("bench", client.clone());
    let mut versions = 0;
    if reader == "ours" {
        let mut next = None;
        loop {
            let page = bucket.list("", next.as_ref()).await?;
            versions += page.keys.iter().map(Key::len).sum::<usize>();
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    } else {
        let (mut key, mut version) = (None, None);
        loop {
            let request = client.list_object_versions().bucket("bench").encoding_type(EncodingType::Url);
            let page = request.set_key_marker(key).set_version_id_marker(version).send().await?;
            versions += page.versions().len() + page.delete_markers().len();
            // As it stands there, encoded: a marker that goes back has to be decoded.
            let encoded = page.next_key_marker().unwrap_or_default().replace('+', " ");
            key = Some(percent_encoding::percent_decode_str(&encoded).decode_utf8()?.into_owned());
            version = page.next_version_id_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) {
                break;
            }
        }
    }
    anyhow::ensure!(versions == VERSIONS, "{versions} were listed");
    println!("{}", serde_json::json!({ "computed": computed()?.as_secs_f64() }));
    Ok(())
}
