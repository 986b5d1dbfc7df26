//! What an operator can do about a failed call.

use super::fault::{ELSEWHERE, PAGE};
use crate::fault::Kind;

/// For an answer that did not come to its end.
pub(crate) const BROKEN_OFF: &str = "check the network; a daemon tries again by itself";

/// What is known of a failed call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed<'a> {
    /// What a policy calls doing it: `s3:ListBucketVersions`.
    pub(super) permission: &'a str,
    /// What a policy calls what it is done to.
    pub(super) resource: &'a str,
    /// What was answered, and below it the causes.
    pub(super) answer: &'a str,
    /// Whoever asked, by the id of the access key, where the request was signed.
    pub(super) who: Option<&'a str>,
    /// The region that S3 named, or the endpoint that is silent.
    pub(super) told: Option<&'a str>,
}

/// Answers that say more than their code: a part of the text, and what to do.
const TELLING: &[(&str, &str)] = &[
    (
        "exceeds the 1 hour session limit for roles assumed by role chaining",
        "set session_duration to \"1h\": whoever is in a role already (an instance, a container, another role) gets an \
         hour at most in the next",
    ),
    (
        "exceeds the MaxSessionDuration",
        "lower session_duration, or raise the role's own maximum (MaxSessionDuration)",
    ),
    (
        "not authorized to perform: sts:AssumeRole",
        "see that the role's trust policy names us and our external_id (`stocktake policy --bucket B --account ID --only trust`), and that we may \
         do sts:AssumeRole on it (`--only permissions`)",
    ),
    (
        "Unable to validate the following destination",
        "see that what S3 names exists, in the bucket's region; of our queue, that its policy, and the policy of the key it is \
         encrypted with, let s3.amazonaws.com in (`stocktake policy --bucket B --account ID --only queue` and `key`); if a destination \
         of somebody else's is gone for good, `stocktake connect --apply --skip-validation`",
    ),
    (
        "onfigurations overlap",
        "two rules of one bucket may not overlap: `stocktake connect` names the other one and the ways round",
    ),
    (
        "onfigurations on the same bucket cannot share a common event type",
        "two rules of one bucket may not overlap: `stocktake connect` names the other one and the ways round",
    ),
    (
        "explicit deny in a service control policy",
        "ask whoever runs the AWS organisation: a service control policy denies it, whatever other policies allow",
    ),
    (
        "explicit deny in a resource control policy",
        "ask whoever runs the AWS organisation: a resource control policy denies it, whatever other policies allow",
    ),
    (
        "explicit deny in a permissions boundary",
        "change the permissions boundary of our user or role, which denies it",
    ),
    (
        "explicit deny in a VPC endpoint policy",
        "change the policy of the VPC endpoint that the request went through",
    ),
    ("explicit deny in a session policy", "take on the role without a session policy that denies it"),
    (
        "explicit deny in a resource-based policy",
        "change the statement with Deny in the policy of what was asked for",
    ),
    (
        "You must wait 60 seconds after deleting a queue",
        "wait a minute: SQS does not make a queue again sooner whose namesake was deleted",
    ),
    ("equest has expired", "set this machine's clock; it is too far off for requests that it signs"),
    ("RequestTimeTooSkewed", "set this machine's clock; it is too far off for requests that it signs"),
    (
        "ExpiredToken",
        "renew the session that the credentials belong to; a role_arn, a profile, an instance or a container is renewed by \
         itself, keys with a session token that somebody put in the environment or a file are not",
    ),
    (
        "SignatureDoesNotMatch",
        "see that the secret key is that of the access key, without a space or a line's end too many",
    ),
    (
        "InvalidAccessKeyId",
        "see that the access key exists, is active, and is one of this endpoint's: `stocktake doctor` says which one is found",
    ),
    (
        "security token included in the request is invalid",
        "see that the access key exists and is active; in a region that accounts must turn on first, such as me-central-1, \
         see that the account has done so",
    ),
    (
        "web identity token file",
        "see that the file exists and that the user Stocktake runs as may read it: on Kubernetes, that the service account has \
         the annotation with the role, and that the pod was made after it; AWS_WEB_IDENTITY_TOKEN_FILE or the profile names it",
    ),
    ("SSO", LOGGED_OUT),
    (".aws/sso/cache", LOGGED_OUT),
    (
        "external process",
        "run the credential_process of the profile as the user Stocktake runs as: it must end with 0 and print JSON with Version 1, \
         AccessKeyId and SecretAccessKey",
    ),
    ("Missing Region", "set region in [aws], or in the section of the queue or bucket; or AWS_REGION"),
    (
        "not authorized to perform: kms:",
        "allow that on the key which the answer names, in its own policy and to whoever asks (`stocktake policy --bucket B \
         --account ID`)",
    ),
    ("KmsDisabled", DISABLED),
    ("DisabledException", DISABLED),
    ("KmsInvalidState", UNUSABLE),
    ("KMSInvalidState", UNUSABLE),
    ("KmsInvalidKeyUsage", ASYMMETRIC),
    ("InvalidKeyUsage", ASYMMETRIC),
    ("KmsNotFound", KEYLESS),
    ("KMS.NotFound", KEYLESS),
    (
        "KmsOptInRequired",
        "let the account that owns the key sign up for KMS, or encrypt with a key of another account",
    ),
    (
        PAGE,
        "see who answers at that address in place of AWS or the store: a proxy, a load balancer, a portal where one logs in; \
         check endpoint_url, HTTPS_PROXY and NO_PROXY",
    ),
    (
        ELSEWHERE,
        "see who answers at that address in place of AWS or the store: a proxy, a load balancer, a portal where one logs in; \
         check endpoint_url, HTTPS_PROXY and NO_PROXY",
    ),
];

