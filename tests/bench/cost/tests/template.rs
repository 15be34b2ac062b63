//! Checks that the counts of the template are the template's.

#![expect(clippy::expect_used, reason = "the lints know test functions, but not what those share")]
#![expect(clippy::float_cmp, reason = "whole numbers")]

use cost::Counts;

const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// The text of a resource: from its name to the next line that is not indented deeper.
fn resource(name: &str) -> impl Iterator<Item = &'static str> {
    let heading = format!("  {name}:");
    let mut lines = TEMPLATE.lines().skip_while(move |line| *line != heading);
    assert!(lines.next().is_some(), "the template has no {name}");
    lines.take_while(|line| line.is_empty() || line.starts_with("   "))
}

/// The number in a property of a resource.
fn property(name: &str, property: &str) -> f64 {
    let prefix = format!("{property}: ");
    let value = resource(name).find_map(|line| line.trim().strip_prefix(&prefix)).expect("the property");
    value.parse().expect("a number")
}

/// How many resources have this type.
fn resources(kind: &str) -> f64 {
    let count = TEMPLATE.lines().filter(|line| line.trim() == format!("Type: {kind}")).count();
    u32::try_from(count).expect("a few").into()
}

#[test]
fn memory_and_batch_size_equal_the_template() {
    let template = Counts::held().unwrap().template;
    let memory =
        ["Worker", "Scheduler", "Enrol", "OAuth"].map(|name| property(&format!("{name}Function"), "MemorySize"));
    assert_eq!(memory, [template.worker_mb, template.scheduler_mb, template.enrol_mb, template.oauth_mb]);
    assert_eq!(property("WorkerFunction", "BatchSize"), template.batch);
}

#[test]
fn period_and_enrolments_equal_the_template() {
    let template = Counts::held().unwrap().template;
    assert!(TEMPLATE.contains(&format!("Default: rate({} minutes)", template.period_minutes)));
    let daily = resource("EnrolFunction").find_map(|line| line.trim().strip_prefix("ScheduleExpression: cron(30 "));
    let (first, last) = daily.unwrap().split_once(' ').unwrap().0.split_once('-').unwrap();
    assert_eq!(last.parse::<f64>().unwrap() - first.parse::<f64>().unwrap() + 1.0, template.enrolments_a_day);
}

#[test]
fn alarms_dashboards_and_secrets_equal_the_template() {
    let template = Counts::held().unwrap().template;
    assert_eq!(resources("AWS::CloudWatch::Alarm"), template.alarms);
    assert_eq!(resources("AWS::CloudWatch::Dashboard"), template.dashboards);
    assert_eq!(resources("AWS::SecretsManager::Secret"), template.secrets);
}
