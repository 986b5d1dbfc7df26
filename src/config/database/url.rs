//! `database.url`, read as libpq reads it: several hosts, and parameters by libpq's names.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use url::form_urlencoded;

use super::parameters::{PORT_RULE, Parameters, check, is_port, unbracketed};

const FORM: &str = "\"postgres://user:password@host:5432/database\"";
const ENCODE: &str =
    "special characters in a user or password are percent-encoded (@ %40, / %2F, # %23, ? %3F, % %25)";
/// Parameters that may be shown; any other could be, or hold, a secret.
const SHOWN: [&str; 7] = ["host", "hostaddr", "port", "dbname", "user", "sslmode", "target_session_attrs"];
/// The most hosts of one URL: each may cost a connect timeout before the next is tried.
const SERVERS_MAX: usize = 16;

/// Which of several servers counts as connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// The first that answers.
    #[default]
    Any,
    /// The first whose sessions may write.
    ReadWrite,
    /// The first that is no standby.
    Primary,
}

/// A connection string whose password shows up neither in `Debug` nor in `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// At least one, unless nothing was configured.
    servers: Vec<Server>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    parameters: Parameters,
    shown: String,
}

/// One of the servers that a URL names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Server {
    /// A name, an address without brackets, or the folder of a socket; none for libpq's default.
    host: Option<String>,
    /// None for the default, 5432.
    port: Option<String>,
}

impl DatabaseUrl {
    /// A URL for the driver for each server, in the order in which they are tried. It has the password: to connect with
    /// and for nothing else.
    pub fn expose(&self) -> impl Iterator<Item = String> {
        self.servers.iter().map(|server| {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            let own = [("host", server.host.as_deref()), ("port", server.port.as_deref())];
            let common = [("user", &self.user), ("password", &self.password), ("dbname", &self.database)];
            let common = common.map(|(name, value)| (name, value.as_deref()));
            let of_parameters = ["sslrootcert", "sslcert", "sslkey", "options", "statement-cache-capacity"]
                .map(|name| (name, self.driver_parameter(name)));
            let all = own.into_iter().chain(common).chain(of_parameters);
            pairs.extend_pairs(all.filter_map(|(name, value)| Some((name, value?))));
            if let Some(mode) = self.ssl_mode() {
                pairs.append_pair("sslmode", mode);
            }
            for (name, value) in &self.parameters.settings {
                pairs.append_pair(&format!("options[{name}]"), value);
            }
            // Without a host of its own, so that none of the parameters has two places.
            format!("postgres:?{}", pairs.finish())
        })
    }

    /// Which of the servers counts.
    pub fn target_session_attrs(&self) -> TargetSessionAttrs {
        match self.parameters.get("target_session_attrs") {
            Some("read-write") => TargetSessionAttrs::ReadWrite,
            Some("primary") => TargetSessionAttrs::Primary,
            _ => TargetSessionAttrs::Any,
        }
    }

    /// Its `connect_timeout`; nothing for 0, which is libpq's word for no limit.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        let seconds = self.parameters.get("connect_timeout")?.parse().ok()?;
        Some(Duration::from_secs(seconds)).filter(|timeout| !timeout.is_zero())
    }

    /// What is wrong with variables of libpq's that count where the URL is silent, each with its variable: the driver
    /// would pass over them, and encrypt less than was asked for.
    pub(super) fn mistaken_variables(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> impl Iterator<Item = (&'static str, String)> {
        let has_port = self.servers.iter().all(|server| server.port.is_some());
        let silent = [("PGSSLMODE", "sslmode", self.ssl_mode().is_none()), ("PGPORT", "port", !has_port)];
        silent.into_iter().filter(|(.., is_silent)| *is_silent).filter_map(move |(name, parameter, _)| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some((name, check(parameter, &value).err()?))
        })
    }

    /// The files that it names, each with its parameter.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let file = |name: &'static str| Some((name, self.driver_parameter(name)?));
        // The certificates themselves may stand there, too.
        let named = ["sslrootcert", "sslcert", "sslkey"].into_iter().filter_map(file);
        named.filter(|(_, file)| !file.starts_with("-----BEGIN"))
    }

    /// A parameter as the driver is to have it.
    fn driver_parameter(&self, name: &str) -> Option<&str> {
        let value = self.parameters.get(name);
        match name {
            // The driver has roots of its own, and would look for a file of this name.
            "sslrootcert" => value.filter(|value| *value != "system"),
            "sslcert" | "sslkey" => value.filter(|_| self.parameters.get("sslcertmode") != Some("disable")),
            _ => value,
        }
    }

    /// As libpq takes it: with certificates to check against, `require` checks them.
    fn ssl_mode(&self) -> Option<&str> {
        match (self.parameters.get("sslmode"), self.parameters.get("sslrootcert")) {
            (None, Some("system")) => Some("verify-full"),
            (Some("require"), Some(_)) => Some("verify-ca"),
            (mode, _) => mode,
        }
    }

    /// Checks a connection string. No message repeats any of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Secrets from a file often end with a newline.
        let text = text.trim();
        let refused = |what: &str| format!("{what}; it must have the form {FORM}; {ENCODE}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refused("is no URL"))?;
        if !["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(refused("must begin with postgres:// or postgresql://"));
        }
        if rest.contains(|character: char| character.is_control()) {
            return Err(refused("has a control character"));
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // What follows a raw separator inside a password is parsed as something that is not secret.
        if rest.contains(['@', '#']) {
            return Err(refused("has a character that belongs to no part of it"));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| (login, login.split_once(':'))) {
            Some((_, Some((user, password)))) => (user, Some(password)),
            Some((user, None)) => (user, None),
            None => ("", None),
        };
        let decoded = |text: &str| decode(text).map_err(refused);
        let mut parameters = Parameters::default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for pair in pairs.clone() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.set(&decoded(name)?, decoded(value)?).map_err(|message| refused(&message))?;
        }
        let part = |text: &str, name: &str| -> Result<Option<String>, String> {
            let own = parameters.get(name).map(str::to_owned);
            Ok(own.or(Some(decoded(text)?).filter(|text| !text.is_empty())))
        };
        let url = Self {
            servers: servers(hosts, &parameters).map_err(|message| refused(&message))?,
            user: part(user, "user")?,
            password: part(password.unwrap_or_default(), "password")?,
            database: part(path.strip_prefix('/').unwrap_or(path), "dbname")?,
            shown: shown(&[scheme, user, hosts, path], login.is_some(), password.is_some(), &parameters),
            parameters,
        };
        url.check_tls().map_err(|message| refused(&message))?;
        Ok(url)
    }

    /// Refuses what only together is wrong.
    fn check_tls(&self) -> Result<(), String> {
        let (mode, roots) = (self.ssl_mode(), self.parameters.get("sslrootcert"));
        if roots == Some("system") && mode != Some("verify-full") {
            return Err("parameter sslmode must be verify-full where sslrootcert is system".to_owned());
        }
        let has_both = self.parameters.get("sslcert").is_some() == self.parameters.get("sslkey").is_some();
        if !has_both {
            return Err("parameters sslcert and sslkey must be given together".to_owned());
        }
        Ok(())
    }
}

