//! What pages look like: files that are part of the program, and may be kept by browsers for as long as they are.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::asked::Asked;
use super::layout::Tone;

pub(super) const STYLE: &str = "/page.css";
pub(super) const SCRIPT: &str = "/page.js";
pub(super) const ICON: &str = "/icon.svg";

const STYLE_BODY: &str = include_str!("page.css");
const SCRIPT_BODY: &str = include_str!("page.js");
/// Addresses end with it, so that they change with the files.
pub(super) const VERSION: u32 = mixed(mixed(0x811c_9dc5, STYLE_BODY.as_bytes()), SCRIPT_BODY.as_bytes());
const KEPT: &str = "public, max-age=31536000, immutable";

pub(super) fn style() -> Response {
    kept("text/css; charset=utf-8", STYLE_BODY.to_owned())
}

pub(super) fn script() -> Response {
    kept("text/javascript; charset=utf-8", SCRIPT_BODY.to_owned())
}

#[derive(Debug, Deserialize)]
pub(super) struct Of {
    #[serde(default)]
    tone: String,
}

/// A dot that tells among the tabs of a browser how things are, by its shape, too.
pub(super) async fn icon(Asked(of): Asked<Of>) -> Response {
    let (colour, sign) = match Tone::of(&of.tone) {
        Tone::Well => ("#1a7f4b", "<path d='M10 16.500l4 4 8-9' fill='none' stroke-linecap='round'/>"),
        Tone::Note => ("#2b66c4", "<path d='M9 16h14' stroke-linecap='round'/>"),
        Tone::Warn => ("#a86500", "<path d='M16 8v10M16 23v.5' stroke-linecap='round'/>"),
        Tone::Bad => {
            ("#c62f3b", "<path d='M10.500 10.500l11 11M21.500 10.500l-11 11' stroke-linecap='round'/>")
        }
    };
    let body = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><circle cx='16' cy='16' r='15' fill='{colour}'/>\
         <g stroke='#fff' stroke-width='3.500'>{sign}</g></svg>"
    );
    kept("image/svg+xml", body)
}

fn kept(kind: &'static str, body: String) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT)], body).into_response()
}

/// FNV-1a, which is as short as a hash can be.
const fn mixed(mut hash: u32, bytes: &[u8]) -> u32 {
    let mut place = 0;
    while place < bytes.len() {
        hash = (hash ^ bytes[place] as u32).wrapping_mul(0x0100_0193);
        place += 1;
    }
    hash
}
