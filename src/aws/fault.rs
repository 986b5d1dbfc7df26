//! Turns what the SDK says of a failed call into a [`Fault`].

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::ErrorKind;

use super::Watch;
use super::codes::kind;
use super::remedy::{Failed, remedy};
use super::xml::{Malformed, Xml};
use crate::fault::{Fault, Kind};

/// How a page for people is called in an answer.
pub(super) const PAGE: &str = "a web page";
/// How the way to one is.
pub(super) const ELSEWHERE: &str = "the way to";

/// A call, in the words of an operator.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What is being done to what: `list versions of "genomics"`.
    pub(crate) action: String,
    /// What a policy calls doing it: `s3:ListBucketVersions`.
    pub(crate) permission: &'static str,
    /// What a policy calls what it is done to, or near enough: `arn:aws:s3:::genomics`.
    pub(crate) resource: String,
}

impl Call {
    /// An answer came, and is of no use.
    pub(crate) fn malformed(&self, malformed: &Malformed) -> Fault {
        self.report(Kind::Malformed, malformed.to_string(), None, None, None)
    }

    /// The SDK gave up.
    pub(crate) fn fault<E>(&self, error: SdkError<E, HttpResponse>, watch: &Watch) -> Fault
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match error.raw_response() {
            Some(response) => self.answered(&error, response, watch),
            None => self.unanswered(error, watch),
        }
    }

    fn answered<E>(&self, error: &SdkError<E, HttpResponse>, response: &HttpResponse, watch: &Watch) -> Fault
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let header = |name| response.headers().get(name);
        let request = header("x-amz-request-id").or_else(|| header("x-amzn-requestid"));
        let source = request.map(|id| Box::new(RequestId(id.to_owned())) as Box<_>);
        let cause = error.source();
        if let Some(what) = page(response) {
            let status = response.status().as_u16();
            // What is not well may be so again; all else is nobody whom we would ask.
            let kind = if status >= 500 { Kind::Throttled } else { Kind::Malformed };
            return self.report(kind, format!("HTTP status {status} with {what}"), None, None, source);
        }
        if let Some(malformed) = cause.and_then(|cause| cause.downcast_ref::<Malformed>()) {
            return Fault { source, ..self.malformed(malformed) };
        }
        // Errors inside an answer of 200 come as the cause of an unreadable response.
        let metadata = match error.as_service_error() {
            Some(error) => Some(error.meta()),
            None => cause.and_then(|cause| cause.downcast_ref::<ErrorMetadata>()),
        };
        let status = response.status();
        let Some(metadata) = metadata.filter(|metadata| metadata.code().is_some() || !status.is_success())
        else {
            let innermost = cause.and_then(|cause| chain(cause).last());
            let why = innermost.map_or("no reason".to_owned(), ToString::to_string);
            let answer = match root(response) {
                Some(root) => format!("the answer is a <{root}>, which is no answer to that"),
                None => format!("the answer cannot be read: {why}"),
            };
            let kind = if error.as_service_error().is_some() { Kind::Malformed } else { Kind::Unreachable };
            return self.report(kind, answer, None, None, source);
        };
        let status = status.as_u16();
        let answer = match (metadata.code(), metadata.message().map(without_request)) {
            (Some(code), Some(message)) => format!("{code}: {message}{}", arguments(response)),
            (Some(text), None) | (None, Some(text)) => text.to_owned(),
            // As to requests for the head of something.
            (None, None) => format!("HTTP status {status}"),
        };
        let region = header("x-amz-bucket-region").or_else(|| metadata.extra("Region"));
        let kind = kind(metadata.code().unwrap_or_default(), status);
        self.report(kind, answer, region, watch.access_key().as_deref(), source)
    }

    fn unanswered<E>(&self, error: SdkError<E, HttpResponse>, watch: &Watch) -> Fault
    where
        E: Error + Send + Sync + 'static,
    {
        let endpoint = watch.endpoint();
        let is_unreachable = match &error {
            SdkError::TimeoutError(_) => true,
            // The last is of connections that are closed before an answer comes.
            SdkError::DispatchFailure(failure) => {
                failure.is_io()
                    || failure.is_timeout()
                    || failure.as_other() == Some(ErrorKind::TransientError)
            }
            _ => false,
        };
        let cause = innermost_ours(error);
        let at = endpoint.as_deref().unwrap_or("the endpoint");
        if is_credentials(cause.as_deref()) {
            // In words, where STS had some; the SDK has them in the form of its own code.
            let said = cause.as_deref().and_then(|cause| chain(cause).find_map(|error| error.downcast_ref()));
            let cause = said.map(said_by).map(|said| Box::new(said) as Box<_>).or(cause);
            self.report(Kind::Credentials, "no credentials could be had".to_owned(), None, None, cause)
        } else if is_unreachable {
            self.report(Kind::Unreachable, format!("no answer from {at}"), endpoint.as_deref(), None, cause)
        } else {
            self.report(Kind::Other, "the request could not be made".to_owned(), None, None, cause)
        }
    }

    /// `told` is what helps the remedy: the right region, or the endpoint that is silent; `who` asked, by
    /// the id of the access key.
    fn report(
        &self,
        kind: Kind,
        answer: String,
        told: Option<&str>,
        who: Option<&str>,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> Fault {
        let causes = source.iter().flat_map(|source| chain(&**source)).map(ToString::to_string);
        let said = std::iter::once(answer.clone()).chain(causes).collect::<Vec<_>>().join(": ");
        let Self { action, permission, resource } = self;
        let remedy = remedy(kind, &Failed { permission, resource, answer: &said, who, told });
        Fault { action: action.clone(), kind, answer, remedy, source }
    }
}

