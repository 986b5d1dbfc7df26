//! What is taken for a connection string, and that none is ever repeated.

use super::*;

fn parsed(text: &str) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn exposed(text: &str) -> Vec<String> {
    parsed(text).expose().collect()
}

#[test]
fn passwords_are_never_shown() {
    for (written, shown) in [
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgresql://u:s3cret@h:5432/d", "postgresql://u:***@h:5432/d"),
        (
            "postgres://u:s3cret%40x@h/d?sslmode=require&password=s3cret",
            "postgres://u:***@h/d?sslmode=require",
        ),
        ("postgres:///d?host=/run/pg&options=s3cret", "postgres:///d?host=%2Frun%2Fpg"),
        ("postgres://:s3cret@h/d", "postgres://:***@h/d"),
        ("postgres://u:s3cret@a:1,b:2/d", "postgres://u:***@a:1,b:2/d"),
        ("postgres://u:12#s3cret@h/d", "postgres://u:***@h/d"),
        ("postgres://u:p@s3cret@h/d", "postgres://u:***@h/d"),
    ] {
        let url = parsed(written);
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("{shown:?}"));
    }
}

#[test]
fn what_psql_accepts_becomes_what_the_driver_understands() {
    for (written, servers) in [
        ("postgres://", &["postgres:?"][..]),
        (" postgres://u:p@h:5433/d\n", &["postgres:?host=h&port=5433&user=u&password=p&dbname=d"]),
        ("postgresql://u%40x:p%2F%23@h/d%20e", &["postgres:?host=h&user=u%40x&password=p%2F%23&dbname=d+e"]),
        ("POSTGRES://u:p#x@h", &["postgres:?host=h&user=u&password=p%23x"]),
        ("postgres://[::1]:5433/d", &["postgres:?host=%3A%3A1&port=5433&dbname=d"]),
        ("postgres://[fe80::1%25eth0]/", &["postgres:?host=fe80%3A%3A1%25eth0"]),
        ("postgres:///d?host=[::1]", &["postgres:?host=%3A%3A1&dbname=d"]),
        ("postgres://%2Frun%2Fpg/d", &["postgres:?host=%2Frun%2Fpg&dbname=d"]),
        ("postgres://a/d?host=b&port=7&user=u&dbname=e", &["postgres:?host=b&port=7&user=u&dbname=e"]),
        ("postgres://a/d?host=&user=", &["postgres:?host=a&dbname=d"]),
        ("postgres://h?password=a+b", &["postgres:?host=h&password=a%2Bb"]),
        ("postgres://h:/d", &["postgres:?host=h&dbname=d"]),
        ("postgres://h/?hostaddr=192.0.2.1&sslmode=require", &["postgres:?host=192.0.2.1&sslmode=require"]),
        ("postgres:///?hostaddr=::1,192.0.2.1", &["postgres:?host=%3A%3A1", "postgres:?host=192.0.2.1"]),
        ("postgres://h/?ssl=true", &["postgres:?host=h&sslmode=require"]),
        ("postgres://h/?ssl-mode=Verify-Full", &["postgres:?host=h&sslmode=verify-full"]),
        (
            "postgres://h/?sslmode=require&sslrootcert=ca.pem",
            &["postgres:?host=h&sslrootcert=ca.pem&sslmode=verify-ca"],
        ),
        ("postgres://h/?sslrootcert=system", &["postgres:?host=h&sslmode=verify-full"]),
        ("postgres://h/?sslcert=c&sslkey=k&sslcertmode=disable", &["postgres:?host=h"]),
        (
            "postgres://h/?options=-c%20work_mem=1MB&options[jit]=on",
            &["postgres:?host=h&options=-c+work_mem%3D1MB&options%5Bjit%5D=on"],
        ),
        (
            "postgres://h/?application_name=x&keepalives_idle=9&connect_timeout=3&channel_binding=prefer\
             &gssencmode=disable&tcp_user_timeout=9&client_encoding=utf8&ssl_min_protocol_version=TLSv1.2",
            &["postgres:?host=h"],
        ),
        (
            "postgres://u:p@a:1,[::2]:3,c/d?target_session_attrs=read-write",
            &[
                "postgres:?host=a&port=1&user=u&password=p&dbname=d",
                "postgres:?host=%3A%3A2&port=3&user=u&password=p&dbname=d",
                "postgres:?host=c&user=u&password=p&dbname=d",
            ],
        ),
        ("postgres:///?host=a,b&port=1,2", &["postgres:?host=a&port=1", "postgres:?host=b&port=2"]),
        ("postgres:///?host=a,b&port=9", &["postgres:?host=a&port=9", "postgres:?host=b&port=9"]),
    ] {
        assert_eq!(exposed(written), servers, "{written}");
    }
}

