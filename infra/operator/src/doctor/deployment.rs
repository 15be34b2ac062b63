//! Checks that apply only to a deployment: functions, schedules, the dead-letter queue, the address for alarms.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::StackResource;
use aws_sdk_lambda::operation::get_function_concurrency::GetFunctionConcurrencyError;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleError;
use aws_sdk_scheduler::types::ScheduleState;

use super::checkup::Checkup;
use crate::aws::explain;
use crate::failure::Failure;
use crate::stack::Stack;

const FUNCTIONS: &str = "functions";
const SCHEDULES: &str = "schedules";
const DEAD_LETTERS: &str = "dead-letters";
const ALARMS: &str = "alarm-email";

pub(super) async fn check(checkup: &mut Checkup, stack: &Stack) {
    match Resources::of(stack).await {
        Ok(resources) => {
            functions(checkup, stack, &resources).await;
            schedules(checkup, stack, &resources).await;
            alarms(checkup, stack, &resources).await;
        }
        Err(failure) => {
            for check in [FUNCTIONS, SCHEDULES, ALARMS] {
                checkup.unknown(check, failure.to_string(), "then ask again");
            }
        }
    }
    dead_letters(checkup, stack).await;
}

/// The stack's resources by type: their names in the template and in AWS.
struct Resources(BTreeMap<String, Vec<(String, String)>>);

impl Resources {
    /// Lists the resources with one `DescribeStackResources`. It returns up to a hundred, more than twice what the
    /// template has.
    async fn of(stack: &Stack) -> Result<Self, Failure> {
        let client = aws_sdk_cloudformation::Client::new(&stack.aws);
        let answer = client.describe_stack_resources().stack_name(&stack.name).send().await;
        let answer = answer.map_err(|error| explain("list the stack’s resources", &error, &stack.aws))?;
        let mut resources: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for StackResource { resource_type, logical_resource_id, physical_resource_id, .. } in
            answer.stack_resources.unwrap_or_default()
        {
            if let (Some(kind), Some(logical), Some(physical)) =
                (resource_type, logical_resource_id, physical_resource_id)
            {
                resources.entry(kind).or_default().push((logical, physical));
            }
        }
        Ok(Self(resources))
    }

    fn of_type(&self, kind: &str) -> &[(String, String)] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }
}

/// Checks that each function may run. With a reserved concurrency of zero, AWS refuses every invocation. Operators stop
/// functions this way, for example to restore the table, and may forget to start them again.
async fn functions(checkup: &mut Checkup, stack: &Stack, resources: &Resources) {
    let client = aws_sdk_lambda::Client::new(&stack.aws);
    let functions = resources.of_type("AWS::Lambda::Function");
    let mut running = 0;
    for (logical, name) in functions {
        match client.get_function_concurrency().function_name(name).send().await {
            Ok(concurrency) if concurrency.reserved_concurrent_executions() == Some(0) => {
                let says = format!("{logical} may not run: its reserved concurrency is 0");
                let remedy = format!(
                    "when nobody needs it stopped any more: aws lambda delete-function-concurrency --function-name {name}"
                );
                checkup.fail(FUNCTIONS, "function-stopped", says, remedy);
            }
            Ok(_) => running += 1,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetFunctionConcurrencyError::is_resource_not_found_exception) =>
            {
                let says = format!("{logical} is gone from Lambda");
                checkup.fail(FUNCTIONS, "function-gone", says, "deploy the stack again");
            }
            Err(error) => {
                let failure = explain("read the concurrency of a function", &error, &stack.aws);
                checkup.unknown(FUNCTIONS, failure.to_string(), "then ask again");
            }
        }
    }
    if functions.is_empty() {
        checkup.fail(FUNCTIONS, "function-gone", "the stack has no function", "deploy the stack again");
    } else if running == functions.len() {
        checkup.pass(FUNCTIONS, format!("{running} of {running} may run"));
    }
}

