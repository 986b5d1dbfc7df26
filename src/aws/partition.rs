//! Partitions: groups of regions with accounts, ARNs and hosts of their own
//! (<https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>).

use aws_config::Region;

/// The beginning of its regions' codes, the partition, and the domain of its hosts; regions of no other are of `aws`. As
/// `partitions.json` of the SDKs has them.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
];

/// The partition that a region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    PARTITIONS
        .iter()
        .find(|(start, ..)| region.starts_with(start))
        .map_or("aws", |(_, partition, _)| partition)
}

/// The domain of a partition's hosts.
pub(crate) fn domain(partition: &str) -> &'static str {
    PARTITIONS.iter().find(|(_, known, _)| *known == partition).map_or("amazonaws.com", |(.., domain)| domain)
}

/// The ARN of a bucket, or of keys in it, as policies of that region name it.
pub(crate) fn bucket_arn(region: Option<&Region>, name: &str) -> String {
    format!("arn:{}:s3:::{name}", partition(region.map_or("", |region| region.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_arns_and_hosts_of_their_partition() {
        for (region, arn, domain_of) in [
            ("eu-central-1", "arn:aws:s3:::b", "amazonaws.com"),
            ("us-east-1", "arn:aws:s3:::b", "amazonaws.com"),
            ("cn-northwest-1", "arn:aws-cn:s3:::b", "amazonaws.com.cn"),
            ("us-gov-west-1", "arn:aws-us-gov:s3:::b", "amazonaws.com"),
            ("us-iso-east-1", "arn:aws-iso:s3:::b", "c2s.ic.gov"),
            ("us-isob-east-1", "arn:aws-iso-b:s3:::b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "arn:aws-iso-e:s3:::b", "cloud.adc-e.uk"),
            ("us-isof-south-1", "arn:aws-iso-f:s3:::b", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "arn:aws-eusc:s3:::b", "amazonaws.eu"),
        ] {
            assert_eq!(bucket_arn(Some(&Region::new(region)), "b"), arn);
            assert_eq!(domain(partition(region)), domain_of, "{region}");
        }
        assert_eq!(bucket_arn(None, "b"), "arn:aws:s3:::b");
    }
}
