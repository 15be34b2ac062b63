"""Runs the operator's command line on the deployed stack."""

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from check.processes import Failed, run, running
from check.stack import REGION, ROOT, ROOT_USER, STACK


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """`connector --stack`, signed in to the emulator."""

    program: Path
    endpoint: str
    logs: Path

    @classmethod
    def built(cls, endpoint: str, logs: Path) -> "CommandLine":
        """Builds the program from the sources of this repository."""
        run(["cargo", "build", "--workspace", "--bin", "connector"], logs / "operator-build.log", os.environ, ROOT)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return cls(target / "debug/connector", endpoint, logs)

    def answer(self, *arguments: str, given: Any = None, code: int | None = 0) -> Any:
        """The JSON that a command prints. It must end with this exit code, or with any if none is given. `given` is its
        input."""
        done = subprocess.run(
            self.command(*arguments),
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        if code is not None and done.returncode != code:
            raise Failed(f"connector {' '.join(arguments)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[Any]:
        """The first JSON that a command prints. The command runs for as long as the block."""
        with running(self.command(*arguments), self.logs / "operator.log", self.environment(), ROOT) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise Failed(f"connector ended: {(self.logs / 'operator.log').read_text(errors='replace')}")
            yield json.loads(line)

    def command(self, *arguments: str) -> list[str | Path]:
        """The command line."""
        return [self.program, "--stack", STACK, "--json", *arguments]

    def environment(self) -> dict[str, str]:
        """An environment that signs it in to the emulator, and holds nothing of the developer's own."""
        return {
            "PATH": os.defpath,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT_USER["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": ROOT_USER["SecretAccessKey"],
        }

    def findings(self, code: int) -> list[str]:
        """What `doctor` finds wrong, and what it could not check."""
        checks = self.answer("doctor", code=code)["checks"]
        unsure = [check["check"] for check in checks if check["state"] == "unknown"]
        return [check["finding"] for check in checks if check["state"] == "failed"] + unsure
