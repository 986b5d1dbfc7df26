//! Everything that was heard of the program, and whether a secret is in it.

use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{Daemon, Told};

pub(super) const PASSWORD: &str = "kQ7mZx9WbT4pRv2L";
pub(super) const WRONG_PASSWORD: &str = "gH3nYc8VfD6sXw5J";
pub(super) const SECRET_KEY: &str = "tB5rLk0QzN8hMd4FyP6vCj2WxGs9EuA1oTi7KbRq";
pub(super) const TOKEN: &str = "FwoGZXIvYXdzEJ4rUq0vPz7dKm3aHt8LsNc6WbYx";
pub(super) const ROLE_SECRET: &str = "pX9cVn2MqJ7kTw4RzL8hGf5DsB3yKe6UaQ1iOm0N";
pub(super) const ROLE_TOKEN: &str = "IQoJb3JpZ2luX2VjEKz5XwPq8rTn3vYk6HmBd0Lf";

pub(super) const ADMIN_TOKEN: &str = "uN4jWf9RzX2cYt7BpQ5mHs8LdV3kGe6A";

/// All that is planted. A new setting that is secret belongs here.
const PLANTED: [(&str, &str); 7] = [
    ("the database's password", PASSWORD),
    ("a wrong password", WRONG_PASSWORD),
    ("the secret key", SECRET_KEY),
    ("the session token", TOKEN),
    ("the token of the status page", ADMIN_TOKEN),
    ("a role's secret key", ROLE_SECRET),
    ("a role's session token", ROLE_TOKEN),
];
/// So many characters of a secret in a row are a part of it, and no chance: what is cut short, or quoted in part, is found,
/// too.
const PART: usize = 8;
/// Around what was found, so much is shown.
const AROUND: usize = 160;

/// What was heard, and where.
#[derive(Debug, Default)]
pub(super) struct Heard(Vec<(String, String)>);

impl Heard {
    pub(super) fn say(&mut self, place: &str, text: &str) {
        assert!(!text.is_empty(), "{place} says nothing");
        self.0.push((place.to_owned(), text.to_owned()));
    }

    /// What a command said.
    pub(super) fn told(&mut self, place: &str, told: &Told) {
        self.0.push((format!("{place}, standard output"), told.stdout.clone()));
        self.0.push((format!("{place}, standard error"), told.stderr.clone()));
    }

    /// What the admin endpoint serves.
    pub(super) async fn served(&mut self, daemon: &Daemon) {
        let known = format!("text/html\r\nauthorization: Bearer {ADMIN_TOKEN}");
        for path in ["/", "/livez", "/readyz", "/metrics"] {
            for accept in ["*/*", "application/json", "text/html", &known] {
                let (status, body) = daemon.get_as(path, accept).await.unwrap();
                self.say(path, &format!("{status} {body}"));
            }
        }
    }

    /// Every row of every table and view of the catalog, and what Postgres knows of our sessions.
    pub(super) async fn written_down(&mut self, pool: &PgPool) {
        let relations = "select relname::text from pg_class where relnamespace = 'catalog'::regnamespace
                         and relkind in ('r', 'p', 'v') order by 1";
        let relations: Vec<String> = sqlx::query_scalar(relations).fetch_all(pool).await.unwrap();
        for relation in
            relations.iter().map(|name| format!("catalog.{name}")).chain(["pg_stat_activity".to_owned()])
        {
            let rows = format!("select coalesce(string_agg(r::text, E'\\n'), '') from {relation} r");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(pool).await.unwrap();
            self.0.push((relation, rows));
        }
    }

    /// Fails unless it was heard somewhere: what was to go wrong did.
    pub(super) fn must_have(&self, words: &str) {
        assert!(self.0.iter().any(|(_, text)| text.contains(words)), "nobody said {words:?}");
    }

    /// Fails where the search finds nothing although something is there.
    pub(super) fn must_be_planted(&self, text: &str) {
        assert_eq!(found("the configuration", text).len(), 1, "{text}");
    }

    pub(super) fn must_be_clean(&self) {
        let found: Vec<String> = self.0.iter().flat_map(|(place, text)| found(place, text)).collect();
        assert!(found.is_empty(), "{} secrets are told:\n{}", found.len(), found.join("\n"));
    }
}

/// The secrets that are in a text, each once.
fn found(place: &str, text: &str) -> Vec<String> {
    let found = PLANTED.iter().filter_map(|(what, secret)| {
        let at = (0..=secret.len() - PART).find_map(|from| text.find(&secret[from..from + PART]))?;
        let (from, to) =
            (text.floor_char_boundary(at.saturating_sub(AROUND)), text.ceil_char_boundary(at + AROUND));
        Some(format!("{what} in {place}: …{}…", &text[from..to]))
    });
    found.collect()
}

#[test]
fn a_part_of_a_secret_is_found() {
    for (what, secret) in PLANTED {
        for text in
            [format!("x{secret}y"), format!("cut short: {}…", &secret[..PART]), format!("…{}", &secret[3..])]
        {
            let found = found("a text", &text);
            assert!(found.len() == 1 && found[0].starts_with(what), "{found:?}");
        }
        assert!(found("a text", &format!("{}…", &secret[..PART - 1])).is_empty());
    }
}
