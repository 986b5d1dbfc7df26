//! The parameters of a connection URL: all that libpq knows, and what becomes of each.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Any text.
    Text,
    /// One of these, and why no other.
    OneOf(&'static [&'static str], &'static str),
    /// A whole number of this range.
    Number(u64, u64),
    /// A port, or one for each host.
    Ports,
    /// An IP address for each host.
    Addresses,
    /// Refused, because of this.
    Refused(&'static str),
}

use Rule::{Addresses, Number, OneOf, Ports, Refused, Text};

const UNENFORCED: &str = "the driver cannot enforce it";
const YES_OR_NO: Rule = OneOf(&["0", "1"], "");
/// What libpq takes a socket option for: ours end by the deadlines of statements instead.
const SOCKET_OPTION: Rule = Number(0, i32::MAX as u64);
const SERVICE: Rule = Refused("write the parameters of the service into the URL");
const SECRET_OF_LOGIN: Rule = Refused("give the password");
const OAUTH: Rule = Refused("the driver cannot log in by OAuth");

/// libpq's parameters up to Postgres 18. Those whose value is checked and then not used are harmless: they ask for what
/// happens anyway, or tune a socket. Those that demand something of the server and cannot be enforced are refused.
const PARAMETERS: &[(&str, Rule)] = &[
    // The sessions have names of their own, by which daemons know each other's.
    ("application_name", Text),
    ("channel_binding", OneOf(&["disable", "prefer"], UNENFORCED)),
    ("client_encoding", OneOf(&["auto", "UTF8", "UTF-8"], "the driver speaks no other")),
    ("connect_timeout", Number(0, 600)),
    ("dbname", Text),
    ("fallback_application_name", Text),
    ("gssdelegation", OneOf(&["0"], "the driver cannot do GSSAPI")),
    ("gssencmode", OneOf(&["disable", "prefer"], "the driver cannot do GSSAPI")),
    ("gsslib", Text),
    ("host", Text),
    ("hostaddr", Addresses),
    ("keepalives", YES_OR_NO),
    ("keepalives_count", SOCKET_OPTION),
    ("keepalives_idle", SOCKET_OPTION),
    ("keepalives_interval", SOCKET_OPTION),
    ("krbsrvname", Text),
    ("load_balance_hosts", OneOf(&["disable"], "hosts are tried in their order")),
    ("max_protocol_version", OneOf(&["3.0", "3.2", "latest"], "")),
    ("min_protocol_version", OneOf(&["3.0"], "the driver speaks no later one")),
    ("oauth_client_id", OAUTH),
    ("oauth_client_secret", OAUTH),
    ("oauth_issuer", OAUTH),
    ("oauth_scope", OAUTH),
    ("options", Text),
    ("passfile", Refused("name the file in the environment variable PGPASSFILE")),
    ("password", Text),
    ("port", Ports),
    ("replication", OneOf(&["false", "off", "no", "0"], "the catalog is read and written by statements")),
    ("require_auth", Refused(UNENFORCED)),
    ("requirepeer", Refused(UNENFORCED)),
    ("scram_client_key", SECRET_OF_LOGIN),
    ("scram_server_key", SECRET_OF_LOGIN),
    ("service", SERVICE),
    ("servicefile", SERVICE),
    ("ssl", OneOf(&["true"], "libpq takes it for sslmode=require")),
    ("ssl_max_protocol_version", OneOf(&["TLSv1.3"], "the driver takes the latest version")),
    ("ssl_min_protocol_version", OneOf(&["TLSv1", "TLSv1.1", "TLSv1.2"], "the driver takes 1.2 and 1.3")),
    ("sslcert", Text),
    ("sslcertmode", OneOf(&["disable", "allow"], UNENFORCED)),
    ("sslcompression", YES_OR_NO),
    ("sslcrl", Refused("the driver checks no revocation lists")),
    ("sslcrldir", Refused("the driver checks no revocation lists")),
    ("sslkey", Text),
    ("sslkeylogfile", Refused("the driver writes no session keys")),
    ("sslmode", OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"], "")),
    ("sslnegotiation", OneOf(&["postgres"], "the driver asks for TLS first")),
    ("sslpassword", Refused("the driver reads keys without a password only")),
    ("sslrootcert", Text),
    ("sslsni", OneOf(&["1"], "the driver always names the host")),
    ("statement-cache-capacity", Number(0, 100_000)),
    (
        "target_session_attrs",
        OneOf(&["any", "read-write", "primary"], "the catalog is written to, which a standby cannot take"),
    ),
    ("tcp_user_timeout", SOCKET_OPTION),
    ("user", Text),
];

/// Names that the driver, too, takes for one of libpq's.
const ALIASES: [(&str, &str); 5] = [
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
    ("ssl-mode", "sslmode"),
    ("ssl-root-cert", "sslrootcert"),
];

/// What a URL sets, by libpq's names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    values: BTreeMap<&'static str, String>,
    /// `options[name]=value`, which the driver takes, too.
    pub(super) settings: Vec<(String, String)>,
}