/// Checks both schedules: the ticks, and the daily enrolment.
async fn schedules(checkup: &mut Checkup, stack: &Stack, resources: &Resources) {
    let client = aws_sdk_scheduler::Client::new(&stack.aws);
    let schedules = resources.of_type("AWS::Scheduler::Schedule");
    let mut on = 0;
    for (logical, name) in schedules {
        match client.get_schedule().name(name).send().await {
            Ok(schedule) if schedule.state() == Some(&ScheduleState::Disabled) => {
                let says = format!("the schedule {logical} is switched off");
                let remedy = format!("switch {name} on in EventBridge Scheduler, or deploy the stack again");
                checkup.fail(SCHEDULES, "schedule-off", says, remedy);
            }
            Ok(_) => on += 1,
            Err(error) if error.as_service_error().is_some_and(GetScheduleError::is_resource_not_found_exception) => {
                let says = format!("the schedule {logical} is gone from EventBridge Scheduler");
                checkup.fail(SCHEDULES, "schedule-gone", says, "deploy the stack again");
            }
            Err(error) => {
                let failure = explain("read the schedule", &error, &stack.aws);
                checkup.unknown(SCHEDULES, failure.to_string(), "then ask again");
            }
        }
    }
    if schedules.is_empty() {
        checkup.fail(SCHEDULES, "schedule-gone", "the stack has no schedule", "deploy the stack again");
    } else if on == schedules.len() {
        checkup.pass(SCHEDULES, format!("{on} of {on} are on"));
    }
}

async fn dead_letters(checkup: &mut Checkup, stack: &Stack) {
    match crate::redrive::waiting(stack).await {
        Err(failure) => checkup.unknown(DEAD_LETTERS, failure.to_string(), "then ask again"),
        Ok(0) => checkup.pass(DEAD_LETTERS, "there are none"),
        Ok(count) => {
            let says = format!("the dead-letter queue holds about {count}");
            let remedy = "list and explain them with `connector redrive`; once the cause is mended, send them again";
            checkup.fail(DEAD_LETTERS, "dead-letters-waiting", says, remedy);
        }
    }
}

/// Checks that alarms have a recipient: the owner of an email address must confirm it once.
async fn alarms(checkup: &mut Checkup, stack: &Stack, resources: &Resources) {
    let Some(email) = stack.parameter("AlarmEmail") else {
        return checkup.pass(ALARMS, "AlarmEmail is empty: nobody is told of alarms");
    };
    let Some((_, topic)) = resources.of_type("AWS::SNS::Topic").first() else {
        return checkup.fail(ALARMS, "alarm-topic-gone", "the stack has no topic for alarms", "deploy the stack again");
    };
    let client = aws_sdk_sns::Client::new(&stack.aws);
    let answer = match client.list_subscriptions_by_topic().topic_arn(topic).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let failure = explain("list who is told of alarms", &error, &stack.aws);
            return checkup.unknown(ALARMS, failure.to_string(), "then ask again");
        }
    };
    let subscription = answer.subscriptions().iter().find(|subscription| subscription.endpoint() == Some(email));
    // An unconfirmed subscription has this word in place of an ARN (API reference, ListSubscriptionsByTopic).
    match subscription.and_then(|subscription| subscription.subscription_arn()) {
        Some("PendingConfirmation") => checkup.fail(
            ALARMS,
            "alarm-email-unconfirmed",
            format!("{email} has not confirmed that it wants alarms"),
            "open the link in the message from AWS Notifications, or have it sent again from the SNS console",
        ),
        Some(arn) if arn.starts_with("arn:") => checkup.pass(ALARMS, format!("alarms go to {email}")),
        _ => checkup.fail(
            ALARMS,
            "alarm-email-gone",
            format!("{email} does not receive alarms: it is not subscribed, or has unsubscribed"),
            "subscribe it to the stack’s topic in the SNS console",
        ),
    }
}
