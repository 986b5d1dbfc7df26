//! Keys that are kept out of the catalog.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// Globs of keys: `*` and `?` stop at a `/`, `**` does not, and all of a key must match.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Ignore {
    globs: Vec<String>,
    set: GlobSet,
}

impl Ignore {
    /// Keys that match one of `globs`.
    ///
    /// # Errors
    /// With what is wrong with the first glob that makes no sense.
    pub fn new(globs: Vec<String>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for glob in &globs {
            let parsed = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
            set.add(parsed.map_err(|error| format!("{glob:?} is no glob: {}", error.kind()))?);
        }
        let set = set.build().map_err(|error| error.kind().to_string())?;
        Ok(Self { globs, set })
    }

    /// Whether this key stays out.
    pub fn has(&self, key: &str) -> bool {
        self.set.is_match(key)
    }

    /// The globs as they were written.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }
}

impl TryFrom<Vec<String>> for Ignore {
    type Error = String;

    fn try_from(globs: Vec<String>) -> Result<Self, String> {
        Self::new(globs)
    }
}

impl From<Ignore> for Vec<String> {
    fn from(ignore: Ignore) -> Self {
        ignore.globs
    }
}

impl PartialEq for Ignore {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl Eq for Ignore {}

impl fmt::Debug for Ignore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.globs.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_of_the_whole_key() {
        for (glob, key, expected) in [
            ("**/.iap_upload_test.tmp", ".iap_upload_test.tmp", true),
            ("**/.iap_upload_test.tmp", "projects/alpha/.iap_upload_test.tmp", true),
            ("**/.iap_upload_test.tmp", "projects/alpha/.iap_upload_test.tmp.bak", false),
            ("*.tmp", "a.tmp", true),
            ("*.tmp", "a/b.tmp", false),
            ("scratch/**", "scratch/a/b", true),
            ("scratch/**", "scratch2/a", false),
            ("a/{b,c}/?", "a/c/d", true),
            ("*.TMP", "a.tmp", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(Ignore::new(vec![glob.to_owned()]).unwrap().has(key), expected, "{glob} {key}");
        }
        assert!(!Ignore::default().has(""));
        let error = Ignore::new(vec!["a/[".to_owned()]).unwrap_err();
        assert_eq!(error, "\"a/[\" is no glob: unclosed character class; missing ']'");
    }
}
