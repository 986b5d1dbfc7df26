//! Names of things at AWS
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).

use std::fmt;
use std::str::FromStr;

use crate::aws::{partition, queue_region};

/// An ARN, in its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arn {
    /// `aws`, or `aws-cn` and the like for regions that are worlds of their own.
    pub partition: String,
    /// `sqs`, `iam`.
    pub service: String,
    /// The region; empty where names are the world's.
    pub region: String,
    /// Twelve digits; empty where names need none.
    pub account: String,
    /// The rest: a queue's name, `role/stocktake`.
    pub resource: String,
}

impl Arn {
    /// The queue that a URL names; none where it has no account, as those of some emulators.
    /// `region` is for URLs that do not name it.
    pub fn of_queue(url: &str, region: Option<&str>) -> Option<Self> {
        let region = queue_region(url).or_else(|| region.map(str::to_owned))?;
        let mut parts = url.trim_end_matches('/').rsplit('/');
        let (name, account) = (parts.next()?, parts.next().filter(|account| is_account(account))?);
        Some(Self::new(&region, "sqs", account, name))
    }

    /// Something in a region.
    pub fn new(region: &str, service: &str, account: &str, resource: &str) -> Self {
        Self {
            partition: partition(region).to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        }
    }
}

impl FromStr for Arn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.splitn(6, ':').collect::<Vec<_>>().as_slice() {
            ["arn", partition, service, region, account, resource] if !resource.is_empty() => Ok(Self {
                partition: (*partition).to_owned(),
                service: (*service).to_owned(),
                region: (*region).to_owned(),
                account: (*account).to_owned(),
                resource: (*resource).to_owned(),
            }),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(formatter, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// Whether this is an account's number.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_names_its_arn() {
        for (url, region, arn) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012/stocktake",
                None,
                Some("arn:aws:sqs:eu-central-1:123456789012:stocktake"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q/",
                Some("eu-west-1"),
                Some("arn:aws-cn:sqs:cn-north-1:123456789012:q"),
            ),
            (
                "http://127.0.0.1:4566/123456789012/q",
                Some("eu-west-1"),
                Some("arn:aws:sqs:eu-west-1:123456789012:q"),
            ),
            ("http://127.0.0.1:4566/123456789012/q", None, None),
            ("http://127.0.0.1:9324/queue/q", Some("eu-west-1"), None),
        ] {
            assert_eq!(Arn::of_queue(url, region).map(|arn| arn.to_string()).as_deref(), arn, "{url}");
        }
    }

    #[test]
    fn arns_are_taken_apart_and_put_together() {
        for text in
            ["arn:aws:iam::123456789012:role/path/ours", "arn:aws:s3:::genomics", "arn:aws:kms:r:1:key/a:b"]
        {
            assert_eq!(text.parse::<Arn>().map(|arn| arn.to_string()), Ok(text.to_owned()));
        }
        assert!("stocktake".parse::<Arn>().is_err() && "arn:aws:s3:::".parse::<Arn>().is_err());
    }
}
