//! One pass over a range of keys, in constant memory: a merge join of pages and rows.

use super::Trouble;
use super::pages::{Broken, ListedKey, Pages, Stretch};
use super::team::Team;
use crate::bucket::Bucket;
use crate::catalog::{Counts, HeldKey, Place, Progress, Range, Sighting, with_versions};
use crate::model::{Fingerprint, Join, Pair, Span, Step, Window, after_prefix};
use crate::{metrics, pulse};

/// Rows read at a time.
const ROWS_MAX: i64 = 2_000;
/// Keys repaired in one transaction.
const REPAIRS_MAX: usize = 500;
/// Pages after which progress is saved at the latest: what a death costs.
const PAGES_A_SAVE: u32 = 10;

/// What was found since the last time that was saved.
#[derive(Default)]
struct Unsaved {
    different: Vec<Sighting>,
    counts: Counts,
    pages: u32,
}

/// A range on the way through it.
pub(super) struct Sweep<'a, B> {
    team: &'a Team<B>,
    /// None in a rehearsal, which saves nothing.
    range: Option<Range>,
    pages: Pages<'a, B>,
    join: Join<ListedKey, HeldKey>,
    /// Where the rows go on that were not read.
    place: Option<Place>,
    /// The last page was not what is held. So may be the next, and then its fingerprint would be for nothing.
    is_uneven: bool,
    /// All keys up to here are judged.
    position: String,
    unsaved: Unsaved,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Ours,
    Lost,
}

impl<'a, B: Bucket> Sweep<'a, B> {
    /// Goes through a range until it is done, or lost to somebody else, which is no trouble.
    #[tracing::instrument(name = "range", skip_all, fields(lease = range.lease))]
    pub(super) async fn of_range(team: &'a Team<B>, range: Range) -> Result<(), Trouble> {
        let span = range.span.clone();
        Self::new(team, Some(range), span).go().await.map(drop)
    }

    /// Goes through a span, and notes what it would repair.
    pub(super) async fn rehearse(team: &'a Team<B>, span: Span) -> Result<(), Trouble> {
        Self::new(team, None, span).go().await.map(drop)
    }

    fn new(team: &'a Team<B>, range: Option<Range>, span: Span) -> Self {
        Self {
            join: Join::after(&span.after),
            position: span.after.clone(),
            pages: Pages::new(&team.bucket, &team.prefix, &team.connection.ignore, span),
            team,
            range,
            place: None,
            is_uneven: false,
            unsaved: Unsaved::default(),
        }
    }

    async fn go(&mut self) -> Result<Hold, Trouble> {
        loop {
            match self.join.step() {
                Step::NeedListed => {
                    pulse::beat();
                    if self.read_page().await? == Hold::Lost {
                        return Ok(Hold::Lost);
                    }
                }
                Step::NeedHeld => self.read_rows().await?,
                Step::Pair(pair) => {
                    self.judge(pair)?;
                    let is_due = self.unsaved.different.len() >= REPAIRS_MAX;
                    if is_due && self.save(false, Vec::new()).await? == Hold::Lost {
                        return Ok(Hold::Lost);
                    }
                }
                Step::Done => return self.save(true, Vec::new()).await,
            }
        }
    }

    async fn read_page(&mut self) -> Result<Hold, Trouble> {
        let is_even = !std::mem::take(&mut self.is_uneven);
        if is_even && self.join.forget_held() {
            self.place = Some(Place::after(&self.position));
        }
        let Self { team, pages, .. } = self;
        let stretch = team.stop.run_until_cancelled(pages.next()).await.ok_or(Trouble::Stopped)?;
        let unsorted = |unsorted| Trouble::Unsorted(team.connection.bucket.clone(), unsorted);
        let stretch = stretch.map_err(|broken| match broken {
            Broken::Fault(fault) => Trouble::S3(fault),
            Broken::Unsorted(reason) => unsorted(reason),
        })?;
        let ignored = stretch.keys().filter(|key| key.is_empty()).count();
        let keys = stretch.keys().count() - ignored;
        let raw = std::mem::take(&mut pages.unrepresentable);
        team.note_unrepresentable(&raw).await?;
        metrics::ignored_keys(&team.connection.bucket).increment(ignored as u64);
        metrics::reconcile_keys().increment(keys as u64);
        self.unsaved.pages += 1;
        // Who gives something away does that before it asks for more: what is asked for cannot be given any more.
        let asked = self.hear();
        if asked == 0 {
            self.pages.ask();
        }
        let is_held = is_even && self.is_held(&stretch).await?;
        if is_held {
            self.pass(&stretch);
        } else {
            self.is_uneven = is_even;
            for (key, listed) in stretch.listed() {
                self.join.push_listed(key, listed).map_err(unsorted)?;
            }
        }
        if self.pages.is_ended() {
            self.join.end_listed();
            return Ok(Hold::Ours);
        }
        let cuts = if asked > 0 { self.cuts(asked, is_held).await? } else { Vec::new() };
        let is_due = self.unsaved.pages >= PAGES_A_SAVE || !cuts.is_empty();
        if is_due && self.save(false, cuts).await? == Hold::Lost {
            return Ok(Hold::Lost);
        }
        if asked > 0 {
            self.pages.ask();
        }
        Ok(Hold::Ours)
    }

