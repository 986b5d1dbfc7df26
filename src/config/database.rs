//! The `[database]` section.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::section::Section;

/// More connections than this and Postgres spends its time on switching between them.
const CONNECTIONS_MAX: u32 = 1_000;
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Parameters that may be shown; any other could be, or hold, a secret.
const SHOWN: [&str; 5] = ["host", "port", "dbname", "user", "sslmode"];

/// All that the driver knows. It would tell of any other in the log, and what it is set to: a password, if that is what was
/// misspelt.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Where the catalog is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The connection string; required.
    pub url: DatabaseUrl,
    /// The most connections held at once, 10 without a word. Every worker needs one, and so do
    /// rechecks, a run and the status.
    pub max_connections: u32,
    /// How long a connection may take to be made before the attempt counts as failed, 10 s.
    pub connect_timeout: Duration,
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let url = section.optional("url").map_or(DatabaseUrl::default(), |text| {
            DatabaseUrl::parse(text).unwrap_or_else(|message| {
                section.mistake("url", message);
                DatabaseUrl::default()
            })
        });
        Self {
            url,
            max_connections: section.number("max_connections", 1..=CONNECTIONS_MAX),
            connect_timeout: section.duration("connect_timeout", CONNECT_TIMEOUT_MIN..=CONNECT_TIMEOUT_MAX),
        }
    }
}

/// A connection string whose password shows up neither in `Debug` nor in `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseUrl {
    secret: String,
    shown: String,
}

impl DatabaseUrl {
    /// The whole string with its password, to connect with and for nothing else.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// The file with the certificates of those who may vouch for the server, if it names one.
    pub fn root_certificate(&self) -> Option<String> {
        let url = Url::parse(&self.secret).ok()?;
        let mut parameters = url.query_pairs();
        let file = parameters.find_map(|(name, value)| (name == "sslrootcert").then(|| value.into_owned()));
        // The certificates themselves may stand there, too.
        file.filter(|file| !file.starts_with("-----BEGIN"))
    }

    /// Checks a connection string. No message repeats any of it.
    fn parse(secret: String) -> Result<Self, String> {
        const FORM: &str = "\"postgres://user:password@host:5432/database\"";
        const ENCODE: &str =
            "special characters in a user or password are percent-encoded (@ %40, / %2F, # %23, ? %3F)";
        let url = Url::parse(&secret)
            .map_err(|error| format!("must be a URL such as {FORM}: {error}; {ENCODE}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("must begin with postgres:// or postgresql://, as in {FORM}"));
        }
        // What follows a raw separator inside a password is parsed as something that is not secret.
        let stray = [Some(url.path()), url.query()].into_iter().flatten().any(|part| part.contains('@'));
        if stray || url.fragment().is_some() || url.cannot_be_a_base() {
            return Err(format!("must have the form {FORM}; {ENCODE}"));
        }
        let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
        if url.query_pairs().any(|(name, _)| !is_known(&name)) {
            let known = PARAMETERS.join(", ");
            return Err(format!(
                "has a parameter that is none of {known}; it must have the form {FORM}; {ENCODE}"
            ));
        }
        let shown = redact(url);
        Ok(Self { secret, shown })
    }
}

fn redact(mut url: Url) -> String {
    if url.password().is_some() {
        // It fails for URLs without a host only, which have no password either.
        let _ = url.set_password(Some("***"));
    }
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| SHOWN.contains(&name.as_str())).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.to_string()
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        for (written, shown) in [
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgresql://u:s3cret@h:5432/d", "postgresql://u:***@h:5432/d"),
            (
                "postgres://u:s3cret%40x@h/d?sslmode=require&password=s3cret",
                "postgres://u:***@h/d?sslmode=require",
            ),
            ("postgres:///d?host=/run/pg&sslkey=s3cret", "postgres:///d?host=%2Frun%2Fpg"),
            ("postgres://:s3cret@h/d", "postgres://:***@h/d"),
        ] {
            let url = DatabaseUrl::parse(written.to_owned()).unwrap();
            assert_eq!(url.expose(), written);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
        }
    }

    #[test]
    fn messages_repeat_nothing() {
        for written in [
            "s3cret",
            "mysql://u:s3cret@h/d",
            "postgres:s3cret",
            "postgres://u:s3cret#x@h/d",
            "postgres://u:12#s3cret@h/d",
            "postgres://u:12/s3cret@h/d",
            "postgres://u:12?s3cret@h/d",
            "postgres://u:s3cret@h:port/d",
            "host=h password=s3cret",
            "postgres://u@h/d?passwort=s3cret",
            "postgres://u@h/d?s3cret",
            "postgres://u@h/d?sslmode=require&passfile=s3cret",
        ] {
            let message = DatabaseUrl::parse(written.to_owned()).unwrap_err();
            assert!(!message.contains("s3cret"), "{message}");
            assert!(message.contains("postgres://"), "{message}");
        }
    }
}
