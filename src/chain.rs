//! Errors in one line.

use std::error::Error;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

/// An error and its causes, from the outermost in, parted by `: `. A cause that the one before it
/// already told is left out: some libraries say what their source says, and have it as source, too.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = told(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = told(error);
        // What a driver boxed is of a type of its own, and not known for Postgres's.
        if !line.ends_with(&text) && !line.ends_with(without_line(&text)) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// An error without its causes. Those of Postgres end with the line of its own source code that raised
/// them, which is of use to nobody here.
fn told(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let is_of_postgres =
        error.is::<sqlx::Error>() || error.is::<MigrateError>() || error.is::<PgDatabaseError>();
    if is_of_postgres { without_line(&text).to_owned() } else { text }
}

fn without_line(text: &str) -> &str {
    match text.rsplit_once(" at line ") {
        Some((said, line)) if line.parse::<u32>().is_ok() => said,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let telling = sqlx::Error::Io(refused());
        let error = Err::<(), _>(telling).context("connect to Postgres").unwrap_err();
        assert_eq!(chain(error.as_ref()), "connect to Postgres: error communicating with database: refused");
        let error = Err::<(), _>(refused()).context("connect").unwrap_err();
        assert_eq!(chain(error.as_ref()), "connect: refused");
    }
}
