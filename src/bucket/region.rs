//! The gate for a bucket whose region the configuration demands.

use super::Bucket;
use crate::fault::{Fault, Kind};

/// The bucket's region. Every command that lists goes through here before it writes anything.
///
/// # Errors
/// When the bucket is in another region than `required`, or its region cannot be asked for.
pub async fn admitted<B: Bucket>(bucket: &B, name: &str, required: Option<&str>) -> Result<String, Fault> {
    let found = bucket.region().await?;
    let Some(wanted) = required.filter(|wanted| *wanted != found) else { return Ok(found) };
    Err(Fault {
        action: format!("look for bucket {name:?} in {wanted}"),
        kind: Kind::WrongRegion,
        answer: format!("it is in {found}"),
        remedy: format!("connect a bucket in {wanted}, or set region = {found:?} for this one"),
        source: None,
    })
}
