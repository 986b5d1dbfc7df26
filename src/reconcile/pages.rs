//! Pages of a listing, turned into whole keys.

use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument;

use crate::bucket::{Bucket, Cursor, Key, Keys, Page};
use crate::fault::Fault;
use crate::ignore::Ignore;
use crate::model::{Listed, RawKey, Span, Unsorted, Window, shared};

/// All entries of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedKey {
    /// Versions and markers, newest first; none of a key that is ignored.
    pub(super) entries: Vec<Listed>,
    /// When they were true.
    pub(super) seen: Seen,
}

/// When what is listed of a key was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// When its entries were true, and all there was of the key: spans the pages they came on, and the one
    /// that shows that no more come.
    pub(super) window: Window,
    /// The window of the page the key began on, which also shows that no key stands between
    /// this one and the one before it.
    pub(super) opened: Window,
}

/// Whole keys, one after the other.
pub(super) struct Stretch(Vec<Part>);

/// Keys that were seen at once.
struct Part {
    keys: Keys,
    /// Which of them are meant.
    whole: Range<usize>,
    seen: Seen,
}

impl Stretch {
    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        self.0.iter().flat_map(Part::iter)
    }

    /// The last of them.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|part| part.iter().next_back()).map(|key| key.name)
    }

    /// The same, each on its own.
    pub(super) fn listed(&self) -> impl Iterator<Item = (String, ListedKey)> {
        let listed = |key: Key<'_>, seen| (key.name.to_owned(), ListedKey { entries: key.listed(), seen });
        self.0.iter().flat_map(move |part| part.iter().map(move |key| listed(key, part.seen)))
    }
}

impl Part {
    fn iter(&self) -> impl DoubleEndedIterator<Item = Key<'_>> {
        self.whole.clone().filter_map(|place| self.keys.get(place))
    }
}

/// A span of keys read page by page. A key that ends a page may go on with the next one and is held
/// back until that is known.
pub(super) struct Pages<'a, B> {
    bucket: &'a Arc<B>,
    prefix: &'a str,
    ignore: &'a Ignore,
    /// What is listed: its beginning stays, its end may come nearer.
    pub(super) span: Span,
    after: Option<Cursor>,
    /// The page from there, asked for before it is wanted: the store takes its time for it while we compare.
    ahead: JoinSet<Result<Page, Fault>>,
    /// The key that may go on, alone.
    open: Option<(Keys, Seen)>,
    is_ended: bool,
    /// The last key of the last page, and how many characters all of its keys have in common.
    pub(super) place: Option<(String, usize)>,
    /// When there was no key after the last one listed: spans the last page read, and those without keys before it.
    pub(super) window: Option<Window>,
    /// The window of what was listed after the last key: nothing but keys that the catalog cannot hold.
    gap: Option<Window>,
    /// Keys of the last page that the catalog cannot hold.
    pub(super) unrepresentable: Vec<RawKey>,
}

/// A page that could not be read, or makes no sense.
pub(super) enum Broken {
    Fault(Fault),
    Unsorted(Unsorted),
}

impl<'a, B: Bucket> Pages<'a, B> {
    pub(super) fn new(bucket: &'a Arc<B>, prefix: &'a str, ignore: &'a Ignore, span: Span) -> Self {
        // A listing begins after a whole key, never before one: so do spans.
        let after = (span.after.as_str() >= prefix && !span.after.is_empty())
            .then(|| Cursor::after(span.after.clone()));
        Self {
            bucket,
            prefix,
            ignore,
            span,
            after,
            ahead: JoinSet::new(),
            open: None,
            is_ended: false,
            place: None,
            window: None,
            gap: None,
            unrepresentable: Vec::new(),
        }
    }

    /// Whether the last page was read.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Reads a page and gives the keys that are whole now. Without [`Self::ask`] nobody asks for the next one before
    /// it is wanted.
    pub(super) async fn next(&mut self) -> Result<Stretch, Broken> {
        let page = match self.ahead.join_next().await {
            Some(Ok(page)) => page,
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => self.bucket.list(self.prefix, self.after.as_ref()).await,
        };
        let page = page.map_err(Broken::Fault)?;
        let before = self.place.as_ref().map(|(last, _)| last.as_str());
        check_order(before, &page.keys).map_err(Broken::Unsorted)?;
        Ok(self.take(page))
    }

