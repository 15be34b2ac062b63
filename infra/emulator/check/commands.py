"""The operator's command line, at work on the deployed stack."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from check.processes import Failed, run
from check.stack import REGION, ROOT, ROOT_USER, STACK


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """`connector --stack`, signed in to the emulator."""

    program: Path
    endpoint: str

    @classmethod
    def built(cls, endpoint: str, logs: Path) -> "CommandLine":
        """The program, built from the sources beside this."""
        run(["cargo", "build", "--package", "operator"], logs / "operator-build.log", os.environ, ROOT)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return cls(target / "debug/connector", endpoint)

    def answer(self, *arguments: str, given: Any = None, code: int = 0) -> Any:
        """What it prints as JSON, when it ends with this exit code; `given` goes in as JSON."""
        done = subprocess.run(
            [self.program, "--stack", STACK, "--json", *arguments],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.defpath,
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ROOT_USER["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": ROOT_USER["SecretAccessKey"],
            },
        )
        if done.returncode != code:
            raise Failed(f"connector {' '.join(arguments)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)

    def findings(self, code: int) -> list[str]:
        """What `doctor` finds wrong, and what it could not find out."""
        checks = self.answer("doctor", code=code)["checks"]
        unsure = [check["check"] for check in checks if check["state"] == "unknown"]
        return [check["finding"] for check in checks if check["state"] == "failed"] + unsure
