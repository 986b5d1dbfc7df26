//! A `[[bucket]]` entry.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::access;
use super::inventory::{self, Inventory, Source};
use super::region::{self, PROJECT_REGIONS};
use super::section::Section;
use crate::aws::Access;
use crate::bucket::details::Enrich;
use crate::ignore::Ignore;

/// For inventory reports, which are only looked for; listings have a limit that depends on `merge.margin`.
const RECONCILE_MIN: Duration = Duration::from_secs(1);
const RECONCILE_MAX: Duration = Duration::from_secs(31_557_600);
const REQUESTS_PER_SECOND_MAX: u32 = 100_000;
/// A statement about many keys opens each of them, with its three indexes.
const PARTITIONS_MAX: u32 = 64;
/// The region where buckets from before March 2018 may have names that DNS cannot have.
const LEGACY_REGION: &str = "us-east-1";
/// The longest name of such a bucket.
const LEGACY_NAME_MAX: usize = 255;
/// The longest key S3 takes, in bytes of UTF-8.
const PREFIX_BYTES_MAX: usize = 1_024;

/// A bucket, or the part of one below a prefix, that the catalog mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name; required.
    pub name: String,
    /// Only keys that begin with this are mirrored; it is empty, for all, or ends in `/`.
    pub prefix: String,
    /// How long after the start of one run the next begins, 24 h; none if none ever begins by itself.
    pub reconcile_every: Option<Duration>,
    /// How often it is asked for a page of a listing in a second at most, 1,000: S3 answers 5,500 below each
    /// prefix, and others ask, too.
    pub requests_per_second: u32,
    /// Whether the order that events claim for themselves is believed. Stores that make sequencers
    /// up, or leave them out now and then, need `false`: every event is then a question to S3.
    pub trust_sequencers: bool,
    /// Whether keys in records of S3's shape stand as they are, because something rewrote them on the way.
    pub has_raw_keys: bool,
    /// Keys that stay out of the catalog.
    pub ignore: Ignore,
    /// What is asked of each version that is created, nothing.
    pub enrich: Enrich,
    /// The key that objects are encrypted with, if it is not AWS's: policies have to name it.
    pub kms_key: Option<String>,
    /// How many tables its rows are spread over, 1: a power of two. Whoever connects the bucket makes them.
    pub partitions: u32,
    /// The region it must be in, where the entry itself names one. That of `[aws]` is only where
    /// requests go first.
    pub required_region: Option<String>,
    /// What runs that start by themselves compare the catalog with.
    pub source: Source,
    /// Where its inventory reports are, if it has any.
    pub inventory: Option<Inventory>,
    /// How to reach it; its own keys come first, then `[aws]`.
    pub access: Access,
}

impl Bucket {
    pub(super) fn read(section: &mut Section<'_>, aws: &Access) -> Self {
        let project_region = project_region(section);
        let inherited =
            Access { region: project_region.clone().or_else(|| aws.region.clone()), ..aws.clone() };
        let access = access::read(section, &inherited);
        let is_named = project_region.is_some() || section.optional("region").is_some();
        let required_region = access.region.clone().filter(|_| is_named);
        if project_region.is_some() && access.region != project_region {
            let (project, own) =
                (project_region.unwrap_or_default(), access.region.clone().unwrap_or_default());
            section.mistake(
                "region",
                format_args!("is {own}, but project_region means {project}: leave one of them out"),
            );
        }

        let name = section.optional("name").unwrap_or_default();
        if !name.is_empty()
            && let Err(message) = check_name(
                &name,
                access.endpoint_url.is_some(),
                access.region.as_deref() == Some(LEGACY_REGION),
            )
        {
            section.mistake("name", message);
        }
        let prefix = section.text("prefix").unwrap_or_default();
        if let Err(message) = check_prefix(&prefix) {
            section.mistake("prefix", message);
        }
        let (source, inventory) = inventory::read(section, &name, &access);
        Self {
            name,
            prefix,
            source,
            inventory,
            reconcile_every: reconcile_every(section),
            requests_per_second: section.number("requests_per_second", 1..=REQUESTS_PER_SECOND_MAX),
            trust_sequencers: section.flag("trust_sequencers"),
            has_raw_keys: has_raw_keys(section),
            ignore: ignore(section),
            enrich: enrich(section),
            kms_key: access::kms_key(section),
            partitions: partitions(section),
            required_region,
            access,
        }
    }

    /// Whether some key could belong to both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.name == other.name
            && (self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix))
    }
}

