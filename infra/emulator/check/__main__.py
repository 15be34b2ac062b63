"""Uses the deployed product, from the empty stack to full forms, as an operator and an athlete would."""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from check import alarms, looking_after, roles, stack
from check.browser import Browser, without_query
from check.commands import CommandLine
from check.forms import BACKFILL_DAYS, Forms, days
from check.processes import Failed, say, wait_for
from check.site import Event
from check.stack import FUNCTIONS, Stack
from check.world import World, world

UNREADABLE = "this is not a job"


def main() -> None:
    """Reads the command line, runs the check, and exits non-zero if any promise was not kept."""
    parser = argparse.ArgumentParser(prog="infra/emulator/run", description=__doc__)
    parser.add_argument("target", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--built", type=Path, help="a folder that `sam build` filled before, instead of building now")
    given = parser.parse_args()
    # On SIGTERM, unwind as after a failure, so that every started process ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    try:
        with contextlib.ExitStack() as started:
            check(given.target, given.built, started)
    except Failed as failure:
        sys.exit(f"FAILED: {failure}")


def check(target: Path, built: Path | None, started: contextlib.ExitStack) -> None:
    """Runs the whole check. Everything it starts goes on the exit stack, which ends it."""
    logs = target / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    tools = target / "sam"
    if built is None:
        say("building the functions")
        built = target / "build"
        stack.build(tools, built, logs)
    say("starting the simulated Oura and Smartabase")
    simulated = started.enter_context(world(logs))
    say("starting the emulator")
    scratch = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="emulator-")))
    endpoint = started.enter_context(stack.emulator(scratch, logs))
    say("deploying the template")
    oura = simulated.facts["oura"]
    deployed = stack.deploy(
        tools,
        built,
        endpoint,
        {
            "SmartabaseUrl": simulated.facts["smartabase"]["url"],
            "OuraAuthorizeUrl": oura["authorize"],
            "OuraTokenUrl": oura["token"],
            "OuraRevokeUrl": oura["revoke"],
            "OuraApiUrl": oura["api"],
            "SyncSchedule": "rate(1 minute)",
            "BackfillDays": str(BACKFILL_DAYS),
            "DeletionProtection": "false",
        },
        logs,
    )
    say("building the operator's command line")
    operator = CommandLine.built(endpoint, logs)
    try:
        for seen in story(deployed, simulated, operator):
            say(f"ok: {seen}")
    except Exception:
        deployed.show_logs()
        raise


def story(deployed: Stack, simulated: World, operator: CommandLine) -> Iterator[str]:
    """Yields a line for each thing that worked."""
    forms = Forms(simulated, operator.answer("forms", "spec"))
    forms.build()
    simulated.ask("register_redirect", url=deployed.outputs["CallbackUrl"])

    succeeded, _ = deployed.invoke("Enrol")
    if succeeded or not any("put-secret-value" in line for line in deployed.log("Enrol")):
        raise Failed("with unfilled secrets, enrol should fail and name the command that fills them")
    yield "with unfilled secrets, enrol says which command fills them"

    found = operator.findings(code=3)
    if found != ["secret-unfilled"] * 2:
        raise Failed(f"of two unfilled secrets, doctor found {found}")
    account = {name: simulated.facts["smartabase"][name] for name in ("username", "password")}
    operator.answer("secrets", "set", "smartabase", "--stdin", given={**account, "password": "wrong"}, code=1)
    operator.answer("secrets", "set", "smartabase", "--stdin", given=account)
    operator.answer("secrets", "set", "oura", "--stdin", given=simulated.facts["application"])
    if found := operator.findings(code=0):
        raise Failed(f"in a sound installation, doctor found {found}")
    yield "the operator filled the secrets, and doctor finds nothing wrong"

    succeeded, answer = deployed.invoke("Enrol")
    if not succeeded:
        raise Failed(f"enrol failed: {answer}")
    links = {athlete: forms.link(athlete) for athlete in simulated.facts["athletes"]}
    for athlete, link in links.items():
        if without_query(link) != deployed.outputs["ConnectUrl"]:
            raise Failed(f"the link of {athlete} leads to {without_query(link)!r}")
    yield f"enrol wrote {len(links)} personal links"

    for athlete, link in links.items():
        connect(athlete, link, deployed)
    yield f"{len(links)} athletes connected over the HTTP API"

    # The second value holds characters that no URI may contain, and reaches the function unchanged.
    for end in ("x", '"<x>'):
        tampered = Browser().open(f"{links['ada']}{end}")
        if not 400 <= tampered.status < 500 or "This link is damaged" not in tampered.text:
            raise Failed(f"a tampered link was answered with {tampered.status}: {tampered.text[:500]}")
    yield "a tampered link opens nothing"

    wait_for("the forms agree with Oura", 180, lambda: forms.agree() or None)
    yield "the forms hold what Oura says, nights under the evening they began"

    def told() -> bool | None:
        return all(forms.standing(athlete) == "connected" for athlete in links) or None

    wait_for("staff are told who is connected", 60, told)
    yield "staff are told that everybody is connected"

    athletes = simulated.facts["athletes"]
    yield looking_after.status(operator, list(athletes))
    yield looking_after.resync(operator, forms, athletes["ada"])
    yield looking_after.console(operator, list(athletes.values()))

    yield schedule_brings_a_revision(deployed, forms)

    browser = Browser()
    gone = browser.submit(browser.open(links["cyd"]), "Disconnect")
    if gone.status != 200:
        raise Failed(f"disconnecting was answered with {gone.status}: {gone.text[-500:]}")
    wait_for("Oura hears of the disconnection", 60, lambda: simulated.ask("revoked", person="cyd") or None)
    yield "an athlete disconnected, and Oura was told"

    deployed.client("sqs").send_message(QueueUrl=deployed.outputs["QueueUrl"], MessageBody=UNREADABLE)
    letters = wait_for("the dead-letter queue takes an unreadable message", 60, lambda: deployed.dead_letters() or None)
    if letters != [UNREADABLE]:
        raise Failed(f"the dead-letter queue holds {letters}")
    yield "an unreadable message is in the dead-letter queue, alone"

    yield looking_after.send_again(operator, deployed, athletes["ada"])

    for line in roles.check(deployed):
        yield f"role of {line}"
    yield roles.entrances(deployed)

    yield from alarms.check(deployed, simulated, forms, links, operator)
    yield looking_after.redrive(operator, UNREADABLE)
    yield dashboard(deployed)

    yield logs_are_clean(deployed, simulated, links)
    if violations := simulated.ask("violations"):
        raise Failed(f"Oura or Smartabase was sent what it should not have been: {violations}")
    yield "neither service was sent anything it should not have been"


