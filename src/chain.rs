//! Errors in one line.

use std::error::Error;

/// An error and its causes, from the outermost in, parted by `: `. A cause that the one before it
/// already told is left out: some libraries say what their source says, and have it as source, too.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
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