fn has_raw_keys(section: &mut Section<'_>) -> bool {
    match section.optional("keys").as_deref() {
        None | Some("encoded") => false,
        Some("raw") => true,
        Some(other) => {
            section.mistake("keys", format_args!("must be \"encoded\" or \"raw\", not {other:?}"));
            false
        }
    }
}

fn enrich(section: &mut Section<'_>) -> Enrich {
    let mut enrich = Enrich::default();
    for word in section.texts("enrich") {
        match word.as_str() {
            "head" => enrich.head = true,
            "tags" => enrich.tags = true,
            _ => section
                .mistake("enrich", format_args!("{word:?} cannot be asked for: \"head\" and \"tags\" can")),
        }
    }
    enrich
}

fn partitions(section: &mut Section<'_>) -> u32 {
    let partitions: u32 = section.number("partitions", 1..=PARTITIONS_MAX);
    if !partitions.is_power_of_two() {
        section.mistake("partitions", format_args!("must be a power of two, not {partitions}"));
    }
    partitions
}

fn ignore(section: &mut Section<'_>) -> Ignore {
    Ignore::new(section.texts("ignore")).unwrap_or_else(|message| {
        section.mistake("ignore", message);
        Ignore::default()
    })
}

fn project_region(section: &mut Section<'_>) -> Option<String> {
    let name = section.optional("project_region")?;
    let region = region::of_project(&name);
    if region.is_none() {
        let known = PROJECT_REGIONS.map(|(project, _)| project).join(", ");
        let message = format!("{name:?} is neither a region's code nor a name of one; known names: {known}");
        section.mistake("project_region", message);
    }
    region
}

fn reconcile_every(section: &mut Section<'_>) -> Option<Duration> {
    let text = section.scalar("reconcile_every")?;
    if text == "never" || humantime::parse_duration(&text).is_ok_and(|every| every.is_zero()) {
        return None;
    }
    Some(section.duration("reconcile_every", RECONCILE_MIN..=RECONCILE_MAX))
}

/// The naming rules of general purpose buckets
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>); compatible
/// stores have rules of their own, and old buckets of us-east-1 were made under wider ones. The SDK names those in the
/// path.
fn check_name(name: &str, compatible: bool, is_legacy_region: bool) -> Result<(), String> {
    if name.starts_with("arn:") || name.contains("://") || name.contains('/') {
        return Err(format!(
            "must be the bucket's bare name, not {name:?}; what follows a / belongs in prefix"
        ));
    }
    if name.ends_with("--x-s3") {
        return Err(
            "is a directory bucket, which cannot be mirrored: it keeps no versions, lists in no order and \
                    sends no notifications"
                .to_owned(),
        );
    }
    let alias = ["-s3alias", "--ol-s3", ".mrap"].iter().any(|suffix| name.ends_with(suffix));
    if alias && !compatible {
        return Err("is an access point: write the name of the bucket behind it, which is what events name"
            .to_owned());
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("must not hold spaces or control characters, as {name:?} does"));
    }
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let valid = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| end(byte) || byte == b'.' || byte == b'-')
        && bytes.first().is_some_and(|&byte| end(byte))
        && bytes.last().is_some_and(|&byte| end(byte))
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err();
    let is_legacy_name = (3..=LEGACY_NAME_MAX).contains(&bytes.len())
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if valid || compatible || (is_legacy_name && is_legacy_region) {
        return Ok(());
    }
    let legacy = match is_legacy_name {
        true => "; for a bucket that was made in us-east-1 before 2018, set region = \"us-east-1\"",
        false => "",
    };
    Err(format!(
        "{name:?} cannot be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit \
         at both ends, no two dots together and not an IP address{legacy}"
    ))
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Ok(());
    }
    if prefix.starts_with('/') {
        return Err(format!(
            "must not begin with /: S3's keys are not paths, and \"/a\" is another key than \"a\"; write {:?}",
            prefix.trim_start_matches('/')
        ));
    }
    if prefix.split('/').any(|part| part == "." || part == "..") {
        return Err(
            "must not hold ./ or ../: S3 takes them literally, and many clients cannot reach such keys"
                .to_owned(),
        );
    }
    if prefix.contains('\0') {
        return Err("must not hold NUL: Postgres cannot store it".to_owned());
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(format!("must be at most {PREFIX_BYTES_MAX} bytes, the longest key there is"));
    }
    if !prefix.ends_with('/') {
        return Err(format!(
            "must end in /, or {prefix:?} would also mean \"{}2/…\"; write \"{0}/\"",
            prefix.escape_debug()
        ));
    }
    Ok(())
}
