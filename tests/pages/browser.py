"""A browser that taps, and checks what every page of ours must fulfil, such as the rules for accessibility."""

import base64
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

# How long a page may take to load.
SECONDS = 30

# All rules of WCAG 2.2 at levels A and AA that axe can check, and the best practices of axe's authors.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]

# In CSS pixels. WCAG 2.2 requires 24; the guidelines of phones recommend 44.
SMALLEST_TARGET = 44


T = TypeVar("T")


def insist(attempt: Callable[[], T]) -> T:
    """Tries up to three times, because a process of Chromium may die on a busy machine before it has started."""
    for _ in range(2):
        with contextlib.suppress(WebDriverException):
            return attempt()
    return attempt()


@dataclasses.dataclass(frozen=True)
class Device:
    """The device that the browser emulates."""

    name: str
    width: int
    height: int
    touch: bool


PHONE = Device("phone", 390, 844, touch=True)
DESKTOP = Device("desktop", 1280, 800, touch=False)


class Browser:
    """A browser on one device, and the origin whose pages it checks."""

    def __init__(self, driver: Chrome, device: Device, axe: str, shots: Path, origin: str) -> None:
        self.driver, self.device, self.axe, self.shots, self.origin = driver, device, axe, shots, origin
        # Reset what an earlier test has set.
        self.resize(device.width)
        self.set_letters(16)
        self.emulate("light")
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": device.touch})
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.get_log("browser")

    def tap(self, words: str) -> None:
        """Taps the one button or link with this text, and waits for the next page."""
        found = [element for element in self.driver.find_elements(By.CSS_SELECTOR, "button, a") if element.text == words]
        assert len(found) == 1, f"{len(found)} times {words!r} on {self.heading()!r}"
        with self.another_page():
            self.press(found[0])

    def press(self, target: WebElement) -> None:
        """Taps with a finger, or clicks."""
        if not self.device.touch:
            target.click()
            return
        self.script("arguments[0].scrollIntoView({block: 'center'})", target)
        finger = ActionBuilder(self.driver, mouse=PointerInput(POINTER_TOUCH, "finger"))
        finger.pointer_action.move_to(target).pointer_down().pointer_up()
        finger.perform()

    @contextlib.contextmanager
    def another_page(self) -> Iterator[None]:
        """Waits until the actions in the block have loaded another page."""
        document = "return document.readyState === 'complete' && performance.timeOrigin"
        before = self.script(document)
        yield
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.script(document) not in (False, before))

    def read(self, heading: str) -> str:
        """Asserts that the page has this heading, and returns its text."""
        assert self.heading() == heading
        return self.text()

    def text(self) -> str:
        """Returns the text of the page."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def look(self, name: str) -> None:
        """Checks the present page against all rules for our pages, and takes screenshots."""
        self.nothing_went_wrong()
        self.fits(name)
        self.can_be_tapped(name)
        self.can_be_walked_by_keyboard(name)
        self.is_for_everybody(name)

    def nothing_went_wrong(self) -> None:
        """Asserts that the console has no errors about our pages, except this page's own status if it is an error."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        status = f"{self.driver.current_url} - Failed to load resource"
        wrong = [line for line in said if line.startswith(self.origin) and not line.startswith(status)]
        assert not wrong, wrong

    def fits(self, name: str) -> None:
        """Asserts that the page does not scroll sideways: normal, at 200 and 400 %, with large and with spaced text."""
        self.does_not_scroll_sideways(name)
        for width in (640, 320):
            self.resize(width)
            self.does_not_scroll_sideways(f"{name} at {width} px")
        self.resize(self.device.width)
        self.set_letters(32)
        self.does_not_scroll_sideways(f"{name} with large letters")
        self.set_letters(16)
        # WCAG 2.2, 1.4.12.
        self.script(
            "for (const element of document.querySelectorAll('body *')) Object.assign(element.style,"
            " {lineHeight: '1.5', letterSpacing: '.12em', wordSpacing: '.16em', marginBottom: '2em'})"
        )
        self.does_not_scroll_sideways(f"{name}, widely set")
        self.script("for (const element of document.querySelectorAll('[style]')) element.removeAttribute('style')")

    def does_not_scroll_sideways(self, name: str) -> None:
        """Asserts that no content is wider than the window, and that none is cut off in its box."""
        wide = self.script(
            "const root = document.documentElement;"
            "return [...document.querySelectorAll('body, body *')].filter(element =>"
            " element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0"
            " || element.getBoundingClientRect().right > root.clientWidth + 1).map(element => element.outerHTML.slice(0, 200))"
        )
        assert not wide, f"{name}: {wide}"

    def can_be_tapped(self, name: str) -> None:
        """Asserts that every button and link is large enough, and that no other element covers it."""
        targets = self.targets()
        assert targets, f"{name}: nothing leads on"
        for target in targets:
            self.script("arguments[0].scrollIntoView({block: 'center'})", target)
            box = self.script(
                "const box = arguments[0].getBoundingClientRect();"
                "const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
                "return {width: box.width, height: box.height, hit: hit === arguments[0]}",
                target,
            )
            assert box["hit"] and min(box["width"], box["height"]) >= SMALLEST_TARGET, f"{name}: {target.text} {box}"

    def can_be_walked_by_keyboard(self, name: str) -> None:
        """Asserts that Tab visits the buttons and links in reading order, and that the focus is visible."""
        # Start at the top of the page.
        self.script("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
        for target in self.targets():
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            focused = self.driver.switch_to.active_element
            assert focused == target, f"{name}: the focus is on {focused.text!r} instead of {target.text!r}"
            outline = self.script(
                "const style = getComputedStyle(arguments[0]);"
                "return [style.outlineStyle, parseFloat(style.outlineWidth), style.outlineColor,"
                " getComputedStyle(document.body).color]",
                target,
            )
            # The outline has the same contrast as the text.
            assert outline[0] == "solid" and outline[1] >= 2 and outline[2] == outline[3], f"{name}: {outline}"

    def is_for_everybody(self, name: str, undecided: tuple[str, ...] = ()) -> None:
        """Checks and photographs the page in both colour schemes; axe may leave these rules undecided."""
        for scheme in ("light", "dark"):
            self.emulate(scheme)
            self.picture(f"{name}-{self.device.name}-{scheme}")
            self.is_accessible(f"{name}, {scheme}", undecided)
        self.emulate("light")

    def is_accessible(self, name: str, undecided: tuple[str, ...]) -> None:
        """Asserts that axe finds no violation, and that it leaves no rule undecided except these."""
        self.script(self.axe)
        found = self.driver.execute_async_script(
            "axe.run(document, {runOnly: arguments[0], resultTypes: ['violations', 'incomplete']})"
            ".then(arguments[1], error => arguments[1]({violations: [{id: String(error), nodes: []}], incomplete: []}))",
            RULES,
        )
        wrong = [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in found["violations"] + [rule for rule in found["incomplete"] if rule["id"] not in undecided]
            for node in rule["nodes"] or [{"html": "", "failureSummary": ""}]
        ]
        assert not wrong, f"{name}: {wrong}"

    def picture(self, name: str) -> None:
        """Takes a screenshot of the whole page."""
        self.script("document.activeElement.blur(); window.scrollTo(0, 0)")
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        self.keep(f"{name}.png", shot["data"])

    def keep(self, name: str, data: str) -> None:
        """Stores a picture or document from the browser, which is in base64."""
        (self.shots / name).write_bytes(base64.b64decode(data))

    def targets(self) -> list[WebElement]:
        """Returns every button and link."""
        return self.driver.find_elements(By.CSS_SELECTOR, "button, a[href]")

    def heading(self) -> str:
        """Returns the page's heading."""
        return self.driver.find_element(By.TAG_NAME, "h1").text

    def emulate(self, scheme: str) -> None:
        """Sets the preferred colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def resize(self, width: int) -> None:
        """Sets the width of the window, in CSS pixels."""
        metrics = {"width": width, "height": self.device.height, "deviceScaleFactor": 1, "mobile": self.device.touch}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def set_letters(self, pixels: int) -> None:
        """Sets the preferred text size."""
        self.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": pixels}})

    @functools.cached_property
    def script(self) -> Callable[..., Any]:
        """Runs a script in the page through the driver. The page's own policy forbids all scripts."""
        return self.driver.execute_script
