//! How to reach AWS, or a service that speaks like it.

use std::time::Duration;

/// Where a queue or bucket is, and as whom it is approached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The region, such as `eu-central-1`; without it the SDK's default chain decides.
    pub region: Option<String>,
    /// The endpoint of a compatible store or an emulator; path-style addressing then.
    pub endpoint_url: Option<String>,
    /// The role to assume; without it the credentials of the SDK's default chain are used as they are.
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// How long an assumed session lasts.
    pub session_duration: Option<Duration>,
}