const LOGGED_OUT: &str = "run `aws sso login` for the profile as the user Stocktake runs as, and see that HOME is that user's; such a \
                          session ends after some hours, so a daemon is better given a role";
const DISABLED: &str = "enable the key that the answer is about, or encrypt with another";
const UNUSABLE: &str = "see the state of the key that the answer is about: one that is about to be deleted, or waits for its material, \
                        cannot be used; take that back, or encrypt with another";
const ASYMMETRIC: &str = "encrypt with a symmetric key whose usage is ENCRYPT_DECRYPT: the one that the answer is about is for \
                          something else";
const KEYLESS: &str = "see that the key exists, in this region and under this name, or encrypt with another: what is encrypted \
                       with a key that was deleted cannot be read any more";

/// What to do, in one sentence.
pub(super) fn remedy(kind: Kind, failed: &Failed<'_>) -> String {
    let Failed { permission, resource, answer, who, told } = failed;
    if let Some((_, remedy)) = TELLING.iter().find(|(part, _)| answer.contains(part)) {
        return (*remedy).to_owned();
    }
    let who = who.map(|who| format!(" for the owner of access key {who}")).unwrap_or_default();
    match (kind, told) {
        (Kind::Denied, _) if answer.to_ascii_lowercase().starts_with("kms") => {
            format!(
                "allow kms:Decrypt on the key that encrypts {resource}{who}, and see that the key is enabled"
            )
        }
        // The head of an object has no words with it.
        (Kind::Denied, _) if *permission == "s3:GetObjectVersion" => format!(
            "allow s3:GetObjectVersion on {resource}/*{who}, and kms:Decrypt on the key if objects are encrypted with one of \
             your own"
        ),
        (Kind::Denied, _) => format!(
            "allow {permission} on {resource}{who}; if that is allowed, see whether a Deny, an organisation's service or \
             resource control policy, or a VPC endpoint's policy forbids it"
        ),
        (Kind::Absent, _) => {
            let check = format!("check that {resource} exists in this account and region, and the endpoint");
            match resource.split_once(":s3:::").filter(|_| is_bucket(permission, answer)) {
                Some((_, bucket)) => format!(
                    "{check}; if a bucket that is connected was deleted for good, `stocktake disconnect --bucket {bucket} \
                     --drop-rows --apply` forgets it"
                ),
                None => check,
            }
        }
        (Kind::WrongRegion, Some(region)) => format!("set the region of {resource} to {region:?}"),
        (Kind::WrongRegion, None) => format!("set the region that {resource} is in"),
        (Kind::Credentials, _) => format!(
            "check the credentials in the environment, profile or instance, the role to take on, and this machine's \
             clock{}",
            who.replace(" for the owner of", ": it was asked with")
        ),
        (Kind::Throttled, _) => {
            "wait, it is tried again; if it stays, ask less often or look at the service's health".to_owned()
        }
        (Kind::Unreachable, Some(endpoint)) => {
            format!("check network, proxy, DNS and TLS between here and {endpoint}")
        }
        (Kind::Unreachable, None) => BROKEN_OFF.to_owned(),
        (Kind::Unsupported, _) => {
            format!("use {} that has the call behind {permission}", service(permission))
        }
        (Kind::Malformed, _) => {
            format!("check that the endpoint is that of {} and not of a proxy before it", service(permission))
        }
        // An error about the key has no words with it either.
        (Kind::Other, _) if *permission == "s3:GetObjectVersion" => format!(
            "see that the key which objects of {resource} are encrypted with exists and is enabled; what is encrypted with a \
             key that only its writer has (SSE-C) cannot be looked at"
        ),
        (Kind::Other, _) => {
            "check the region (aws.region, or AWS_REGION), the endpoint and the name; else report this"
                .to_owned()
        }
    }
}

