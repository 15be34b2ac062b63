//! The daily enrolment: gives every athlete of the site a personal link, and writes each athlete's status for staff.

use connector::Connector;
use lambda_runtime::{Diagnostic, LambdaEvent, run, service_fn};
use runtime::{Deadline, telemetry};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let connector = &connector::at_start(Connector::deployed())?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let enrolled = connector.enrol(Deadline::of_invocation(event.context.deadline)).await;
        let enrolled = enrolled.map_err(|error| {
            tracing::error!(%error, "the enrolment failed");
            Diagnostic { error_type: "EnrolmentFailed".to_owned(), error_message: error.to_string() }
        })?;
        // For an operator who invokes the function by hand.
        Ok::<_, Diagnostic>(json!({
            "athletes": enrolled.athletes,
            "told": enrolled.told,
            "failed": enrolled.failed,
            "staff_told": enrolled.staff_told,
            "staff_failed": enrolled.staff_failed,
            "left": enrolled.left,
            "without_uuid": enrolled.without_uuid,
            "shared_uuids": enrolled.shared_uuids,
            "unreadable": enrolled.unreadable,
            "outside_group": enrolled.outside_group,
            "merged": enrolled.merged,
            "disconnected": enrolled.disconnected,
            "unaccounted": enrolled.unaccounted,
        }))
    }))
    .await
}
