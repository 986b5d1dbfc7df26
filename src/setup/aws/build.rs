//! Making and changing what lies between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::types::NotificationConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;

use super::{Account, Clients, call, told};
use crate::aws::{Watch, bucket_arn};
use crate::bucket::rules::Rules;
use crate::bucket::{Bucket as _, s3};
use crate::fault::Kind;
use crate::setup::estate::{Builder, Looked, Notices};

/// Takes the body of an answer as it came, or puts another in the place of that of a request. The SDK's
/// types would drop what they do not know, and order entries in their own way.
#[derive(Clone, Debug, Default)]
struct Verbatim {
    send: Option<String>,
    came: Arc<Mutex<String>>,
}

#[dyn_dispatch_hint]
impl Intercept for Verbatim {
    fn name(&self) -> &'static str {
        "Verbatim"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(text) = &self.send {
            let request = context.request_mut();
            request.headers_mut().insert("content-length", text.len().to_string());
            *request.body_mut() = SdkBody::from(text.as_str());
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) =
            String::from_utf8_lossy(body).into_owned();
        Ok(())
    }
}

impl Account {
    fn queues(&self) -> &Clients {
        self.of_queue("")
    }
}

impl Builder for Account {
    async fn queue_url(&self, name: &str) -> Looked<Option<String>> {
        let watch = Watch::default();
        let call = call(format!("look for queue {name:?}"), "sqs:GetQueueUrl", name);
        let request =
            self.queues().sqs.get_queue_url().queue_name(name).customize().interceptor(watch.clone());
        match told(&call, request.send().await, &watch) {
            Ok(output) => Ok(output.queue_url),
            Err(fault) if fault.kind == Kind::Absent => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn tags(&self, url: &str) -> Looked<BTreeMap<String, String>> {
        let watch = Watch::default();
        let call = call(format!("ask for the tags of {url:?}"), "sqs:ListQueueTags", url);
        let request =
            self.queues().sqs.list_queue_tags().queue_url(url).customize().interceptor(watch.clone());
        let output = told(&call, request.send().await, &watch)?;
        Ok(output.tags.unwrap_or_default().into_iter().collect())
    }

    async fn make_queue(
        &self,
        name: &str,
        settings: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> Looked<()> {
        let watch = Watch::default();
        let call = call(format!("make queue {name:?}"), "sqs:CreateQueue", name);
        let request = self.queues().sqs.create_queue().queue_name(name);
        let request = settings.iter().fold(request, |request, (name, value)| {
            request.attributes(QueueAttributeName::from(name.as_str()), value)
        });
        let request = tags.iter().fold(request, |request, (tag, value)| request.tags(tag, value));
        told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(drop)
    }

    async fn set_queue(&self, url: &str, settings: &BTreeMap<String, String>) -> Looked<()> {
        let watch = Watch::default();
        let call = call(format!("set {url:?} to something else"), "sqs:SetQueueAttributes", url);
        let request = self.queues().sqs.set_queue_attributes().queue_url(url);
        let request = settings.iter().fold(request, |request, (name, value)| {
            request.attributes(QueueAttributeName::from(name.as_str()), value)
        });
        told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(drop)
    }

    async fn tag(&self, url: &str, tags: &BTreeMap<String, String>) -> Looked<()> {
        let watch = Watch::default();
        let call = call(format!("tag {url:?}"), "sqs:TagQueue", url);
        let request = self.queues().sqs.tag_queue().queue_url(url);
        let request = tags.iter().fold(request, |request, (tag, value)| request.tags(tag, value));
        told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(drop)
    }

    async fn untag(&self, url: &str, tags: &[String]) -> Looked<()> {
        let watch = Watch::default();
        let call = call(format!("take tags of {url:?} away"), "sqs:UntagQueue", url);
        let request = self.queues().sqs.untag_queue().queue_url(url).set_tag_keys(Some(tags.to_vec()));
        told(&call, request.customize().interceptor(watch.clone()).send().await, &watch).map(drop)
    }

    async fn delete_queue(&self, url: &str) -> Looked<()> {
        let watch = Watch::default();
        let call = call(format!("delete {url:?}"), "sqs:DeleteQueue", url);
        let request = self.queues().sqs.delete_queue().queue_url(url).customize().interceptor(watch.clone());
        told(&call, request.send().await, &watch).map(drop)
    }
}

impl Notices for Account {
    async fn rules(&self) -> Looked<Rules> {
        s3::Bucket::new(&self.bucket, self.of_bucket.s3.clone()).notifications().await
    }

    async fn configuration(&self) -> Looked<String> {
        let (watch, verbatim) = (Watch::default(), Verbatim::default());
        let name = &self.bucket;
        let action = format!("read the notification configuration of {name:?}");
        let call =
            call(action, "s3:GetBucketNotification", &bucket_arn(self.of_bucket.s3.config().region(), name));
        let request = self.of_bucket.s3.get_bucket_notification_configuration().bucket(name);
        let request = request.customize().interceptor(watch.clone()).interceptor(verbatim.clone());
        told(&call, request.send().await, &watch)?;
        Ok(std::mem::take(&mut *verbatim.came.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn configure(&self, text: &str, skip_validation: bool) -> Looked<()> {
        let watch = Watch::default();
        let verbatim = Verbatim { send: Some(text.to_owned()), ..Verbatim::default() };
        let name = &self.bucket;
        let action = format!("write the notification configuration of {name:?}");
        let call =
            call(action, "s3:PutBucketNotification", &bucket_arn(self.of_bucket.s3.config().region(), name));
        let request = self
            .of_bucket
            .s3
            .put_bucket_notification_configuration()
            .bucket(name)
            .notification_configuration(NotificationConfiguration::builder().build())
            .set_skip_destination_validation(skip_validation.then_some(true));
        let request = request.customize().interceptor(watch.clone()).interceptor(verbatim);
        told(&call, request.send().await, &watch).map(drop)
    }
}
