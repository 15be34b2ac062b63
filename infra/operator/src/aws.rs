//! Connects to AWS as the AWS CLI would, and explains a failure in one sentence.

use std::error::Error;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

use crate::arguments::Target;
use crate::failure::Failure;

/// Loads region, credentials (keys, profiles, single sign-on, roles) and endpoints from where the AWS CLI takes them.
/// As in the AWS CLI, a named profile takes precedence over keys in the environment.
pub(crate) async fn configuration(target: &Target) -> Result<SdkConfig, Failure> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(::aws::http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(15))
                .build(),
        );
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &target.profile {
        loader = loader.profile_name(profile);
    }
    let configuration = loader.load().await;
    let Some(region) = configuration.region().cloned() else {
        return Err(Failure::Usage(match &target.profile {
            Some(profile) => format!(
                "no AWS region is set, nor does a profile “{profile}” name one: check --profile, or give --region"
            ),
            None => "no AWS region is set: give --region, or set AWS_REGION".to_owned(),
        }));
    };
    let Some(profile) = &target.profile else { return Ok(configuration) };
    // The profile's roles and single sign-on use the same region.
    let surroundings =
        ProviderConfig::without_region().with_region(Some(region)).with_http_client(::aws::http_client());
    let credentials = ProfileFileCredentialsProvider::builder().configure(&surroundings).profile_name(profile).build();
    let credentials = SharedCredentialsProvider::new(OfProfile { profile: profile.clone(), credentials });
    Ok(configuration.into_builder().credentials_provider(credentials).build())
}

/// The credentials of one profile, with no fallback to other sources.
#[derive(Debug)]
struct OfProfile {
    profile: String,
    credentials: ProfileFileCredentialsProvider,
}

/// The profile does not exist, or contains no way to sign in.
#[derive(Debug, thiserror::Error)]
#[error("the profile “{0}” has no credentials")]
struct Empty(String);

impl ProvideCredentials for OfProfile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.credentials.provide_credentials().await.map_err(|fault| match fault {
                CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(Empty(self.profile.clone())),
                fault => fault,
            })
        })
    }
}

/// Explains why a call to AWS failed, and what to do. `doing` completes “to …”.
pub(crate) fn explain<E, R>(doing: &str, error: &SdkError<E, R>, configuration: &SdkConfig) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(Empty(profile)) = find(error) {
        return Failure::Failed(format!(
            "the AWS CLI has no profile “{profile}” to sign in with: check --profile, ~/.aws/config and ~/.aws/credentials"
        ));
    }
    if let Some(fault) = find::<CredentialsError>(error) {
        return Failure::Failed(without_credentials(fault));
    }
    let region = configuration.region().map_or("no region", |region| region.as_ref());
    let elsewhere = "check --region, AWS_ENDPOINT_URL and any proxy in between";
    Failure::Failed(match error {
        SdkError::ServiceError(refused) => match refused.err().code() {
            Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => EXPIRED.to_owned(),
            Some(
                "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "SignatureDoesNotMatch"
                | "InvalidSignatureException"
                | "IncompleteSignature"
                | "AuthFailure",
            ) => "AWS does not know these credentials: sign in again, or name others with --profile".to_owned(),
            Some("AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "UnauthorizedOperation") => {
                format!(
                    "these AWS credentials are not allowed to {doing}: sign in as somebody who is, for example with --profile"
                )
            }
            Some("Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "RequestThrottled") => {
                format!("AWS is too busy to {doing}: try again in a minute")
            }
            Some(code) => format!("AWS refused to {doing} ({code})"),
            None => format!("what answered in place of AWS, asked to {doing}, is not AWS: {elsewhere}"),
        },
        SdkError::ResponseError(_) => {
            format!("what answered in place of AWS, asked to {doing}, is not AWS: {elsewhere}")
        }
        _ => format!("AWS in {region} can’t be reached to {doing}: check the network, then {elsewhere}"),
    })
}

const EXPIRED: &str = "the AWS credentials have expired: sign in again, for example with `aws sso login`";

fn without_credentials(fault: &CredentialsError) -> String {
    let chain = chain(fault).map(ToString::to_string).collect::<Vec<_>>().join(": ").to_lowercase();
    match fault {
        _ if chain.contains("expired") => EXPIRED.to_owned(),
        CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials were found: sign in with `aws sso login` or \
            `aws configure`, or name a profile with --profile"
            .to_owned(),
        CredentialsError::InvalidConfiguration(_) => "the AWS CLI’s configuration can’t be used: check ~/.aws/config, \
            ~/.aws/credentials and --profile"
            .to_owned(),
        _ => "the AWS credentials could not be had: check the network, sign in again, or name a profile with --profile"
            .to_owned(),
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}
