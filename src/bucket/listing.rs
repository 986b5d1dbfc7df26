//! Reads the XML of a version listing, keeping the order that the SDK's own types lose.
