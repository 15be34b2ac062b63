"""One browser for all tests, and an installation of its own for each test, on a phone and on a desktop."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from check.orders import obeying
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

pytest.register_assert_rewrite("browser", "visitor")

from browser import DESKTOP, PHONE, Device, insist
from visitor import Visitor

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target/pages"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"


def pytest_configure() -> None:
    """On SIGTERM, ends the tests as after a failure, so that all processes that were started end too."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended from outside"))


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """Starts Debian's Chromium without a window."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")
    # Then the page that "back" shows depends on its cache headers.
    options.add_argument("--disable-features=BackForwardCache")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    log = str(TARGET / "chromedriver.log")
    started = insist(lambda: Chrome(options, ChromeService("/usr/bin/chromedriver", log_output=log)))
    yield started
    started.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """Returns the script of axe, which is injected into every page."""
    return (TARGET / "node/node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(params=[PHONE, DESKTOP], ids=lambda device: device.name)
def device(request: pytest.FixtureRequest) -> Device:
    """Runs every test on both devices."""
    return request.param


@pytest.fixture
def visitor(driver: Chrome, axe: str, device: Device) -> Iterator[Visitor]:
    """A visitor of an installation where every athlete is enrolled and no athlete is connected."""
    with obeying(BUILT / "examples/stage", TARGET / "stage.log") as stage:
        yield Visitor(driver, device, axe, TARGET, stage)
        assert stage.ask("violations") == []
