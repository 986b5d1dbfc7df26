//! The `[admin]` section.

use std::fmt;
use std::net::SocketAddr;

use super::section::Section;

/// A shorter token could be found by trying.
const TOKEN_MIN: usize = 16;

/// The endpoint for probes, metrics and the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens, `127.0.0.1:9464` without a word; none if it is turned off.
    pub listen: Option<SocketAddr>,
    /// What whoever wants to see the status page has to know.
    pub token: Option<Token>,
}

impl Admin {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let text = section.text("listen").filter(|text| !text.is_empty());
        let listen = text.and_then(|text| {
            text.parse()
                .inspect_err(|_| {
                    let message = format!(
                        "must be an IP address and a port such as \"127.0.0.1:9464\", or \"\" for none, not {text:?}"
                    );
                    section.mistake("listen", message);
                })
                .ok()
        });
        let token = section.optional("token").map(Token);
        if token.as_ref().is_some_and(|token| !token.is_fit()) {
            // What was written is not repeated.
            section.mistake(
                "token",
                format_args!(
                    "must be {TOKEN_MIN} or more letters, digits and signs, without spaces; \
                     `openssl rand -hex 32` makes one"
                ),
            );
        }
        Self { listen, token }
    }

    /// Whether the status page is shown: with a token, or where only this machine can see it.
    pub fn shows_page(&self) -> bool {
        self.token.is_some() || self.listen.is_some_and(|listen| listen.ip().is_loopback())
    }
}

/// A secret that shows up neither in `Debug` nor anywhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself, to compare with and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be sent in a header, and not be guessed.
    fn is_fit(&self) -> bool {
        self.0.len() >= TOKEN_MIN && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl From<&str> for Token {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_for_this_machine_or_for_who_knows_the_token() {
        for (listen, token, is_shown) in [
            ("127.0.0.1:9464", None, true),
            ("127.9.9.9:9464", None, true),
            ("[::1]:9464", None, true),
            ("0.0.0.0:9464", None, false),
            ("[::]:9464", None, false),
            ("192.0.2.1:9464", None, false),
            ("0.0.0.0:9464", Some("0123456789abcdef"), true),
        ] {
            let admin = Admin { listen: Some(listen.parse().unwrap()), token: token.map(Token::from) };
            assert_eq!(admin.shows_page(), is_shown, "{admin:?}");
            assert!(!format!("{admin:?}").contains("0123456789"));
        }
        assert!(!Admin { listen: None, token: None }.shows_page());
    }
}
