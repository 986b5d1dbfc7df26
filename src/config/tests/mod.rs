//! What is read, what is refused, and whether the samples tell the truth.

use super::*;

mod mistakes;
mod samples;
mod values;

fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn parsed(toml: &str, variables: &[(&str, &str)]) -> Result<Config, Errors> {
    let document = Document { file: "a.toml".into(), origin: "a.toml".into(), text: toml.to_owned() };
    parse(document, &environment(variables))
}