def connect(athlete: str, link: str, deployed: Stack) -> None:
    """The athlete opens the link, agrees, signs in at Oura, approves, and sees the confirmation."""
    browser = Browser()
    consent = browser.submit(browser.open(link), "Continue to Oura")
    done = browser.submit(consent, "Approve", person=athlete)
    if done.status != 200 or without_query(done.url) != deployed.outputs["CallbackUrl"]:
        raise Failed(f"{athlete} ended at {without_query(done.url)} with {done.status}: {done.text[:500]}")


def schedule_brings_a_revision(deployed: Stack, forms: Forms) -> str:
    """Changes a night at Oura and nothing else: only the schedule can bring the change to the form."""
    form = next(form for form in forms.events if form.evening_before)
    label = form.labels["sleep.lowest_heart_rate"]
    # The night that ended yesterday: in every time zone it is over.
    day = days()[1]

    def record() -> Event:
        return forms.records(form, "ben")[form.date(day)]

    def ticks() -> int:
        return sum(line.startswith("START") for line in deployed.log("Scheduler"))

    before, fired = record(), ticks()
    revised = int(before.values[label]) + 7
    forms.world.ask("revise_night", person="ben", day=day.isoformat(), field="lowest_heart_rate", value=revised)
    wait_for("the revised night arrives", 240, lambda: record().values[label] == str(revised) or None)
    if ticks() == fired:
        raise Failed("the revised night arrived without the schedule having fired")
    if record().id != before.id:
        raise Failed("the revised night became another event")
    wait_for("the forms agree with Oura", 60, lambda: forms.agree() or None)
    return "the schedule fired by itself, and a revised night changed its event in place"


def dashboard(deployed: Stack) -> str:
    """Checks that the dashboard exists and shows every alarm."""
    (entry,) = deployed.client("cloudwatch").list_dashboards()["DashboardEntries"]
    body = deployed.client("cloudwatch").get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    alarmed = {arn for widget in widgets for arn in widget["properties"].get("alarms", [])}
    deployed_alarms = {alarm["AlarmArn"] for alarm in deployed.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    if alarmed != deployed_alarms:
        raise Failed(f"the dashboard shows {len(alarmed)} alarms of {len(deployed_alarms)}")
    return f"the dashboard {entry['DashboardName']!r} shows {len(widgets)} widgets and all {len(alarmed)} alarms"


def logs_are_clean(deployed: Stack, simulated: World, links: dict[str, str]) -> str:
    """Checks that no log holds a secret, token, code or link, and that no function was denied a permission."""
    signatures = [urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["signature"][0] for link in links.values()]
    secrets = [
        simulated.facts["application"]["client_secret"],
        simulated.facts["smartabase"]["password"],
        *simulated.ask("issued"),
        *signatures,
    ]
    lines = 0
    for function in FUNCTIONS:
        for line in deployed.log(function):
            lines += 1
            if any(secret in line for secret in secrets):
                raise Failed(f"{function} logged a secret, token, code or link signature")
            if "AccessDenied" in line or "not authorized to perform" in line:
                raise Failed(f"{function} was refused something it needs: {line}")
    return f"{lines} log lines hold no secret, token, code or link, and no refusal"


main()
