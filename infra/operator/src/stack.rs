//! A deployment, found by the name of its CloudFormation stack. The stack's outputs name its resources and its
//! parameters hold the settings. The functions get the same values as environment variables.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use runtime::{ConfigurationError, Deployment, Settings};

use crate::arguments::Target;
use crate::aws;
use crate::failure::Failure;

/// A deployed installation.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) aws: SdkConfig,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

/// Environment variables of the functions, and the template's parameters that set them.
const SETTINGS: [(&str, &str); 12] = [
    ("SMARTABASE_URL", "SmartabaseUrl"),
    ("SMARTABASE_GROUP", "SmartabaseGroup"),
    ("TIME_ZONE", "TimeZone"),
    ("OURA_AUTHORIZE_URL", "OuraAuthorizeUrl"),
    ("OURA_TOKEN_URL", "OuraTokenUrl"),
    ("OURA_REVOKE_URL", "OuraRevokeUrl"),
    ("OURA_API_URL", "OuraApiUrl"),
    ("OURA_SCOPES", "OuraScopes"),
    ("SYNC_SCHEDULE", "SyncSchedule"),
    ("LOOKBACK_DAYS", "LookbackDays"),
    ("BACKFILL_DAYS", "BackfillDays"),
    ("LOG_LEVEL", "LogLevel"),
];

/// Environment variables of the functions that name resources, and the template's outputs that hold the same names.
const RESOURCES: [(&str, &str); 6] = [
    ("TABLE_NAME", "TableName"),
    ("QUEUE_URL", "QueueUrl"),
    ("DEAD_LETTER_QUEUE_URL", "DeadLetterQueueUrl"),
    ("OURA_SECRET_ARN", "OuraSecretArn"),
    ("SMARTABASE_SECRET_ARN", "SmartabaseSecretArn"),
    ("KEY_SECRET_ARN", "KeySecretArn"),
];

impl Stack {
    /// Finds the stack with one `DescribeStacks`.
    pub(crate) async fn find(name: &str, target: &Target) -> Result<Self, Failure> {
        let aws = aws::configuration(target).await?;
        let request = Client::new(&aws).describe_stacks().stack_name(name);
        let answer = match request.send().await {
            Ok(answer) => answer,
            // CloudFormation returns this code if the stack does not exist, or if the name is not valid for a stack.
            // The request contains nothing but the name, so no other cause is possible.
            Err(error) if error.code() == Some("ValidationError") => {
                return Err(unknown(name, &aws));
            }
            Err(error) => return Err(aws::explain("describe the stack", &error, &aws)),
        };
        let stack = answer.stacks.unwrap_or_default().into_iter().next().ok_or_else(|| unknown(name, &aws))?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let outputs = outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect();
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        let parameters = parameters.filter_map(|given| Some((given.parameter_key?, given.parameter_value?))).collect();
        let stack = Self { name: name.to_owned(), aws, outputs, parameters };
        if !stack.outputs.contains_key("TableName") {
            return Err(Failure::Usage(format!(
                "the stack “{name}” is not an installation of this connector, or its deployment never finished: check --stack"
            )));
        }
        Ok(stack)
    }

    /// One of the stack's outputs.
    pub(crate) fn output(&self, name: &str) -> Result<&str, Failure> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Failure::Failed(format!(
                "the stack “{}” has no output {name}: deploy the release of the template that belongs to this program",
                self.name
            ))
        })
    }

    /// One of the stack's parameters; `None` if it is empty or unknown.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Parses the settings, as the functions do.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigurationError> {
        Settings::read(|variable| match variable {
            "PUBLIC_URL" => Some(self.outputs.get("ConnectUrl")?.strip_suffix("/connect")?.to_owned()),
            _ => self.parameter(named(&SETTINGS, variable)?).map(str::to_owned),
        })
    }

    /// Parses the locations of the resources, as the functions do.
    pub(crate) fn deployment(&self) -> Result<Deployment, ConfigurationError> {
        Deployment::read(|variable| self.outputs.get(named(&RESOURCES, variable)?).cloned())
    }
}

fn named(table: &[(&str, &'static str)], variable: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == variable).map(|(_, named)| *named)
}

fn unknown(name: &str, aws: &SdkConfig) -> Failure {
    let region = aws.region().map_or("this region", |region| region.as_ref());
    Failure::Usage(format!("there is no stack “{name}” in {region}: check --stack, --region and --profile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    #[test]
    fn the_functions_get_what_the_command_line_reads() {
        for (variable, parameter) in SETTINGS {
            assert!(TEMPLATE.contains(&format!("        {variable}: !Ref {parameter}\n")), "{variable}");
        }
        let outputs = TEMPLATE.split_once("\nOutputs:\n").unwrap().1;
        for (variable, output) in RESOURCES {
            let value = TEMPLATE.split_once(&format!("        {variable}: ")).unwrap().1.lines().next().unwrap();
            let described = outputs.split_once(&format!("  {output}:\n")).unwrap().1;
            let same = described.split_once("    Value: ").unwrap().1.lines().next().unwrap();
            assert_eq!(value, same, "{variable}");
        }
        assert!(outputs.contains("${Base}/connect"));
    }
}
