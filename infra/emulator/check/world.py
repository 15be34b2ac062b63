"""The simulated Oura and Smartabase, in their own process."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from check.orders import Orders, obeying
from check.processes import run
from check.site import Site
from check.stack import ROOT


class World(Orders):
    """The running simulators."""

    @property
    def site(self) -> Site:
        """The simulated site, accessed with the functions' account."""
        return Site(**self.facts["smartabase"])


@contextlib.contextmanager
def world(logs: Path) -> Iterator[World]:
    """Runs the simulators for as long as the block."""
    run(["cargo", "build", "--workspace", "--example", "serve"], logs / "simulators-build.log", os.environ, ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with obeying(target / "debug/examples/serve", logs / "simulators.log") as serving:
        yield World(serving.process, serving.log, serving.facts)
