//! Pages of a listing, turned into whole keys.

use crate::bucket::{Bucket, Cursor, Page};
use crate::fault::Fault;
use crate::ignore::Ignore;
use crate::model::{Listed, Span, Unsorted, Window, shared};

/// All entries of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedKey {
    /// Versions and markers, newest first; none of a key that is ignored.
    pub(super) entries: Vec<Listed>,
    /// When they were true, and all there was of the key: spans the pages they came on, and the one
    /// that shows that no more come.
    pub(super) window: Window,
    /// The window of the page the key began on, which also shows that no key stands between
    /// this one and the one before it.
    pub(super) opened: Window,
}

/// A span of keys read page by page. A key that ends a page may go on with the next one and is held
/// back until that is known.
pub(super) struct Pages<'a, B> {
    bucket: &'a B,
    prefix: &'a str,
    ignore: &'a Ignore,
    /// What is listed: its beginning stays, its end may come nearer.
    pub(super) span: Span,
    after: Option<Cursor>,
    open: Option<(String, ListedKey)>,
    is_ended: bool,
    /// The last key of the last page, and how many characters all of its keys have in common.
    pub(super) place: Option<(String, usize)>,
    /// The window of the last page read: of all keys after the last one listed, too.
    pub(super) window: Option<Window>,
}

/// A page that could not be read, or makes no sense.
pub(super) enum Broken {
    Fault(Fault),
    Unsorted(Unsorted),
}

impl<'a, B: Bucket> Pages<'a, B> {
    pub(super) fn new(bucket: &'a B, prefix: &'a str, ignore: &'a Ignore, span: Span) -> Self {
        // A listing begins after a whole key, never before one: so do spans.
        let after = (span.after.as_str() >= prefix && !span.after.is_empty())
            .then(|| Cursor { key: span.after.clone(), version: None });
        Self { bucket, prefix, ignore, span, after, open: None, is_ended: false, place: None, window: None }
    }

    /// Whether the last page was read.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Reads a page and gives the keys that are whole now.
    pub(super) async fn next(&mut self) -> Result<Vec<(String, ListedKey)>, Broken> {
        let page = self.bucket.list(self.prefix, self.after.as_ref()).await.map_err(Broken::Fault)?;
        check_order(&page).map_err(Broken::Unsorted)?;
        Ok(self.take(page))
    }

    fn take(&mut self, page: Page) -> Vec<(String, ListedKey)> {
        let window = page.window;
        let mut whole: Vec<(String, ListedKey)> = Vec::new();
        if let Some((_, listed)) = &mut self.open {
            listed.window = listed.window.span(window);
        }
        self.place = page
            .keys
            .first()
            .zip(page.keys.last())
            .map(|((first, _), (last, _))| (last.clone(), shared(first, last)));
        let is_past_end = page.keys.last().is_some_and(|(key, _)| self.span.is_before(key));
        let ours = page.keys.into_iter().take_while(|(key, _)| !self.span.is_before(key));
        // No text in Postgres holds a NUL, so no row could.
        for (key, mut entries) in ours.filter(|(key, _)| !key.contains('\0')) {
            // An ignored key is looked at like one that has nothing: rows from before go.
            if self.ignore.has(&key) {
                entries.clear();
            }
            match &mut self.open {
                Some((open, listed)) if *open == key => listed.entries.append(&mut entries),
                open => {
                    let listed = ListedKey { entries, window, opened: window };
                    whole.extend(open.replace((key, listed)));
                }
            }
        }
        self.window = Some(window);
        self.after = page.next;
        let leads_past_end = |next: &Cursor| {
            let to = self.span.to.as_deref();
            self.span.is_before(&next.key) || (next.version.is_none() && to == Some(next.key.as_str()))
        };
        self.is_ended = is_past_end || self.after.as_ref().is_none_or(leads_past_end);
        if self.is_ended {
            whole.extend(self.open.take());
        }
        whole
    }
}

/// The end of a span hides what a page shows beyond it, which may be what proves it unsorted.
fn check_order(page: &Page) -> Result<(), Unsorted> {
    for pair in page.keys.windows(2) {
        if let [(after, _), (key, _)] = pair
            && key < after
        {
            return Err(Unsorted { key: key.clone(), after: after.clone() });
        }
    }
    Ok(())
}
