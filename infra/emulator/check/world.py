"""The simulated Oura and Smartabase, in a process of their own."""

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from check.processes import Failed, run, running
from check.site import Site
from check.stack import ROOT


@dataclasses.dataclass
class World:
    """The running simulators: `facts` is what they said of themselves at the start; orders go to `ask`."""

    process: subprocess.Popen[str]
    log: Path
    facts: dict[str, Any]

    @property
    def site(self) -> Site:
        """The simulated site, through the account the functions use."""
        return Site(**self.facts["smartabase"])

    def ask(self, order: str, **arguments: Any) -> Any:
        """One order to the simulators; what they answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self.process.stdin.flush()
        return answer(self.process, self.log)


@contextlib.contextmanager
def world(logs: Path) -> Iterator[World]:
    """The simulators, for as long as the block."""
    run(["cargo", "build", "--package", "sim", "--example", "serve"], logs / "simulators-build.log", os.environ, ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    log = logs / "simulators.log"
    with running([target / "debug/examples/serve"], log, os.environ, ROOT) as process:
        yield World(process, log, answer(process, log))


def answer(process: subprocess.Popen[str], log: Path) -> Any:
    """The next line the simulators say."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Failed(f"the simulators ended: {log.read_text(errors='replace')[-2000:]}")
    return json.loads(line)