#[test]
fn which_server_counts_is_said() {
    for (query, attrs) in [
        ("", TargetSessionAttrs::Any),
        ("?target_session_attrs=any", TargetSessionAttrs::Any),
        ("?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
        ("?target_session_attrs=primary", TargetSessionAttrs::Primary),
    ] {
        assert_eq!(parsed(&format!("postgres://a,b/d{query}")).target_session_attrs(), attrs);
    }
}

#[test]
fn refusals_name_the_parameter_and_what_is_allowed() {
    for (written, part) in [
        (
            "h/?sslmode=verify_full",
            "parameter sslmode must be disable, allow, prefer, require, verify-ca or verify-full;",
        ),
        ("h/?ssl-mode=s3cret", "parameter sslmode must be"),
        ("h/?port=s3cret", "parameter port must be a number from 1 to 65535"),
        ("h:s3cret/", "has a port that is none: it must be a number from 1 to 65535"),
        ("h:0/", "port"),
        ("h:65536/", "port"),
        ("h:+5/", "port"),
        ("h/?hostaddr=s3cret", "parameter hostaddr must be an IP address"),
        ("h/?hostaddr=192.0.2.1,192.0.2.2", "parameter hostaddr must have one address for each host"),
        ("h/?hostaddr=192.0.2.1&sslmode=verify-full", "parameter hostaddr cannot be given beside"),
        ("a,b,c/?port=1,2", "parameter port must have one port"),
        ("a/?connect_timeout=s3cret", "parameter connect_timeout must be a whole number from 0 to 600"),
        (
            "a/?target_session_attrs=standby",
            "parameter target_session_attrs must be any, read-write or primary: ",
        ),
        ("a/?target_session_attrs=read-only", "parameter target_session_attrs must be"),
        ("a/?channel_binding=require", "parameter channel_binding must be disable or prefer: "),
        ("a/?gssencmode=require", "parameter gssencmode must be disable or prefer: "),
        ("a/?keepalives_idle=s3cret", "parameter keepalives_idle must be a whole number"),
        ("a/?replication=database", "parameter replication must be"),
        ("a/?client_encoding=LATIN1", "parameter client_encoding must be"),
        ("a/?require_auth=s3cret", "parameter require_auth is not supported: "),
        (
            "a/?passfile=s3cret",
            "parameter passfile is not supported: name the file in the environment variable PGPASSFILE",
        ),
        ("a/?service=s3cret", "parameter service is not supported: write"),
        ("a/?sslcrl=s3cret", "parameter sslcrl is not supported"),
        ("a/?sslpassword=s3cret", "parameter sslpassword is not supported"),
        (
            "a/?sslrootcert=system&sslmode=require",
            "parameter sslmode must be verify-full where sslrootcert is system",
        ),
        ("a/?sslcert=s3cret", "parameters sslcert and sslkey must be given together"),
        ("a/?statement-cache-capacity=s3cret", "parameter statement-cache-capacity must be a whole number"),
        ("a/?passwort=s3cret", "has a parameter that is none of application_name, channel_binding,"),
        ("a/?s3cret", "has a parameter that is none of"),
        ("u:s3cret%ZZ@a/", "has a % that two hexadecimal digits do not follow"),
        ("u:s3cret%00@a/", "%00"),
        ("u:s3cret%ff@a/", "no UTF-8"),
        ("u:s3cret@[::1/", "closing bracket"),
        ("u:s3cret@[::1]x/", "between an IPv6 address and its port"),
        ("u:s3cret@[s3cret]/", "no IPv6 address"),
        ("u:s3c\nret@a/", "control character"),
        ("u:12/s3cret@h/d", "belongs to no part"),
        ("u:12?s3cret@h/d", "belongs to no part"),
        ("h/d#s3cret", "belongs to no part"),
        ("%40s3cret/d", "abstract socket"),
        ("s3 cret/d", "no name of a host"),
        ("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/", "more than 16 hosts"),
    ] {
        let message = DatabaseUrl::parse(&format!("postgres://{written}")).unwrap_err();
        assert!(message.contains(part), "{written}: {message}");
        assert!(!message.contains("s3cret"), "{message}");
        assert!(message.contains("postgres://"), "{message}");
    }
    for written in [
        "s3cret",
        "mysql://u:s3cret@h/d",
        "postgres:s3cret",
        "postgres//u:s3cret@h",
        "host=h password=s3cret",
    ] {
        let message = DatabaseUrl::parse(written).unwrap_err();
        assert!(!message.contains("s3cret") && message.contains("postgres://"), "{message}");
    }
}

#[test]
fn a_timeout_of_the_url_counts_where_the_key_is_not_written() {
    for (toml, seconds) in [
        ("url = 'postgres://h/d'", 10),
        ("url = 'postgres://h/d?connect_timeout=3'", 3),
        ("url = 'postgres://h/d?connect_timeout=0'", 10),
        ("url = 'postgres://h/d?connect_timeout=3'\nconnect_timeout = '7s'", 7),
    ] {
        let config = crate::config::tests::parsed(&format!("[database]\n{toml}\n"), &[]).unwrap();
        assert_eq!(config.database.connect_timeout, Duration::from_secs(seconds), "{toml}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named_with_their_place() {
    let url = "postgres://u:s3cret@h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem";
    let errors =
        crate::config::tests::parsed("", &[("STOCKTAKE_DATABASE__URL", url)]).unwrap_err().to_string();
    let told = "database.url: failed to open \"/nowhere/ca.pem\", its parameter sslrootcert: No such file";
    assert!(errors.contains(told) && errors.contains("(set by STOCKTAKE_DATABASE__URL)"), "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
}

#[test]
fn variables_that_the_driver_would_pass_over_are_refused_where_the_url_is_silent() {
    let mistakes = |url: &str, name: &'static str, value: &'static str| -> Vec<_> {
        let variable = |asked: &str| (asked == name).then(|| value.to_owned());
        parsed(url).mistaken_variables(variable).map(|(name, _)| name).collect()
    };
    assert_eq!(mistakes("postgres://h/d", "PGSSLMODE", "verify_full"), ["PGSSLMODE"]);
    assert_eq!(mistakes("postgres://h/d", "PGPORT", "abc"), ["PGPORT"]);
    for (url, name, value) in [
        ("postgres://h/d?sslmode=disable", "PGSSLMODE", "verify_full"),
        ("postgres://h/d", "PGSSLMODE", "verify-full"),
        ("postgres://h/d", "PGSSLMODE", ""),
        ("postgres://h:1/d", "PGPORT", "abc"),
        ("postgres://h/d", "PGPORT", "5433"),
    ] {
        assert_eq!(mistakes(url, name, value), [""; 0], "{url} {name} {value}");
    }
}