/// What somebody before AWS answers with: a page for people, or the way to one. AWS writes XML and JSON.
fn page(response: &HttpResponse) -> Option<String> {
    const BEGINNINGS: [&[u8]; 2] = [b"<html", b"<!doctype html"];
    let body = response.body().bytes().unwrap_or_default().trim_ascii_start();
    let is_page = |beginning: &&[u8]| {
        body.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    if BEGINNINGS.iter().any(is_page) {
        return Some(PAGE.to_owned());
    }
    let is_sent_on = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && body.is_empty();
    let is_of_aws = response.headers().iter().any(|(name, _)| name.starts_with("x-amz"));
    let location = response.headers().get("location").filter(|_| is_sent_on && !is_of_aws)?;
    Some(format!("{ELSEWHERE} {location:?}"))
}

/// Which arguments S3 found wrong, and why, where its error tells that beside the message: destinations of
/// notifications that it could not send to. Each is an element of its own, with a number behind its name.
fn arguments(response: &HttpResponse) -> String {
    let told = |body| -> Result<Vec<String>, Malformed> {
        let mut xml = Xml::new(body)?;
        let (mut names, mut told) = (Vec::new(), Vec::new());
        xml.child()?;
        while let Some(element) = xml.child()? {
            let is_numbered = element.ends_with(|last: char| last.is_ascii_digit());
            match element.trim_end_matches(|digit: char| digit.is_ascii_digit()) {
                // It is followed by a second name that S3 does not fill in.
                "ArgumentName" if is_numbered => {
                    names.push(xml.text()?.trim_end_matches(", null").to_owned())
                }
                "ArgumentValue" if is_numbered => told.push(xml.text()?.into_owned()),
                _ => xml.skip()?,
            }
        }
        Ok(names.into_iter().zip(told).map(|(name, why)| format!("{name}: {why}")).collect())
    };
    let told = response.body().bytes().and_then(|body| told(body).ok()).unwrap_or_default();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
}

/// The name of the outermost element of an answer that can be read as XML, though not as what was asked for.
fn root(response: &HttpResponse) -> Option<String> {
    let mut xml = Xml::new(response.body().bytes()?).ok()?;
    xml.child().ok()?.map(str::to_owned)
}

/// A message without the request that it is about. Where a signature is wrong, AWS repeats what should have been signed,
/// the session's token in it.
fn without_request(message: &str) -> &str {
    message.split("The Canonical String for this request").next().unwrap_or_default().trim_end()
}

/// What STS said of a role.
fn said_by(metadata: &ErrorMetadata) -> Said {
    let told = [metadata.code(), metadata.message().map(without_request)];
    Said(told.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Said {}

/// What AWS asks for when one turns to its support.
#[derive(Debug)]
struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "request id {}", self.0)
    }
}

