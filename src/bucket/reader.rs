//! Puts our own reader of listings in the place of the SDK's, and leaves signing,
//! credentials, endpoints and retries to the SDK.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::operation::list_object_versions::{ListObjectVersionsError, ListObjectVersionsOutput};
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, Error, Output,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::config_bag::ConfigBag;

use super::listing::{self, Listing};
use crate::aws::xml;

/// Which list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `ListObjectVersions`.
    Versions,
    /// `ListObjectsV2`.
    Objects,
}

/// For one call: an interceptor that installs itself as the reader of the response. The SDK demands its
/// own type of output, so what was read waits here.
#[derive(Clone, Debug)]
pub(super) struct ListReader {
    list: List,
    /// The name of the bucket.
    bucket: Arc<str>,
    read: Arc<Mutex<Option<Listing>>>,
}

impl ListReader {
    pub(super) fn of(list: List, bucket: &str) -> Self {
        Self { list, bucket: bucket.into(), read: Arc::default() }
    }

    /// What was read, once.
    pub(super) fn take(&self) -> Option<Listing> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[dyn_dispatch_hint]
impl Intercept for ListReader {
    fn name(&self) -> &'static str {
        "ListReader"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The state of interceptors lies above the layer that the operation's own reader is in.
        config.interceptor_state().store_put(SharedResponseDeserializer::new(self.clone()));
        Ok(())
    }
}

impl DeserializeResponse for ListReader {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().unwrap_or_default();
        if !response.status().is_success() {
            // As the SDK does it, so that its classifiers find code and status.
            let answer = xml::error_answer(body).unwrap_or_default();
            return Err(OrchestratorError::operation(match self.list {
                List::Versions => Error::erase(ListObjectVersionsError::generic(answer)),
                List::Objects => Error::erase(ListObjectsV2Error::generic(answer)),
            }));
        }
        let read = match self.list {
            List::Versions => listing::parse(body, &self.bucket),
            List::Objects => listing::parse_objects(body, &self.bucket),
        };
        match read {
            Ok(listing) => {
                *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(listing);
                Ok(match self.list {
                    List::Versions => Output::erase(ListObjectVersionsOutput::builder().build()),
                    List::Objects => Output::erase(ListObjectsV2Output::builder().build()),
                })
            }
            // S3 may say 200 and then think of an error or break off
            // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>).
            // Faults of the response are tried again, whatever their code.
            Err(malformed) => Err(OrchestratorError::response(match xml::error_answer(body) {
                Some(answer) => answer.into(),
                None => malformed.into(),
            })),
        }
    }
}
