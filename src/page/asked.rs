//! What an address asks for, behind its question mark.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::Page;
use super::failure::Failure;

/// The parameters of an address. Who sends others than there are to be is told so by a page of ours.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Page>> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, page: &Arc<Page>) -> Result<Self, Response> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => {
                let why = error.source().map_or_else(|| error.body_text(), ToString::to_string);
                Err(page.answer(Err(Failure::Broken(format!("the address of this page is broken: {why}")))))
            }
        }
    }
}