impl Error for RequestId {}

/// The source below the SDK's own wrappings, which say no more than we do.
fn innermost_ours<E>(error: SdkError<E, HttpResponse>) -> Option<Box<dyn Error + Send + Sync>>
where
    E: Error + Send + Sync + 'static,
{
    let source = error.into_source().ok()?;
    Some(match source.downcast::<ConnectorError>() {
        Ok(connector) => connector.into_source(),
        Err(source) => source,
    })
}

fn is_credentials(cause: Option<&(dyn Error + Send + Sync + 'static)>) -> bool {
    cause.is_some_and(|cause| chain(cause).any(|error| error.is::<CredentialsError>()))
}

/// The error and its sources, the innermost last.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::future;
    use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};

    use super::*;
    use crate::aws;
    use crate::aws::ATTEMPTS_MAX;
    use crate::aws::scripted::{CLOSED, Server, answer};
    use crate::bucket::Bucket as _;
    use crate::bucket::s3::Bucket;

    #[tokio::test]
    async fn silence_names_the_endpoint() {
        let server = Server::start([]).await;
        let bucket = Bucket::new("genomics", aws::s3(&server.config().await));
        let fault = bucket.versioning().await.unwrap_err();
        assert_eq!(fault.kind, Kind::Unreachable);
        assert_eq!(
            fault.to_string(),
            format!("ask for the versioning of \"genomics\": no answer from {}", server.url)
        );
        let causes: Vec<_> = chain(fault.source().unwrap()).map(ToString::to_string).collect();
        assert!(causes.last().unwrap().contains("refused"), "{causes:?}");
        assert_eq!(causes.iter().collect::<std::collections::HashSet<_>>().len(), causes.len(), "{causes:?}");
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_is_silence_too() {
        let server = Server::start(vec![CLOSED.to_owned(); ATTEMPTS_MAX as usize]).await;
        let bucket = Bucket::new("genomics", aws::s3(&server.config().await));
        let fault = bucket.versioning().await.unwrap_err();
        assert_eq!((fault.kind, fault.answer), (Kind::Unreachable, format!("no answer from {}", server.url)));
    }

    #[tokio::test]
    async fn missing_credentials_are_no_network_fault() {
        let server = Server::start([]).await;
        let nobody = SharedCredentialsProvider::new(Nobody);
        let config = server.config().await.into_builder().credentials_provider(nobody).build();
        let fault = Bucket::new("b", aws::s3(&config)).list("", None).await.unwrap_err();
        assert_eq!((fault.kind, fault.answer.as_str()), (Kind::Credentials, "no credentials could be had"));
    }

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let error = CredentialsError::not_loaded("nobody");
            future::ProvideCredentials::ready(Err(error))
        }
    }

    #[tokio::test]
    async fn what_s3_says_of_each_argument_is_told() {
        let body = "<Error><Code>InvalidArgument</Code><Message>Unable to validate the following destination configurations\
            </Message><ArgumentName1>arn:aws:sqs:eu-central-1:1:q, null</ArgumentName1><ArgumentValue1>The destination queue \
            does not exist</ArgumentValue1><ArgumentName2>arn:f</ArgumentName2><ArgumentValue2>no</ArgumentValue2>\
            <RequestId>R</RequestId></Error>";
        let plain =
            "<Error><Code>InvalidArgument</Code><Message>no</Message><ArgumentName>x</ArgumentName></Error>";
        let server = Server::start([answer(400, body), answer(400, plain)]).await;
        let bucket = Bucket::new("genomics", aws::s3(&server.config().await));
        assert_eq!(
            bucket.versioning().await.unwrap_err().answer,
            "InvalidArgument: Unable to validate the following destination configurations (arn:aws:sqs:eu-central-1:1:q: The \
             destination queue does not exist; arn:f: no)"
        );
        assert_eq!(bucket.versioning().await.unwrap_err().answer, "InvalidArgument: no");
    }
}
