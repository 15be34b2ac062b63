"""A process of ours that says what it is in one line of JSON, then obeys orders: a line each, and a line of answer."""

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
    """The running process: `facts` is what it said of itself at the start; orders go to `ask`."""

    process: subprocess.Popen[str]
    log: Path
    facts: dict[str, Any]

    def ask(self, order: str, **arguments: Any) -> Any:
        """One order; what is answered."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self.process.stdin.flush()
        return answer(self.process, self.log)


@contextlib.contextmanager
def obeying(program: Path, log: Path) -> Iterator[Orders]:
    """The program, for as long as the block."""
    with running([program], log, os.environ, program.parent) as process:
        yield Orders(process, log, answer(process, log))


def answer(process: subprocess.Popen[str], log: Path) -> Any:
    """The next line the process says."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Failed(f"{process.args} ended: {log.read_text(errors='replace')[-2000:]}")
    return json.loads(line)
