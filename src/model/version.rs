//! Version ids, with one spelling for the null version.

use std::fmt;

/// The id of one version of a key, never empty. The null version is `"null"` here, however
/// it was spelled: absent or JSON null in events, `null` in listings, empty in inventories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(String);

impl VersionId {
    /// How the null version is called.
    pub const NULL: &str = "null";

    /// The null version: a register that is overwritten and emptied again and again, whereas every
    /// other version is written once, removed at most once, and never comes back.
    pub fn null() -> Self {
        Self(Self::NULL.to_owned())
    }

    /// Reads a version id in any spelling.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::null(),
            Some(id) => Self(id.to_owned()),
        }
    }

    /// Whether this is the null version.
    pub fn is_null(&self) -> bool {
        self.0 == Self::NULL
    }

    /// The id, `"null"` for the null version.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_null_is_one() {
        for spelling in [None, Some(""), Some("null")] {
            assert!(VersionId::parse(spelling).is_null(), "{spelling:?}");
            assert_eq!(VersionId::parse(spelling).to_string(), "null");
        }
        assert!(!VersionId::parse(Some("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")).is_null());
    }
}