/// Whether it is the bucket that is not there, and not something in it.
fn is_bucket(permission: &str, answer: &str) -> bool {
    answer.starts_with("NoSuchBucket") || permission == "s3:ListBucket"
}

/// Whom a permission is for.
fn service(permission: &str) -> &'static str {
    match permission.split(':').next() {
        Some("s3") => "an S3 store",
        Some("sqs") => "SQS",
        _ => "AWS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind, answer: &str, who: Option<&str>, told: Option<&str>) -> String {
        let (permission, resource) = ("s3:ListBucketVersions", "arn:aws:s3:::genomics");
        remedy(kind, &Failed { permission, resource, answer, who, told })
    }

    #[test]
    fn a_remedy_is_for_what_was_answered() {
        let denied =
            "AccessDenied: User: arn:aws:iam::1:user/u is not authorized to perform: s3:ListBucketVersions";
        for (kind, answer, words) in [
            (Kind::Denied, denied.to_owned(), "allow s3:ListBucketVersions on arn:aws:s3:::genomics for the owner of access key AKIA1; if"),
            (Kind::Denied, format!("{denied} with an explicit deny in a service control policy"), "organisation: a service control"),
            (Kind::Denied, format!("{denied} with an explicit deny in a resource control policy"), "a resource control"),
            (Kind::Denied, "KMS.AccessDeniedException: no".to_owned(), "allow kms:Decrypt on the key"),
            (Kind::Credentials, "ExpiredToken: The provided token has expired.".to_owned(), "renew the session"),
            (Kind::Credentials, "NotSignedUp: no".to_owned(), "clock: it was asked with access key AKIA1"),
            (
                Kind::Credentials,
                "no credentials could be had: ValidationError: The requested DurationSeconds exceeds the 1 hour session \
                 limit for roles assumed by role chaining."
                    .to_owned(),
                "set session_duration to \"1h\"",
            ),
            (
                Kind::Credentials,
                "no credentials could be had: AccessDenied: User: u is not authorized to perform: sts:AssumeRole on resource: r"
                    .to_owned(),
                "trust policy names us and our external_id",
            ),
            (
                Kind::Credentials,
                "no credentials could be had: failed to read the web identity token file /t: No such file".to_owned(),
                "the service account has",
            ),
            (
                Kind::Credentials,
                "no credentials could be had: failed to load the cached SSO token".to_owned(),
                "`aws sso login`",
            ),
            (
                Kind::Credentials,
                "no credentials could be had: Error retrieving credentials: external process exited with code 1".to_owned(),
                "credential_process",
            ),
            (Kind::Other, "InvalidArgument: Unable to validate the following destination configurations".to_owned(), "--skip-validation"),
            (Kind::Other, "InvalidArgument: Configurations overlap. Configurations on the same bucket cannot share a common event type.".to_owned(), "the ways round"),
            (Kind::WrongRegion, "PermanentRedirect: use another".to_owned(), "to \"eu-north-1\""),
            (
                Kind::Absent,
                "NoSuchBucket: The specified bucket does not exist".to_owned(),
                "`stocktake disconnect --bucket genomics --drop-rows --apply`",
            ),
        ] {
            let remedy = said(kind, &answer, Some("AKIA1"), Some("eu-north-1"));
            assert!(remedy.contains(words), "no {words:?} in {remedy}");
        }
        assert!(!said(Kind::Denied, denied, None, None).contains("access key"));
    }
}
