//! What must hold in every state, and the states that must be met at least once.

use stateright::Property;
use stocktake::model::{Slot, Stack, State, VersionId};

use super::World;
use super::state::{KEY, Listing, Moment, content};
use crate::ledger::{held, listed};
use crate::world::SECOND;

/// What holds always. I1 and I2 speak of states in which all is done that was to be done, be it the
/// last or not.
pub(super) fn always() -> Vec<Property<World>> {
    vec![
        Property::always("I1: after a listing the catalog is the bucket", |_, moment: &Moment| {
            let is_promised = moment.rest_before_run().is_some_and(|rest| rest > SECOND);
            !(is_promised && moment.is_quiet()) || moment.is_true()
        }),
        Property::always("I2: when every event came the catalog is the bucket", |_, moment: &Moment| {
            let is_promised = moment.events.iter().all(|(_, times)| *times > 0);
            !(is_promised && moment.is_quiet()) || moment.is_true()
        }),
        Property::always("I3: no removed version comes back", |_, moment: &Moment| {
            moment.present().all(|(version, _)| !moment.gone.contains(version))
        }),
        Property::always("I4: a key with versions has one latest", |_, moment: &Moment| {
            let latest = moment.daemon.catalog.get(&KEY).and_then(Stack::latest);
            match latest {
                Some(latest) => moment.present().any(|(version, _)| version == latest),
                None => moment.present().next().is_none(),
            }
        }),
        Property::always("no row that S3 never had", |_, moment: &Moment| {
            moment.present().all(|(version, slot)| moment.bucket.times(KEY, version, &slot.state) > 0)
        }),
    ]
}

/// What a search worth its name comes across.
pub(super) fn sometimes() -> Vec<Property<World>> {
    vec![
        Property::sometimes("a key is in doubt", |_, moment: &Moment| !moment.daemon.rechecks.is_empty()),
        Property::sometimes("a run taken up by another life is complete", |_, moment: &Moment| {
            moment.deaths > 0 && matches!(moment.listing, Listing::Complete { .. })
        }),
        Property::sometimes("a run repairs a lost write", |_, moment: &Moment| {
            let is_unheard = moment.events.iter().all(|(_, times)| *times == 0);
            let is_complete = matches!(moment.listing, Listing::Complete { .. });
            is_unheard && is_complete && moment.writes == 1 && moment.is_true()
        }),
        Property::sometimes("an upload is overtaken", |_, moment: &Moment| {
            let uploaded = State::Object(content("p-2"));
            moment.present().any(|(_, slot)| slot.state == uploaded)
                && moment.bucket.listed(KEY).first().is_none_or(|newest| newest.state != uploaded)
        }),
        Property::sometimes("an event comes after the listing that accounts for it", |_, moment: &Moment| {
            moment.rest_before_run().is_some_and(|rest| rest > SECOND)
                && moment.events.iter().any(|(_, times)| *times == 1)
        }),
    ]
}

impl Moment {
    /// The versions that a reader of the catalog sees.
    fn present(&self) -> impl Iterator<Item = (&VersionId, &Slot)> {
        let slots = self.daemon.catalog.get(&KEY).into_iter().flat_map(Stack::slots);
        slots.filter(|(_, slot)| slot.is_present())
    }

    /// Nothing is in doubt or in hand.
    fn is_quiet(&self) -> bool {
        let is_running = matches!(self.listing, Listing::UnderWay { .. });
        self.daemon.rechecks.is_empty() && self.look.is_none() && !is_running
    }

    /// Whether the catalog is the bucket, as far as anybody could know.
    fn is_true(&self) -> bool {
        self.exceptions.contains(KEY) || held(&self.daemon.stack(KEY)) == listed(&self.bucket.listed(KEY))
    }
}
