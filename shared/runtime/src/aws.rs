//! The configuration that every AWS client of the process is built from.

use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

use aws_config::BehaviorVersion;

/// Reads region, credentials and endpoint from the environment, as Lambda sets them. Three attempts with the SDK's own
/// back-off; every use case bounds the whole by its deadline.
pub async fn configuration() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(Duration::from_secs(5))
                .build(),
        )
        .load()
        .await
}
