"""The operator's page: `connector console` with the database file of a pilot with generated athletes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, Device, insist
from check.processes import running
from conftest import BUILT, TARGET
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

ATHLETES = 40

# Axe cannot see the background of the text in a drawing.
DRAWN = ("color-contrast",)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creates a database of athletes with every state that the page can show."""
    file = tmp_path_factory.mktemp("crowd") / "club.sqlite"
    subprocess.run([BUILT / "examples/crowd", file, str(ATHLETES), "60"], check=True, stdout=subprocess.DEVNULL)
    return file


@pytest.fixture
def console(driver: Chrome, axe: str, device: Device, crowd: Path) -> Iterator[Browser]:
    """Starts the console and opens its page."""
    command = [BUILT / "connector", "--local", crowd, "console"]
    with running(command, TARGET / "console.log", os.environ, crowd.parent) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        browser = Browser(driver, device, axe, TARGET, address)
        driver.get(address)
        yield browser


def test_everybody_at_a_glance(console: Browser) -> None:
    assert len(athletes(console)) == ATHLETES
    assert f"of {ATHLETES} athletes" in console.text()
    console.nothing_went_wrong()
    stays_within_the_window(console)
    console.is_for_everybody("console", DRAWN)


def test_from_those_who_need_attention_to_one_of_them(console: Browser) -> None:
    with console.another_page():
        console.press(next(link for link in links(console) if "attention" in (link.get_attribute("href") or "")))
    shown = athletes(console)
    assert 0 < len(shown) < ATHLETES
    name = shown[0].text
    with console.another_page():
        console.press(shown[0])
    assert name in console.text()
    console.nothing_went_wrong()
    stays_within_the_window(console)
    console.is_for_everybody("console-athlete", DRAWN)


def test_looking_for_somebody_who_is_not_there(console: Browser) -> None:
    with console.another_page():
        console.driver.find_element(By.NAME, "find").send_keys("nobody of this name", Keys.ENTER)
    assert athletes(console) == []
    console.nothing_went_wrong()
    stays_within_the_window(console)
    console.is_for_everybody("console-nobody", DRAWN)


def test_on_paper(console: Browser) -> None:
    paper = {"preferCSSPageSize": True, "printBackground": True}
    printed = insist(lambda: console.driver.execute_cdp_cmd("Page.printToPDF", paper))
    console.keep("console.pdf", printed["data"])
    console.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = console.driver.find_elements(By.CSS_SELECTOR, "nav, form, .screen")
    assert not any(element.is_displayed() for element in shown)
    console.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def athletes(console: Browser) -> list[WebElement]:
    """Returns the links with the names of the athletes shown."""
    return console.driver.find_elements(By.CSS_SELECTOR, "tbody th a")


def links(console: Browser) -> list[WebElement]:
    """Returns the links that filter the athletes."""
    return console.driver.find_elements(By.CSS_SELECTOR, ".choices a")


def stays_within_the_window(console: Browser) -> None:
    """Asserts that the page does not scroll sideways. Only the table may, in a frame of its own."""
    assert console.script("const root = document.documentElement; return root.scrollWidth <= root.clientWidth")
