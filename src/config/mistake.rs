//! What is wrong with a configuration: everything, each with its place.

use std::error::Error;
use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: `bucket[1].prefix`, the name of a file, or that of an environment variable.
    pub place: String,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

impl Mistake {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// All mistakes of a configuration. `Display` says where the configuration came from, then gives
/// a line to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    pub(super) origin: String,
    pub(super) mistakes: Vec<Mistake>,
}

impl Errors {
    /// The mistakes, in the order of the sections; never empty.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, plural) = (self.mistakes.len(), if self.mistakes.len() == 1 { "" } else { "s" });
        write!(formatter, "configuration from {} has {count} mistake{plural}:", self.origin)?;
        for mistake in &self.mistakes {
            write!(formatter, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl Error for Errors {}
