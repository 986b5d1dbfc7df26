//! The keys that `[aws]`, every `[[queue]]` and every `[[bucket]]` share.

use std::time::Duration;

use url::Url;

use super::region;
use super::section::Section;
use crate::aws::Access;
use crate::setup::{Arn, is_account};

/// What STS allows for an assumed role; a role that was itself reached through a role gets an hour
/// at most (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
const SESSION_MIN: Duration = Duration::from_secs(15 * 60);
const SESSION_MAX: Duration = Duration::from_secs(12 * 3_600);

/// Reads the keys of one section; what it does not say, `inherited` does, key by key.
pub(super) fn read(section: &mut Section<'_>, inherited: &Access) -> Access {
    let endpoint_url = section.optional("endpoint_url");
    if let Some(endpoint) = &endpoint_url
        && let Err(message) = http_url(endpoint)
    {
        section.mistake("endpoint_url", message);
    }
    let endpoint_url = endpoint_url.or_else(|| inherited.endpoint_url.clone());

    let mut region = section.optional("region");
    if let Some(code) = &mut region
        && endpoint_url.is_none()
    {
        // Compatible stores name their regions as they like; AWS does not.
        code.make_ascii_lowercase();
        if !region::is_code(code) {
            section.mistake(
                "region",
                format_args!("must be a region's code such as \"eu-central-1\", not {code:?}"),
            );
        }
    }

    let role_arn = section.optional("role_arn");
    if role_arn.as_deref().is_some_and(|arn| !is_role(arn)) {
        section.mistake(
            "role_arn",
            "must be the ARN of a role such as \"arn:aws:iam::123456789012:role/stocktake\"",
        );
    }

    let session_name = section.optional("session_name");
    if session_name.as_deref().is_some_and(|name| !is_session_name(name)) {
        section.mistake("session_name", "must be 2 to 64 letters, digits and characters of _+=,.@-");
    }

    Access {
        region: region.or_else(|| inherited.region.clone()),
        endpoint_url,
        role_arn: role_arn.or_else(|| inherited.role_arn.clone()),
        external_id: section.optional("external_id").or_else(|| inherited.external_id.clone()),
        session_name: session_name.or_else(|| inherited.session_name.clone()),
        session_duration: session_duration(section).or(inherited.session_duration),
    }
}

fn session_duration(section: &mut Section<'_>) -> Option<Duration> {
    section.optional("session_duration")?;
    Some(section.duration("session_duration", SESSION_MIN..=SESSION_MAX))
}

/// Checks a URL that requests go to, without repeating it: credentials may be in it by mistake.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("must be a URL such as \"https://…\": {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with https:// or http://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "must not hold credentials: they come from the SDK's default chain or role_arn".to_owned()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end before any ? or #".to_owned());
    }
    Ok(url)
}

/// What STS takes for a name
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
fn is_session_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (2..=64).contains(&name.len()) && name.bytes().all(is_fine)
}

/// A key in KMS, by its ARN: what policies can name.
pub(super) fn kms_key(section: &mut Section<'_>) -> Option<String> {
    let arn = section.optional("kms_key")?;
    let is_key = arn.parse::<Arn>().is_ok_and(|arn| {
        arn.service == "kms" && is_account(&arn.account) && arn.resource.starts_with("key/")
    });
    if !is_key {
        let form = "\"arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab\"";
        section.mistake("kms_key", format_args!("must be the ARN of a key such as {form}, and no alias"));
    }
    Some(arn)
}

pub(super) fn is_role(arn: &str) -> bool {
    match arn.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        ["arn", _partition, "iam", "", account, resource] => {
            account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
        }
        _ => false,
    }
}