    /// Asks for the page after the one that was read, if there is to be one.
    pub(super) fn ask(&mut self) {
        if self.is_ended {
            return;
        }
        let (bucket, prefix, after) = (Arc::clone(self.bucket), self.prefix.to_owned(), self.after.clone());
        let ask = async move { bucket.list(&prefix, after.as_ref()).await };
        self.ahead.spawn(ask.in_current_span());
    }

    fn take(&mut self, page: Page) -> Stretch {
        let Page { keys, unrepresentable, next, window } = page;
        self.place = keys
            .first()
            .zip(keys.last())
            .map(|(first, last)| (last.name.to_owned(), shared(first.name, last.name)));
        let is_past_end = keys.last().is_some_and(|last| self.span.is_before(last.name));
        let to = self.span.to.as_deref();
        let leads_past_end = |next: &Cursor| to.is_some_and(|to| next.is_past(to));
        self.is_ended = is_past_end || next.as_ref().is_none_or(leads_past_end);
        self.after = next;

        let last = keys.last().map(|last| last.name.as_bytes());
        let ends_raw = unrepresentable.last().is_some_and(|raw| last.is_none_or(|last| *raw.bytes > *last));
        let keys = self.ours(keys);
        self.unrepresentable = self.ours_raw(unrepresentable);
        // A key that is not listed may have its place beside those before that are none.
        let opened = self.gap.take().map_or(window, |gap| gap.span(window));
        self.gap = if keys.is_empty() { Some(opened) } else { ends_raw.then_some(window) };
        self.window = Some(self.gap.unwrap_or(window));
        let mut begun = 0..keys.len();
        if let Some((open, seen)) = &mut self.open {
            seen.window = seen.window.span(window);
            if let Some(more) =
                keys.first().filter(|first| open.last().is_some_and(|open| open.name == first.name))
            {
                more.told().for_each(|told| open.push(told));
                begun.start = 1;
            }
        }
        let mut parts = Vec::new();
        if !begun.is_empty() || self.is_ended {
            // A key that another one follows is whole.
            parts.extend(self.open.take().map(|(keys, seen)| Part { whole: 0..keys.len(), keys, seen }));
        }
        let seen = Seen { window, opened };
        if !self.is_ended
            && let Some(last) = keys.last().filter(|_| !begun.is_empty())
        {
            self.open = Some((Keys::of(last), seen));
            begun.end -= 1;
        }
        parts.push(Part { keys, whole: begun, seen });
        Stretch(parts)
    }

    /// Those of the keys that are in the span.
    fn ours(&self, mut keys: Keys) -> Keys {
        if keys.last().is_some_and(|last| self.span.is_before(last.name)) {
            keys.truncate(keys.iter().take_while(|key| !self.span.is_before(key.name)).count());
        }
        if !keys.iter().any(|key| self.ignore.has(key.name)) {
            return keys;
        }
        let mut ours = Keys::default();
        for key in keys.iter() {
            ours.begin(key.name);
            // An ignored key is looked at like one that has nothing: rows from before go.
            if !self.ignore.has(key.name) {
                key.told().for_each(|told| ours.push(told));
            }
        }
        ours
    }

    /// Those in the span of the keys that the catalog cannot hold.
    fn ours_raw(&self, mut keys: Vec<RawKey>) -> Vec<RawKey> {
        let Span { after, to } = &self.span;
        keys.retain(|key| {
            *key.bytes > *after.as_bytes() && to.as_ref().is_none_or(|to| *key.bytes <= *to.as_bytes())
        });
        keys
    }
}

/// The end of a span hides what a page shows beyond it, which may be what proves it unsorted.
fn check_order(before: Option<&str>, keys: &Keys) -> Result<(), Unsorted> {
    let names = || keys.iter().map(|key| key.name);
    let mut pairs = before.into_iter().chain(names()).zip(names().skip(usize::from(before.is_none())));
    match pairs.find(|(after, key)| key < after) {
        Some((after, key)) => Err(Unsorted { key: key.to_owned(), after: after.to_owned() }),
        None => Ok(()),
    }
}
