"""The emulator, the stack deployed to it, and access to both."""

import contextlib
import dataclasses
import functools
import os
import platform
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from check.processes import Failed, free_port, run, running, say, wait_for

ROOT = Path(__file__).resolve().parents[3]
STACK = "oura"
REGION = "us-east-1"
# The emulator's built-in root user, who has every permission.
ROOT_USER = {"AccessKeyId": "test", "SecretAccessKey": "test"}
# The functions run on this machine's processor.
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


@contextlib.contextmanager
def emulator(scratch: Path, logs: Path) -> Iterator[str]:
    """Runs MiniStack on its own port, with IAM enforced, for as long as the block. Yields its address."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    # Don't pass on this process's environment: the functions inherit the emulator's. The endpoint is for the functions;
    # without it their SDK would call the real AWS.
    environment = {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTH": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "LAMBDA_EXECUTOR": "local",
    }
    command = [sys.executable, "-m", "check.emulator"]
    with running(command, logs / "emulator.log", environment, scratch, output=logs / "emulator.out") as process:

        def healthy() -> bool | None:
            if process.poll() is not None:
                raise Failed(f"the emulator ended: {(logs / 'emulator.log').read_text(errors='replace')[-2000:]}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5).close()
                return True
            return None

        wait_for("the emulator answers", 60, healthy)
        yield endpoint


def sam(tools: Path, endpoint: str | None = None) -> dict[str, str]:
    """An environment in which the SAM CLI finds cargo-lambda and zig and, given an endpoint, deploys to it."""
    environment = {
        **os.environ,
        "PATH": f"{tools / 'bin'}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": REGION,
    }
    if endpoint is not None:
        environment |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": ROOT_USER["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": ROOT_USER["SecretAccessKey"],
        }
    return environment


def build(tools: Path, target: Path, logs: Path) -> None:
    """Runs `sam build` on the unchanged template, for this processor."""
    command: list[str | Path] = [
        tools / "bin/sam",
        "build",
        "--template-file",
        ROOT / "template.yaml",
        "--build-dir",
        target,
        "--parameter-overrides",
        f"Architecture={ARCHITECTURE}",
    ]
    run(command, logs / "build.log", sam(tools), ROOT)


def deploy(tools: Path, built: Path, endpoint: str, parameters: dict[str, str], logs: Path) -> "Stack":
    """Runs `sam deploy` on the result of the build."""
    values = {"Architecture": ARCHITECTURE, **parameters}
    command: list[str | Path] = [
        tools / "bin/sam",
        "deploy",
        "--template-file",
        built / "template.yaml",
        "--stack-name",
        STACK,
        "--resolve-s3",
        "--capabilities",
        "CAPABILITY_IAM",
        "--no-confirm-changeset",
        "--no-progressbar",
        "--parameter-overrides",
        *(f'{name}="{value}"' for name, value in values.items()),
    ]
    run(command, logs / "deploy.log", sam(tools, endpoint), built)
    stack = Stack(endpoint)
    # The emulator passes Number parameters on as text, and its queue poller then fails on WorkerConcurrency.
    for mapping in stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]:
        concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        stack.client("lambda").update_event_source_mapping(
            UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency}
        )
    return stack


@dataclasses.dataclass(frozen=True)
class Stack:
    """The deployed stack, accessed as the root user."""

    endpoint: str

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """A client of one service: as root, or with a role's credentials as STS returns them."""
        given = credentials or ROOT_USER
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given.get("SessionToken"),
        )

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def invoke(self, function: str) -> tuple[bool, str]:
        """Invokes a function and waits. Returns whether it succeeded, and its answer."""
        answer = self.client("lambda").invoke(FunctionName=self.outputs[f"{function}FunctionName"], Payload=b"{}")
        return "FunctionError" not in answer, answer["Payload"].read().decode()

    def role(self, function: str) -> dict[str, str]:
        """Credentials of a function's role."""
        name = self.outputs[f"{function}FunctionName"]
        arn = self.client("lambda").get_function_configuration(FunctionName=name)["Role"]
        # The emulator lets its root user assume any role; on AWS only Lambda can assume these.
        credentials: dict[str, str] = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="check")[
            "Credentials"
        ]
        return credentials

    def log(self, function: str) -> list[str]:
        """Every line that a function logged, oldest first."""
        pages = (
            self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/{STACK}/{function.lower()}")
        )
        return [event["message"] for page in pages for event in page["events"]]

    def dead_letters(self) -> list[str]:
        """The bodies of the visible messages in the dead-letter queue. The messages stay in it, hidden for a while."""
        answer = self.client("sqs").receive_message(
            QueueUrl=self.outputs["DeadLetterQueueUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        return [message["Body"] for message in answer.get("Messages", [])]

    def show_logs(self) -> None:
        """The last lines of all logs, for a person who looks for the cause of a failure."""
        for function in FUNCTIONS:
            say(f"--- the {function} function's last lines")
            for line in self.log(function)[-15:]:
                say(line.rstrip()[:600])


FUNCTIONS = ("Scheduler", "Worker", "OAuth", "Enrol")
