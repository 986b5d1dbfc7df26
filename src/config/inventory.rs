//! Where a `[[bucket]]` has its inventory reports delivered to.

use clap::ValueEnum;

use super::access::is_role;
use super::section::Section;
use crate::aws::Access;

const EXAMPLE: &str = "\"s3://reports/inventory/BUCKET/CONFIGURATION/\"";

/// What runs compare the catalog with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A full listing
    Listing,
    /// The newest inventory report that is complete and was not read yet; the bucket has to be listed once before
    Inventory,
}

/// Where inventory reports are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The destination bucket.
    pub bucket: String,
    /// The folder with the dated folders, with its `/`.
    pub prefix: String,
    /// How to reach it: as the bucket itself, unless a role of its own is set.
    pub access: Access,
}

/// Reads `source` and what begins with `inventory` of the section of bucket `name`.
pub(super) fn read(section: &mut Section<'_>, name: &str, access: &Access) -> (Source, Option<Inventory>) {
    let source = match section.optional("source").as_deref() {
        Some("inventory") => Source::Inventory,
        Some("listing") | None => Source::Listing,
        Some(other) => {
            section.mistake("source", format_args!("must be \"listing\" or \"inventory\", not {other:?}"));
            Source::Listing
        }
    };
    let mut access = access.clone();
    if let Some(role) = section.optional("inventory_role_arn") {
        if !is_role(&role) {
            let message = "must be the ARN of a role such as \"arn:aws:iam::123456789012:role/stocktake\"";
            section.mistake("inventory_role_arn", message);
        }
        access.role_arn = Some(role);
        // What the owner of the other role wants to hear is nobody else's business.
        access.external_id = None;
    }
    if let Some(external_id) = section.optional("inventory_external_id") {
        access.external_id = Some(external_id);
    }
    let Some(url) = section.optional("inventory") else {
        if source == Source::Inventory {
            let message = format!("is \"inventory\", so inventory must say where the reports are: {EXAMPLE}");
            section.mistake("source", message);
        }
        return (source, None);
    };
    match place(&url, name) {
        Ok((bucket, prefix)) => (source, Some(Inventory { bucket, prefix, access })),
        Err(message) => {
            section.mistake("inventory", message);
            (source, None)
        }
    }
}

/// The bucket and the prefix in `s3://…`, below which S3 itself makes a folder of the bucket's name and
/// in it one of the configuration's
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html>).
fn place(url: &str, name: &str) -> Result<(String, String), String> {
    let Some((bucket, prefix)) = url.strip_prefix("s3://").and_then(|place| place.split_once('/')) else {
        return Err(format!("must be a folder such as {EXAMPLE}, not {url:?}"));
    };
    if bucket.is_empty() || prefix.chars().any(char::is_control) {
        return Err(format!("must name a bucket and a folder, as {EXAMPLE} does, not {url:?}"));
    }
    let mut folders = prefix.rsplit('/');
    let (end, configuration, source) = (folders.next(), folders.next(), folders.next());
    if end != Some("") || configuration.is_none_or(str::is_empty) || source != Some(name) {
        return Err(format!(
            "must end in the bucket's name and the inventory configuration's, \"…/{name}/CONFIGURATION/\": S3 puts the \
             dated folders of the reports there, below the prefix that the configuration names; it is {url:?}"
        ));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_the_folder_of_a_configuration() {
        let check = |url: &str, prefix: &str| {
            assert_eq!(place(url, "genomics"), Ok(("reports".to_owned(), prefix.to_owned())), "{url}");
        };
        check("s3://reports/genomics/daily/", "genomics/daily/");
        check("s3://reports/a/b/genomics/daily/", "a/b/genomics/daily/");
        for url in [
            "reports/genomics/daily/",
            "https://reports/genomics/daily/",
            "s3://reports",
            "s3:///genomics/daily/",
            "s3://reports/genomics/daily",
            "s3://reports/genomics//",
            "s3://reports/daily/",
            "s3://reports/other/daily/",
            "s3://reports/genomics/daily/2026-11-24T01-00Z/",
        ] {
            let message = place(url, "genomics").unwrap_err();
            assert!(message.contains("CONFIGURATION/") && message.contains(url), "{message}");
        }
    }
}
