//! What all pages have in common.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

use super::{Page, assets};
use crate::words::printable;

/// How something is: a colour, and always a sign and a word with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// As it should be.
    Well,
    /// Under way, and nothing to worry about.
    Note,
    /// Somebody should look.
    Warn,
    /// Something is not kept true.
    Bad,
}

impl Tone {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Well => "✓",
            Self::Note => "…",
            Self::Warn => "!",
            Self::Bad => "✕",
        }
    }

    pub(super) fn of(name: &str) -> Self {
        let tones = [Self::Well, Self::Note, Self::Warn, Self::Bad];
        tones.into_iter().find(|tone| tone.as_str() == name).unwrap_or(Self::Note)
    }
}

/// What is around a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) tone: Tone,
    /// Names of the pages that lead here, each with its address; the last is this one.
    pub(super) crumbs: &'a [(String, String)],
    /// Whether it is made anew while somebody looks.
    pub(super) refresh: bool,
}

impl Page {
    /// A whole page around `content`.
    pub(super) fn dress(&self, frame: &Frame<'_>, content: &Markup) -> Html<String> {
        let Frame { title, tone, crumbs, refresh } = *frame;
        let last = crumbs.len().saturating_sub(1);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (printable(title)) " · Stocktake" }
                    link rel="icon" href={ (assets::ICON) "?tone=" (tone.as_str()) };
                    link rel="stylesheet" href={ (assets::STYLE) "?v=" (assets::VERSION) };
                    script src={ (assets::SCRIPT) "?v=" (assets::VERSION) } defer {}
                    @if refresh { noscript { meta http-equiv="refresh" content="30"; } }
                }
                body data-refresh[refresh] {
                    a.skip href="#main" { "To the content" }
                    header {
                        nav aria-label="Where you are" {
                            a.brand href="/" { "Stocktake" }
                            ol {
                                @for (place, (name, address)) in crumbs.iter().enumerate() {
                                    li {
                                        a href=(address) aria-current=[(place == last).then_some("page")] {
                                            (super::show::text(name))
                                        }
                                    }
                                }
                            }
                        }
                        @if self.gate.is_locked() && !crumbs.is_empty() {
                            form method="post" action="/logout" { button.quiet type="submit" { "Log out" } }
                        }
                    }
                    main #main tabindex="-1" { (content) }
                    footer {
                        p {
                            "stocktake " (env!("CARGO_PKG_VERSION"))
                            span #stamp role="status" {}
                        }
                    }
                }
            }
        };
        Html(page.into_string())
    }
}