/// The servers of a URL: parameters win over what stands before the path, as with libpq.
fn servers(authority: &str, parameters: &Parameters) -> Result<Vec<Server>, String> {
    let list = |name| parameters.get(name).map(|text| text.split(',').collect::<Vec<_>>());
    let mut servers = Vec::new();
    match list("host") {
        Some(hosts) => {
            for host in hosts {
                servers.push(Server { host: host_of(host)?, port: None });
            }
        }
        None => {
            for one in authority.split(',') {
                servers.push(server(one)?);
            }
        }
    }
    // One address alone has no host beside it.
    let count = servers.len();
    let is_named = servers.iter().any(|server| server.host.is_some());
    if let Some(addresses) = list("hostaddr") {
        if is_named && addresses.len() != count {
            return Err("parameter hostaddr must have one address for each host".to_owned());
        }
        let is_checked = parameters.get("sslmode") == Some("verify-full");
        servers.resize(addresses.len(), servers.first().cloned().unwrap_or_default());
        for (server, address) in servers.iter_mut().zip(addresses).filter(|(_, address)| !address.is_empty())
        {
            if is_checked && server.host.as_deref().is_some_and(|host| host != unbracketed(address)) {
                return Err(
                    "parameter hostaddr cannot be given beside a host and sslmode=verify-full: the driver \
                            would look for the address in the certificate"
                        .to_owned(),
                );
            }
            server.host = Some(unbracketed(address).to_owned());
        }
    }
    if let Some(ports) = list("port") {
        if ports.len() != 1 && ports.len() != servers.len() {
            return Err("parameter port must have one port for all hosts, or one for each".to_owned());
        }
        for (server, port) in servers.iter_mut().zip(ports.iter().cycle()) {
            server.port = Some((*port).to_owned()).filter(|port| !port.is_empty());
        }
    }
    if servers.len() > SERVERS_MAX {
        return Err(format!("has more than {SERVERS_MAX} hosts"));
    }
    Ok(servers)
}

/// One `host:port`.
fn server(text: &str) -> Result<Server, String> {
    let end = if text.starts_with('[') {
        text.find(']').ok_or("has an IPv6 address without its closing bracket")? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(port) if is_port(port) => Some(port.to_owned()),
        Some(_) => return Err(format!("has a port that is none: it {PORT_RULE}")),
        None if rest.is_empty() => None,
        None => return Err("has something between an IPv6 address and its port".to_owned()),
    };
    Ok(Server { host: host_of(&decode(host)?)?, port })
}

/// A host, of which an empty text is none.
fn host_of(text: &str) -> Result<Option<String>, String> {
    let host = unbracketed(text);
    let is_socket = host.starts_with('/');
    if host != text {
        let address = host.split_once('%').map_or(host, |(address, _zone)| address);
        let is_address = address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        if !is_address {
            return Err("has something in brackets that is no IPv6 address".to_owned());
        }
    }
    if host.starts_with('@') {
        return Err("has a host that is an abstract socket, which the driver cannot connect to".to_owned());
    }
    let is_strange = |character: char| character.is_whitespace() || "@#\"<>\\/".contains(character);
    if !is_socket && host.contains(is_strange) {
        return Err("has a host with a character that no name of a host has".to_owned());
    }
    Ok(Some(host.to_owned()).filter(|host| !host.is_empty()))
}

/// Decodes as libpq does: a plus sign is one.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err("has a % that two hexadecimal digits do not follow");
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    if bytes.contains(&0) {
        return Err("has a zero byte, %00");
    }
    String::from_utf8(bytes).map_err(|_| "has percent-encoded bytes that are no UTF-8")
}

/// The text with nothing secret in it.
fn shown(parts: &[&str; 4], has_login: bool, has_password: bool, parameters: &Parameters) -> String {
    let [scheme, user, hosts, path] = parts;
    let password = if has_password { ":***" } else { "" };
    let at = if has_login { "@" } else { "" };
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(SHOWN.iter().filter_map(|name| Some((*name, parameters.get(name)?))));
    let kept = pairs.finish();
    let mark = if kept.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{password}{at}{hosts}{path}{mark}{kept}")
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
