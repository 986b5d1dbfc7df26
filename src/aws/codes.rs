//! What the codes of errors mean.

use crate::fault::Kind;

/// Codes of errors that an operator can meet, and what they mean
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>,
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>,
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
pub const CODES: &[(Kind, &[&str])] = &[
    (
        Kind::Denied,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "AllAccessDisabled",
            "AuthorizationError",
            "DisabledException",
            "InvalidKeyUsageException",
            "KMSInvalidStateException",
            "KmsAccessDenied",
            "KmsDisabled",
            "KmsInvalidKeyUsage",
            "KmsInvalidState",
            "KmsNotFound",
            "KmsOptInRequired",
        ],
    ),
    (
        Kind::Absent,
        &[
            "NoSuchBucket",
            "NonExistentQueue",
            "NotFound",
            "NotFoundException",
            "QueueDoesNotExist",
            "ResourceNotFoundException",
        ],
    ),
    (
        Kind::WrongRegion,
        &[
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
            "Redirect",
            "TemporaryRedirect",
        ],
    ),
    (
        Kind::Credentials,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidToken",
            "MissingAuthenticationToken",
            "NotSignedUp",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
        ],
    ),
    (
        Kind::Throttled,
        &[
            "DependencyTimeoutException",
            "InternalError",
            "InternalFailure",
            "KMSInternalException",
            "KeyUnavailableException",
            "KmsThrottled",
            "OverLimit",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestTimeout",
            "ServiceUnavailable",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ],
    ),
    (Kind::Unsupported, &["MethodNotAllowed", "NotImplemented", "UnsupportedOperation"]),
    (Kind::Other, &["InvalidArgument", "QueueDeletedRecently"]),
];

/// Sorts an error by its code, and where the code is strange or missing by the status.
pub(super) fn kind(code: &str, status: u16) -> Kind {
    let code = code.rsplit('.').next().unwrap_or_default();
    let known = CODES.iter().find(|(_, codes)| codes.contains(&code));
    match known {
        Some((kind, _)) => *kind,
        None => match status {
            300..=399 => Kind::WrongRegion,
            401 => Kind::Credentials,
            403 => Kind::Denied,
            404 => Kind::Absent,
            405 | 501 => Kind::Unsupported,
            429 | 500.. => Kind::Throttled,
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        for (code, status, expected) in [
            ("AWS.SimpleQueueService.NonExistentQueue", 400, Kind::Absent),
            ("KMS.AccessDeniedException", 400, Kind::Denied),
            ("RequestTimeTooSkewed", 403, Kind::Credentials),
            ("IllegalLocationConstraintException", 400, Kind::WrongRegion),
            ("Novel", 400, Kind::Other),
            ("Novel", 502, Kind::Throttled),
            ("", 301, Kind::WrongRegion),
            ("", 403, Kind::Denied),
            ("", 429, Kind::Throttled),
            ("", 501, Kind::Unsupported),
        ] {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }
}