    /// Whether what the catalog holds is what is listed, by the fingerprints of both: then no row need be read.
    async fn is_held(&self, stretch: &Stretch) -> Result<bool, Trouble> {
        let Self { team, pages, .. } = self;
        let keys = stretch.keys().map(|key| (key.name, key.told()));
        let Some(listed) = Fingerprint::of(fastrand::i64(..), keys).filter(|_| self.join.may_hold_more())
        else {
            return Ok(false);
        };
        let mut span = pages.span.clone();
        if !pages.is_ended() {
            let Some(last) = stretch.last() else { return Ok(true) };
            span.to = Some(last.to_owned());
        }
        let has = team.catalog.has(&team.connection, &team.prefix, &span, self.place.as_ref(), &listed);
        has.await.map_err(team.postgres("compare the rows"))
    }

    /// Goes on after what is held as it is listed.
    fn pass(&mut self, stretch: &Stretch) {
        let Self { pages, join, unsaved, .. } = self;
        for key in stretch.keys() {
            unsaved.counts.add(key.len());
        }
        if let Some(last) = stretch.last() {
            last.clone_into(&mut self.position);
            self.place = Some(Place::after(last));
        }
        if pages.is_ended() {
            join.end_held();
        }
    }

    async fn read_rows(&mut self) -> Result<(), Trouble> {
        let Self { team, pages, join, place, .. } = self;
        let held = team
            .catalog
            .scan(&team.connection, &team.prefix, &pages.span, place.as_ref(), ROWS_MAX)
            .await
            .map_err(team.postgres("read the rows"))?;
        for (key, held) in held.keys {
            join.push_held(key, held)
                .map_err(|unsorted| Trouble::Unsorted("the catalog".to_owned(), unsorted))?;
        }
        if held.next.is_none() {
            join.end_held();
        }
        self.place = held.next;
        Ok(())
    }

    fn judge(&mut self, pair: Pair<ListedKey, HeldKey>) -> Result<(), Trouble> {
        let unsaved = &mut self.unsaved;
        self.position.clone_from(&pair.key);
        if let Some(listed) = &pair.listed {
            unsaved.counts.add(listed.entries.len());
        }
        let absence = self.join.next_listed().map(|next| next.seen.opened).or(self.pages.window);
        let difference = difference(pair, absence).map_err(self.team.postgres("read the rows"))?;
        self.is_uneven |= difference.is_some();
        unsaved.different.extend(difference);
        Ok(())
    }

    /// What is left after the last page, and how many characters all keys of that have in common.
    fn left(&self) -> Option<(Span, usize)> {
        let Self { team, pages, .. } = self;
        let (after, path) = pages.place.clone()?;
        Some((Span { after, to: pages.span.to.clone().or_else(|| after_prefix(&team.prefix)) }, path))
    }

    /// Tells how far we are. How many parts of the range are asked for here.
    fn hear(&self) -> usize {
        self.range.as_ref().zip(self.left()).map_or(0, |(range, (left, _))| self.team.hear(range, &left))
    }

    /// Where the range can be cut for so many others, if there is anything to give away.
    async fn cuts(&self, others: usize, is_held: bool) -> Result<Vec<String>, Trouble> {
        let Some((left, path)) = self.left() else { return Ok(Vec::new()) };
        let mut cuts = self.team.cuts(&left, path, others, is_held).await?;
        cuts.retain(|cut| !cut.contains('\0'));
        Ok(cuts)
    }

    /// Repairs what differs and notes how far we are, in one transaction; gives away what is beyond the first of `cuts`.
    #[tracing::instrument(skip_all, fields(different = self.unsaved.different.len()))]
    async fn save(&mut self, is_done: bool, cuts: Vec<String>) -> Result<Hold, Trouble> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let Self { team, range, pages, .. } = self;
        let Some(range) = range else {
            team.rehearse_repairs(&unsaved.different, unsaved.counts).await?;
            return Ok(Hold::Ours);
        };
        let Some(window) = pages.window else { return Ok(Hold::Ours) };
        let progress = Progress {
            position: self.position.clone(),
            counts: unsaved.counts,
            window_to: window.to,
            is_done,
            cuts,
        };
        let saved = team.save(range, &unsaved.different, &progress).await?;
        let Some(saved) = saved else { return Ok(Hold::Lost) };
        if let Some(cut) = progress.cuts.into_iter().next() {
            team.answer(range);
            self.join.cut(&cut);
            range.span.to = Some(cut.clone());
            self.pages.span.to = Some(cut);
        } else if saved.is_wanted {
            team.want(range);
        }
        Ok(Hold::Ours)
    }
}

/// What the listing shows of a key, where that is not what the catalog says: whether it has to change for that is
/// judged once more than this is read, under lock. `absence` is the window in which a key that is not listed was
/// not there.
fn difference(
    pair: Pair<ListedKey, HeldKey>,
    absence: Option<Window>,
) -> Result<Option<Sighting>, sqlx::Error> {
    let (listed, window) = match (pair.listed, absence) {
        (Some(listed), _) => (listed.entries, listed.seen.window),
        (None, Some(absence)) => (Vec::new(), absence),
        (None, None) => return Ok(None),
    };
    let is_same = with_versions(listed.len(), || pair.held.unwrap_or_default().is_as_listed(&listed))?;
    Ok((!is_same).then_some(Sighting { key: pair.key, listed, window }))
}
