"""A child process that describes itself in one line of JSON, then takes orders: one line each, answered by one line."""

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from check.processes import Failed, running


@dataclasses.dataclass
class Orders:
    """The running process. `facts` is its first line of output; `ask` sends orders."""

    process: subprocess.Popen[str]
    log: Path
    facts: dict[str, Any]

    def ask(self, order: str, **arguments: Any) -> Any:
        """Sends one order and returns the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self.process.stdin.flush()
        return answer(self.process, self.log)


@contextlib.contextmanager
def obeying(program: Path, log: Path) -> Iterator[Orders]:
    """Runs the program for as long as the block."""
    with running([program], log, os.environ, program.parent) as process:
        yield Orders(process, log, answer(process, log))


def answer(process: subprocess.Popen[str], log: Path) -> Any:
    """Reads the next line of the process's output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Failed(f"{process.args} ended: {log.read_text(errors='replace')[-2000:]}")
    return json.loads(line)
