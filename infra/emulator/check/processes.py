"""Starts the processes of the check, and ends them."""

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
    """A promise that the check tests was not kept; the text says which."""


def say(text: str) -> None:
    """Prints one short line of progress."""
    print(text, flush=True)


def wait_for(what: str, seconds: float, look: Callable[[], T | None]) -> T:
    """Polls every second until there is a result, for at most `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (seen := look()) is not None:
            return seen
        time.sleep(1)
    raise Failed(f"waited {seconds:.0f} s in vain: {what}")


def run(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Runs a command to its end, and shows its output only if it failed."""
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
    """Runs a process for as long as the block, in its own process group so that its children end with it.

    Its standard input and, unless `output` names a file, its standard output are pipes to this process.
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
    """A port on which no process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
