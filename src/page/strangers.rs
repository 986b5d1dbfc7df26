//! Who does not know the token: how often one may try, what is said of it in the log, and whose forms are taken.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use super::limits::Allowance;
use crate::doorway::Peer;

/// What they all together may do. Apart from what others may, so that they lock nobody out who is let in.
#[derive(Debug)]
pub(super) struct Strangers {
    pub(super) limit: Allowance,
    lines: Allowance,
    untold: AtomicU64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            limit: Allowance::new(60.0, 20.0),
            // Some lines for somebody who mistypes, and six a minute for who goes on.
            lines: Allowance::new(5.0, 0.1),
            untold: AtomicU64::new(0),
        }
    }
}

impl Strangers {
    /// Notes that somebody sent a token that was none, and says so unless that was said often enough.
    pub(super) fn note(&self, Peer(address): Peer) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        if self.lines.take() {
            let attempts = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(
                %address,
                attempts,
                remedy = "if that was none of you, see who can reach admin.listen",
                "somebody tried to log in to the status page with a token that is not admin.token"
            );
        }
    }
}

/// Whether a browser says that a form was sent by somebody else's page, which would log people in as it likes. Of our
/// own ones a browser says so itself where it trusts the connection, whatever a proxy makes of the host's name.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let name = origin.split_once("://").map(|(_, name)| name);
            !name.zip(text(HOST.as_str())).is_some_and(|(name, host)| name.eq_ignore_ascii_case(host))
        }
        // No browser, then.
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn forms_of_others_are_told_apart() {
        for (site, origin, is_foreign) in [
            ("", "", false),
            ("", "http://10.0.0.5:9464", false),
            ("", "HTTPS://10.0.0.5:9464", false),
            ("", "http://10.0.0.5", true),
            ("", "http://10.0.0.5:9464.evil.example", true),
            ("", "https://evil.example", true),
            ("", "null", true),
            ("", "é", true),
            ("same-origin", "https://stocktake.example", false),
            ("none", "", false),
            ("same-site", "http://10.0.0.5:9464", true),
            ("cross-site", "https://evil.example", true),
        ] {
            let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("10.0.0.5:9464"))]);
            for (name, value) in [(HeaderName::from_static("sec-fetch-site"), site), (ORIGIN, origin)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            assert_eq!(super::is_foreign(&headers), is_foreign, "{site:?} {origin:?}");
        }
        assert!(super::is_foreign(&HeaderMap::from_iter([(ORIGIN, "http://a".parse().unwrap())])));
    }
}
