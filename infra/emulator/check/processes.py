"""What the check starts, and how it ends it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Failed(Exception):
    """Something the check promises did not happen; the text says what."""


def say(text: str) -> None:
    """One short line of progress."""
    print(text, flush=True)


def wait_for(what: str, seconds: float, look: Callable[[], T | None]) -> T:
    """Looks every second until there is something to see, at most `seconds` long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (seen := look()) is not None:
            return seen
        time.sleep(1)
    raise Failed(f"waited {seconds:.0f} s in vain: {what}")


def run(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Runs a command to its end; what it said is shown only if it failed."""
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=cwd, check=False
        )
    if done.returncode != 0:
        raise Failed(f"{log.read_text(errors='replace')}\n{command[0]} {command[1]} ended with {done.returncode}")


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path, output: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that lives as long as the block, in a group of its own so that its children end with it.

    Its standard input and, unless `output` names a file, its standard output are pipes to us.
    """
    with contextlib.ExitStack() as files:
        errors = files.enter_context(log.open("w"))
        answers = files.enter_context(output.open("w")) if output else subprocess.PIPE
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=errors,
            text=True,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
