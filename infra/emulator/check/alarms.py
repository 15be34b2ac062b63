"""Makes every alarm ring once, by the fault it is for.

The emulator stores metrics and evaluates alarms. Unlike CloudWatch, it does not read the embedded metric format, count
a queue's messages or count a schedule's invocations. This module feeds it these metrics, from the functions' logs and
from the queue. If an alarm waits for hours, the check changes that to seconds and leaves the rest as deployed.
"""

import contextlib
import dataclasses
import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from check.browser import Browser
from check.commands import CommandLine
from check.forms import Forms, days
from check.processes import Failed, wait_for
from check.stack import FUNCTIONS, STACK, Stack
from check.world import World

NAMESPACE = "OuraSmartabase"
# In seconds. Far longer than a tick and its jobs take.
PATIENCE = 150
LOOKS_PER_TICK = 8
# In seconds. The check waits three such periods, for missing ticks or for waiting jobs. Together they exceed a minute,
# the period of the schedule in the check's stack.
PERIOD = 30
# The parts of an alarm that decide when it rings: not its name and not its actions.
RULE = ("Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods")
RULE += ("Threshold", "ComparisonOperator", "TreatMissingData")
# More athletes than the ticks of one minute may sync within half of Oura's rate limit.
CROWD = 140


@dataclasses.dataclass
class Alarms:
    """The stack's alarms, and how far the logs have been fed to them."""

    stack: Stack
    read: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloudwatch = self.stack.client("cloudwatch")
        resources = self.stack.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.names = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in resources
            if resource["ResourceType"] == "AWS::CloudWatch::Alarm"
        }

    def skip(self) -> None:
        """Skips everything logged until now."""
        self.read = {function: len(self.stack.log(function)) for function in FUNCTIONS}

    def feed(self) -> None:
        """Feeds the metrics logged since the last call to the emulator, as CloudWatch does by itself."""
        for function in FUNCTIONS:
            lines = self.stack.log(function)
            for line in lines[self.read.get(function, 0) :]:
                if '"_aws"' in line:
                    self.put(json.loads(line[line.index("{") :]))
                elif line.startswith("START"):
                    self.put_aws("AWS/Lambda", "Invocations", self.function(function), 1)
            self.read[function] = len(lines)

    def put(self, document: dict[str, Any]) -> None:
        """Feeds one document in the embedded metric format."""
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        if directive["Namespace"] != NAMESPACE or document["Stack"] != STACK:
            raise Failed(f"a metric is not this stack's: {document}")
        dimensions = [{"Name": name, "Value": document[name]} for name in directive["Dimensions"][0]]
        data = [
            {
                "MetricName": metric["Name"],
                "Dimensions": dimensions,
                "Unit": metric["Unit"],
                "Value": document[metric["Name"]],
                "Timestamp": document["_aws"]["Timestamp"] / 1000,
            }
            for metric in directive["Metrics"]
        ]
        self.cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def put_aws(self, namespace: str, metric: str, dimension: dict[str, str], value: float) -> None:
        """Feeds a metric that AWS would report by itself."""
        datum = {"MetricName": metric, "Dimensions": [dimension], "Value": value}
        self.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])

    def put_waiting(self, output: str) -> None:
        """Feeds the number of messages that wait in a queue. The emulator keeps passing jobs to a worker that may not
        run, so the messages in flight count, too."""
        attributes = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.outputs[output], AttributeNames=["All"]
        )["Attributes"]
        waiting = sum(int(attributes[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed"))
        self.put_aws("AWS/SQS", "ApproximateNumberOfMessagesVisible", self.queue(output), waiting)

    def function(self, function: str) -> dict[str, str]:
        """The dimension of a function."""
        return {"Name": "FunctionName", "Value": self.stack.outputs[f"{function}FunctionName"]}

    def queue(self, output: str) -> dict[str, str]:
        """The dimension of a queue."""
        return {"Name": "QueueName", "Value": self.stack.outputs[output].rsplit("/", 1)[1]}

    def definition(self, alarm: str) -> dict[str, Any]:
        """An alarm as deployed, with its current state."""
        (found,) = self.cloudwatch.describe_alarms(AlarmNames=[self.names[alarm]])["MetricAlarms"]
        return dict(found)

    def subject(self, alarm: str) -> list[dict[str, str]]:
        """The dimensions of an alarm, from its name and its namespace, because the emulator does not return them."""
        match self.definition(alarm)["Namespace"]:
            case "AWS/Lambda":
                function = next(name for name in FUNCTIONS if alarm.startswith(name[:5]))
                return [self.function(function)]
            case "AWS/SQS":
                return [self.queue("DeadLetterQueueUrl" if alarm == "DeadLetterAlarm" else "QueueUrl")]
            case _:
                return [{"Name": "Stack", "Value": STACK}]

    @contextlib.contextmanager
    def hurried(self, alarm: str, **numbers: int) -> Iterator[None]:
        """Within the block, this alarm waits seconds instead of hours."""
        deployed = {name: self.definition(alarm)[name] for name in ("AlarmName", *RULE)}
        self.cloudwatch.put_metric_alarm(**(deployed | numbers))
        try:
            yield
        finally:
            self.cloudwatch.put_metric_alarm(**deployed)

    def rings(self, alarm: str) -> bool:
        """Whether an alarm is ringing."""
        return bool(self.definition(alarm)["StateValue"] == "ALARM")

    def ring(self, *alarms: str, feed: Callable[[], None] | None = None, ticking: bool = True) -> str:
        """Waits until all of these alarms ring. Meanwhile feeds them from the logs, or with `feed`."""
        self.wait_for(f"{', '.join(alarms)} to ring", lambda: all(map(self.rings, alarms)), feed, ticking)
        return f"rang: {', '.join(alarms)}"

    def wait_for(
        self, what: str, seen: Callable[[], bool], feed: Callable[[], None] | None = None, ticking: bool = True
    ) -> None:
        """Waits until the metrics fed satisfy a condition. With ticking, a tick comes every few seconds, not every
        minute."""
        looks = itertools.count()

        def look() -> bool | None:
            if ticking and next(looks) % LOOKS_PER_TICK == 0:
                self.stack.invoke("Scheduler")
            (feed or self.feed)()
            return seen() or None

        wait_for(what, PATIENCE, look)


def check(
    deployed: Stack, simulated: World, forms: Forms, links: dict[str, str], operator: CommandLine
) -> Iterator[str]:
    """Yields a line for each alarm that rang. Each fault is repaired afterwards."""
    alarms = Alarms(deployed)
    misdirected = [alarm for alarm in alarms.names if alarms.definition(alarm)["Dimensions"] != alarms.subject(alarm)]
    if misdirected:
        raise Failed(f"these are about something else than their names say: {misdirected}")
    # This comes first, because the emulator keeps the metrics: an hour with successful syncs would silence this alarm.
    yield outage(deployed, simulated, alarms)
    ours = [alarm for alarm in alarms.names if alarms.definition(alarm)["Namespace"] == NAMESPACE]
    ours.append("ScheduleStoppedAlarm")

    alarms.wait_for("syncs to be counted again", lambda: not alarms.rings("NothingSyncedAlarm"))
    if ringing := {alarm for alarm in ours if alarms.rings(alarm)} - {"LagAlarm", "RefreshFailuresAlarm"}:
        raise Failed(f"these ring for no reason: {ringing}")
    yield f"once syncs went well again, {len(ours) - 2} alarms about the product were silent"

    yield unable_to_start(deployed, alarms)
    yield turned_away(deployed, alarms)
    yield alarms.ring("DeadLetterAlarm", feed=lambda: alarms.put_waiting("DeadLetterQueueUrl"))
    yield stopped(deployed, alarms, operator)

    # A form loses a field, and a night changes.
    nights = next(form for form in forms.events if form.evening_before)
    lost = nights.labels["sleep.lowest_heart_rate"]
    fields = [label for label in nights.labels.values() if label != lost]
    simulated.ask("event_form", name=nights.name, fields=fields)
    revise(simulated, "ben", 11)
    yield alarms.ring("FormMismatchAlarm")
    forms.build()

    # The profile form loses the link's field while a link has to be written.
    table = deployed.client("dynamodb")
    key = {"pk": {"S": f"ATHLETE#{simulated.facts['athletes']['ada']}"}, "sk": {"S": "ENROLMENT"}}
    table.delete_item(TableName=deployed.outputs["TableName"], Key=key)
    simulated.ask("profile_form", name=forms.authorise["form"], fields=["Something else"])
    deployed.invoke("Enrol")
    yield alarms.ring("LinksAlarm")
    forms.build()

    yield crowd(deployed, alarms)

    # The application got a new secret in Oura's portal, and the connector still has the old one.
    application = simulated.facts["application"]
    simulated.ask("set_client_secret", secret="another-client-secret")
    browser = Browser()
    consent = browser.submit(browser.open(links["cyd"]), "Continue to Oura")
    browser.submit(consent, "Approve", person="cyd")
    yield alarms.ring("OuraCredentialsAlarm")
    simulated.ask("set_client_secret", secret=application["client_secret"])

    # The same at Smartabase. This comes last: it puts all syncs on hold for five minutes.
    simulated.ask("set_password", password="another-password")
    revise(simulated, "ben", 13)
    yield alarms.ring("SmartabaseCredentialsAlarm")
    simulated.ask("set_password", password=simulated.facts["smartabase"]["password"])


def unable_to_start(deployed: Stack, alarms: Alarms) -> str:
    """Removes the table's name from every function in turn. The emulator counts the functions' errors itself."""
    functions = deployed.client("lambda")
    for function in FUNCTIONS:
        name = deployed.outputs[f"{function}FunctionName"]
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        less = {variable: value for variable, value in variables.items() if variable != "TABLE_NAME"}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": less})
        try:
            if deployed.invoke(function)[0]:
                raise Failed(f"{function} ran without knowing its table")
        finally:
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    return alarms.ring(*(f"{function}ErrorsAlarm" for function in FUNCTIONS))


def turned_away(deployed: Stack, alarms: Alarms) -> str:
    """Sets every function's concurrency to zero in turn and invokes it. The emulator counts these throttles, too."""
    functions = deployed.client("lambda")
    for function in FUNCTIONS:
        with without_concurrency(deployed, function):
            try:
                deployed.invoke(function)
                raise Failed(f"{function} was let run without concurrency")
            except functions.exceptions.TooManyRequestsException:
                pass
    return alarms.ring(*(f"{function}ThrottlesAlarm" for function in FUNCTIONS))


def stopped(deployed: Stack, alarms: Alarms, operator: CommandLine) -> str:
    """Stops the worker and switches the schedule off: jobs wait, and no tick comes. `doctor` finds both."""
    schedules = deployed.client("scheduler")
    names = [schedule["Name"] for schedule in schedules.list_schedules()["Schedules"]]
    found = [schedules.get_schedule(Name=name) for name in names]
    (ticks,) = (schedule for schedule in found if schedule["ScheduleExpression"].startswith("rate("))
    kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    ticks = {name: ticks[name] for name in kept}

    def feed() -> None:
        alarms.feed()
        alarms.put_waiting("QueueUrl")

    with contextlib.ExitStack() as mended:
        mended.enter_context(without_concurrency(deployed, "Worker"))
        mended.callback(schedules.update_schedule, **ticks, State="ENABLED")
        deployed.invoke("Scheduler")
        schedules.update_schedule(**ticks, State="DISABLED")
        findings = operator.findings(code=3)
        if missing := {"function-stopped", "schedule-off"}.difference(findings):
            raise Failed(f"doctor found {findings}, and not {missing}")
        mended.enter_context(alarms.hurried("ScheduleStoppedAlarm", Period=PERIOD))
        mended.enter_context(alarms.hurried("BacklogAlarm", Period=PERIOD))
        return alarms.ring("ScheduleStoppedAlarm", "BacklogAlarm", feed=feed, ticking=False)


@contextlib.contextmanager
def without_concurrency(deployed: Stack, function: str) -> Iterator[None]:
    """Within the block, a function may not run."""
    functions, name = deployed.client("lambda"), deployed.outputs[f"{function}FunctionName"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        functions.delete_function_concurrency(FunctionName=name)


def revise(simulated: World, person: str, change: int) -> None:
    """Changes a night at Oura."""
    day = days()[1].isoformat()
    night = simulated.ask("night", person=person, day=day)
    value = int(night["lowest_heart_rate"]) + change
    simulated.ask("revise_night", person=person, day=day, field="lowest_heart_rate", value=value)


def crowd(deployed: Stack, alarms: Alarms) -> str:
    """Adds more athletes than the rate limit allows, whose connections can't be read."""
    table, name = deployed.client("dynamodb"), deployed.outputs["TableName"]
    keys = [{"pk": {"S": f"ATHLETE#crowd-{number}"}, "sk": {"S": "CONNECTION"}} for number in range(CROWD)]
    for key in keys:
        index = {"active_shard": {"S": "0"}, "athlete": {"S": key["pk"]["S"].removeprefix("ATHLETE#")}}
        table.put_item(TableName=name, Item={**key, **index})
    try:
        return alarms.ring("OverBudgetAlarm", "OperatorNeededAlarm")
    finally:
        for key in keys:
            table.delete_item(TableName=name, Key=key)


def outage(deployed: Stack, simulated: World, alarms: Alarms) -> str:
    """Breaks every refresh and every access token, so no sync succeeds, and makes it look hours old."""
    table, name = deployed.client("dynamodb"), deployed.outputs["TableName"]
    long_ago = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3)).isoformat()
    simulated.ask("token_servers_down", down=True)
    for person in ("ada", "ben"):
        table.update_item(
            TableName=name,
            Key={"pk": {"S": f"ATHLETE#{simulated.facts['athletes'][person]}"}, "sk": {"S": "CONNECTION"}},
            UpdateExpression="SET connected_at = :long_ago, last_sync = :long_ago",
            ExpressionAttributeValues={":long_ago": {"S": long_ago}},
        )
        simulated.ask("expire_access_tokens", person=person)
    alarms.skip()
    try:
        return alarms.ring("LagAlarm", "RefreshFailuresAlarm", "NothingSyncedAlarm")
    finally:
        simulated.ask("token_servers_down", down=False)
