"""Uses the command line as an operator does, once the stack is running."""

import json
import urllib.error
import urllib.request
from typing import Any

from check.commands import CommandLine
from check.forms import Forms, days
from check.processes import Failed, wait_for
from check.stack import Stack


def status(operator: CommandLine, athletes: list[str]) -> str:
    """`status` lists every athlete, each connected and with a night received."""

    def in_order() -> bool | None:
        listed = operator.answer("status")["athletes"]
        arrived = [athlete for athlete in listed if athlete["state"] == "connected" and athlete["last_night"]]
        return len(arrived) == len(athletes) or None

    wait_for("status shows every athlete in order", 60, in_order)
    return f"connector status shows {len(athletes)} athletes connected, each with a night"


def resync(operator: CommandLine, forms: Forms, athlete: str) -> str:
    """`resync` queues a day and follows it until a worker has brought it."""
    day = days()[1].isoformat()
    (followed,) = operator.answer("resync", athlete, "--from", day, "--to", day)["athletes"]
    if followed["outcome"] != "done":
        raise Failed(f"the resync of {day} ended as {followed}")
    brought = operator.answer("show", athlete)["connection"]["brought"]
    if [brought["first"], brought["last"]] != [day, day]:
        raise Failed(f"a resync of {day} left word of {brought}")
    if not forms.agree():
        raise Failed("after a resync the forms differ from what Oura says")
    return "connector resync followed a day until the worker had brought it"


def send_again(operator: CommandLine, deployed: Stack, athlete: str) -> str:
    """`redrive send` returns a dead letter to the worker, which completes the job."""
    day = days()[2].isoformat()
    job = {"v": 1, "job": "backfill", "athlete": athlete, "from": day, "to": day}
    deployed.client("sqs").send_message(QueueUrl=deployed.outputs["DeadLetterQueueUrl"], MessageBody=json.dumps(job))

    def listed() -> str | None:
        letters = {letter["job"]: letter["id"] for letter in operator.answer("redrive", code=None)["dead_letters"]}
        return letters.get("backfill") if None in letters else None

    # An earlier read may hide the unreadable message for a while. It stays in the queue, so the exit code is 3.
    letter = wait_for("redrive lists the job and the unreadable message", 90, listed)
    left = operator.answer("redrive", "send", letter, code=3)["dead_letters"]
    if [letter["outcome"] for letter in left if letter["job"] == "backfill"] != ["sent"]:
        raise Failed(f"the job was not sent again: {left}")

    def brought() -> bool | None:
        stretch = operator.answer("show", athlete)["connection"]["brought"]
        return [stretch["first"], stretch["last"]] == [day, day] or None

    wait_for("the worker does the job that was sent again", 60, brought)
    return "connector redrive sent a job that was given up again, and the worker did it"


def redrive(operator: CommandLine, unreadable: str) -> str:
    """`redrive` explains the unreadable message, does not send it again, and drops it."""

    def listed() -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = operator.answer("redrive", code=None)["dead_letters"]
        return [letter for letter in letters if letter["job"] is None]

    # An earlier read may hide it for a while.
    (letter,) = wait_for("redrive lists the unreadable message", 90, lambda: listed() or None)
    if letter["advice"] != "drop" or unreadable in json.dumps(letter):
        raise Failed(f"the unreadable message is explained as {letter}")
    operator.answer("redrive", "send", letter["id"], code=2)
    operator.answer("redrive", "drop", letter["id"], code=0)
    if left := operator.answer("redrive", code=0)["dead_letters"]:
        raise Failed(f"after the drop there is still {left}")
    return "connector redrive explained the unreadable message, refused to send it again, and dropped it"


def console(operator: CommandLine, uuids: list[str]) -> str:
    """The console shows every athlete to clients that know its address, and answers no others."""
    with operator.started("console") as said:
        address = said["address"]
        with urllib.request.urlopen(address, timeout=60) as answer:
            page = answer.read().decode()
        if missing := [uuid for uuid in uuids if f"athlete?id={uuid}" not in page]:
            raise Failed(f"the console does not show {missing}")
        root = address.rstrip("/").rpartition("/")[0]
        try:
            urllib.request.urlopen(f"{root}/", timeout=60).close()
        except urllib.error.HTTPError as refusal:
            if refusal.code != 404:
                raise Failed(f"the console refuses a stranger with {refusal.code}") from refusal
        else:
            raise Failed("the console answers whoever asks")
    return "connector console shows every athlete, to who has its address"
