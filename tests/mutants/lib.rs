//! The core alone, and what its simulation names besides.

pub mod model;

pub mod bucket {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Versioning {
        Unversioned,
        Enabled,
        Suspended,
    }

    impl std::fmt::Display for Versioning {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(formatter, "{self:?}")
        }
    }
}