impl Parameters {
    /// The value of a parameter; an empty one is none, as with libpq.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Takes in one parameter. Of two with one name the last counts, as with libpq. No message repeats a value, or a
    /// name that is not known: either may be a password.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        if let Some(setting) = name.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']')) {
            self.settings.push((setting.to_owned(), value));
            return Ok(());
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let Some((name, rule)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            return Err(format!("has a parameter that is none of {}", names()));
        };
        if value.is_empty() {
            self.values.remove(name);
            return Ok(());
        }
        rule.check(&value).map_err(|message| format!("parameter {name} {message}"))?;
        let value = if matches!(rule, OneOf(..)) { value.to_ascii_lowercase() } else { value };
        if *name == "ssl" {
            self.values.insert("sslmode", "require".to_owned());
        } else {
            self.values.insert(name, value);
        }
        Ok(())
    }
}

impl Rule {
    fn check(self, value: &str) -> Result<(), String> {
        let is_right = match self {
            Text => true,
            OneOf(allowed, _) => allowed.iter().any(|one| one.eq_ignore_ascii_case(value)),
            Number(least, most) => value.parse().is_ok_and(|number| (least..=most).contains(&number)),
            Ports => value.split(',').all(|port| port.is_empty() || is_port(port)),
            Addresses => {
                value.split(',').all(|one| one.is_empty() || unbracketed(one).parse::<IpAddr>().is_ok())
            }
            Refused(_) => false,
        };
        if is_right {
            return Ok(());
        }
        Err(match self {
            OneOf(allowed, reason) => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                format!("must be {}{because}", one_of(allowed))
            }
            Number(least, most) => format!("must be a whole number from {least} to {most}"),
            Addresses => "must be an IP address, or one for each host, with commas".to_owned(),
            Ports | Text => PORT_RULE.to_owned(),
            Refused(remedy) => format!("is not supported: {remedy}"),
        })
    }
}

/// Checks the value of a parameter that libpq knows.
pub(super) fn check(name: &str, value: &str) -> Result<(), String> {
    let rule = PARAMETERS.iter().find(|(known, _)| *known == name).map_or(Text, |(_, rule)| *rule);
    rule.check(value)
}

/// What a port must be.
pub(super) const PORT_RULE: &str = "must be a number from 1 to 65535, or one for each host, with commas";

/// Whether a text is a port that can be connected to.
pub(super) fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// An IPv6 address without the brackets that a URL has around it.
pub(super) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The parameters that may be given.
fn names() -> String {
    let taken = PARAMETERS.iter().filter(|(_, rule)| !matches!(rule, Refused(_)));
    taken.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn one_of(allowed: &[&str]) -> String {
    match allowed {
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}
