//! Why a key must be listed again.

use std::fmt;

/// What claims and observations could not decide between them: the key is to be listed, alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// A removal's sequencer is newer than what a later listing still saw.
    ClockAgainstSequencer,
    /// A multipart upload ended where something was removed: it may have been born invisible.
    MultipartOverTombstone,
    /// A multipart upload with other content: it may have been overtaken.
    MultipartOvertaken,
    /// Two different contents with one sequencer, or a put at the sequencer of its removal.
    SequencerTwice,
    /// Two claims without sequencers, too close in time to be ordered.
    TooClose,
    /// An event from inside the window in which the key was last observed.
    InsideWindow,
    /// A late event while a listing is under way that may have passed the key already.
    RunUnderWay,
    /// Which version is the latest could not be told.
    LatestUndecided,
    /// An event about the attributes of a version nobody has heard of.
    AttributesOfUnknown,
    /// A listing and an event differ, and neither is surely the later.
    ListingOverlaps,
    /// A listing showed no version, or several, as the key's latest.
    ListingTorn,
    /// An inventory report has something else of the key.
    Inventory,
    /// An operator asked.
    Asked,
}

impl Doubt {
    /// The word in `catalog.rechecks.reason` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClockAgainstSequencer => "clock_against_sequencer",
            Self::MultipartOverTombstone => "multipart_over_tombstone",
            Self::MultipartOvertaken => "multipart_overtaken",
            Self::SequencerTwice => "sequencer_twice",
            Self::TooClose => "too_close",
            Self::InsideWindow => "inside_window",
            Self::RunUnderWay => "run_under_way",
            Self::LatestUndecided => "latest_undecided",
            Self::AttributesOfUnknown => "attributes_of_unknown",
            Self::ListingOverlaps => "listing_overlaps",
            Self::ListingTorn => "listing_torn",
            Self::Inventory => "inventory",
            Self::Asked => "asked",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
