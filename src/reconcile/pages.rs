//! Pages of a listing, turned into whole keys.

use crate::bucket::{Bucket, Cursor, Page};
use crate::fault::Fault;
use crate::model::{Listed, Window};

/// All entries of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedKey {
    /// Versions and markers, newest first.
    pub(super) entries: Vec<Listed>,
    /// When they were true: spans the pages they came on.
    pub(super) window: Window,
    /// The window of the page the key began on, which also shows that no key stands between
    /// this one and the one before it.
    pub(super) opened: Window,
}

/// A listing read page by page. A key that ends a page may go on with the next one and is held
/// back until that is known.
pub(super) struct Pages<'a, B> {
    bucket: &'a B,
    prefix: &'a str,
    after: Option<Cursor>,
    open: Option<(String, ListedKey)>,
    is_ended: bool,
    /// The window of the last page read: of all keys after the last one listed, too.
    pub(super) window: Window,
}

impl<'a, B: Bucket> Pages<'a, B> {
    pub(super) const fn new(bucket: &'a B, prefix: &'a str, start: Window) -> Self {
        Self { bucket, prefix, after: None, open: None, is_ended: false, window: start }
    }

    /// Whether the last page was read.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Reads a page and gives the keys that are whole now.
    pub(super) async fn next(&mut self) -> Result<Vec<(String, ListedKey)>, Fault> {
        let page = self.bucket.list(self.prefix, self.after.as_ref()).await?;
        Ok(self.take(page))
    }

    fn take(&mut self, page: Page) -> Vec<(String, ListedKey)> {
        let window = page.window;
        let mut whole: Vec<(String, ListedKey)> = Vec::new();
        // No text in Postgres holds a NUL, so no row could.
        for (key, entry) in page.entries.into_iter().filter(|(key, _)| !key.contains('\0')) {
            match &mut self.open {
                Some((open, listed)) if *open == key => {
                    listed.entries.push(entry);
                    listed.window = listed.window.span(window);
                }
                open => {
                    let listed = ListedKey { entries: vec![entry], window, opened: window };
                    whole.extend(open.replace((key, listed)));
                }
            }
        }
        self.window = window;
        self.after = page.next;
        self.is_ended = self.after.is_none();
        if self.is_ended {
            whole.extend(self.open.take());
        }
        whole
    }
}
