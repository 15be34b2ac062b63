"""A browser: it taps, and looks hard at a page, at everything that is promised of each of ours, whoever reads it."""

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

# How long a page may take before it is given up.
SECONDS = 30

# Everything that WCAG 2.2 asks for at A and AA and a machine can see, and what axe's authors advise besides.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]

# In pixels of CSS; WCAG 2.2 asks for 24, what phones advise is 44.
SMALLEST_TARGET = 44


T = TypeVar("T")


def insist(attempt: Callable[[], T]) -> T:
    """For what processes of Chromium's own do, of which one may die on a busy machine before it has begun."""
    for _ in range(2):
        with contextlib.suppress(WebDriverException):
            return attempt()
    return attempt()


@dataclasses.dataclass(frozen=True)
class Device:
    """What the browser pretends to be."""

    name: str
    width: int
    height: int
    touch: bool


PHONE = Device("phone", 390, 844, touch=True)
DESKTOP = Device("desktop", 1280, 800, touch=False)


class Browser:
    """One device, and the origin whose pages are looked at."""

    def __init__(self, driver: Chrome, device: Device, axe: str, shots: Path, origin: str) -> None:
        self.driver, self.device, self.axe, self.shots, self.origin = driver, device, axe, shots, origin
        # As if nobody had used it before.
        self.resize(device.width)
        self.set_letters(16)
        self.emulate("light")
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": device.touch})
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.get_log("browser")

    def tap(self, words: str) -> None:
        """Taps the one button or link that says this, and is led on."""
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
        """Whatever happens in the block leads to another page, which is there when it ends."""
        document = "return document.readyState === 'complete' && performance.timeOrigin"
        before = self.script(document)
        yield
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.script(document) not in (False, before))

    def read(self, heading: str) -> str:
        """The text of the page, which has to be the one under this heading."""
        assert self.heading() == heading
        return self.text()

    def text(self) -> str:
        """All the page says."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def look(self, name: str) -> None:
        """Holds the present page to everything that every page of ours promises, and takes its picture."""
        self.nothing_went_wrong()
        self.fits(name)
        self.can_be_tapped(name)
        self.can_be_walked_by_keyboard(name)
        self.is_for_everybody(name)

    def nothing_went_wrong(self) -> None:
        """The console holds nothing about our pages, but for this page's own status when that is an error."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        status = f"{self.driver.current_url} - Failed to load resource"
        wrong = [line for line in said if line.startswith(self.origin) and not line.startswith(status)]
        assert not wrong, wrong

    def fits(self, name: str) -> None:
        """Nothing has to be scrolled sideways: here, zoomed to 200 and 400 %, with letters of double size and widely set."""
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
        """No content is wider than the window, and none is cut off in its box."""
        wide = self.script(
            "const root = document.documentElement;"
            "return [...document.querySelectorAll('body, body *')].filter(element =>"
            " element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0"
            " || element.getBoundingClientRect().right > root.clientWidth + 1).map(element => element.outerHTML.slice(0, 200))"
        )
        assert not wide, f"{name}: {wide}"

    def can_be_tapped(self, name: str) -> None:
        """Every button and link is large enough, and nothing lies over it."""
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
        """Tab goes through the buttons and links in the order in which they are read, and the focus can be seen."""
        # From the top of the page.
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
            # As dark on light, or light on dark, as the text is.
            assert outline[0] == "solid" and outline[1] >= 2 and outline[2] == outline[3], f"{name}: {outline}"

    def is_for_everybody(self, name: str, undecided: tuple[str, ...] = ()) -> None:
        """In both colour schemes axe finds nothing; both have their picture taken. It may leave these rules undecided."""
        for scheme in ("light", "dark"):
            self.emulate(scheme)
            self.picture(f"{name}-{self.device.name}-{scheme}")
            self.is_accessible(f"{name}, {scheme}", undecided)
        self.emulate("light")

    def is_accessible(self, name: str, undecided: tuple[str, ...]) -> None:
        """Axe finds nothing wrong, and nothing that it could not decide but by these rules."""
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
        """The whole page, as far down as it goes."""
        self.script("document.activeElement.blur(); window.scrollTo(0, 0)")
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        self.keep(f"{name}.png", shot["data"])

    def keep(self, name: str, data: str) -> None:
        """Keeps what the browser made of a page, which it hands out in base64."""
        (self.shots / name).write_bytes(base64.b64decode(data))

    def targets(self) -> list[WebElement]:
        """Every button and link."""
        return self.driver.find_elements(By.CSS_SELECTOR, "button, a[href]")

    def heading(self) -> str:
        """The page's heading."""
        return self.driver.find_element(By.TAG_NAME, "h1").text

    def emulate(self, scheme: str) -> None:
        """Sets the colour scheme that the person prefers."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def resize(self, width: int) -> None:
        """Sets the width of the window, in pixels of CSS."""
        metrics = {"width": width, "height": self.device.height, "deviceScaleFactor": 1, "mobile": self.device.touch}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def set_letters(self, pixels: int) -> None:
        """Sets the size of letters that the person prefers."""
        self.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": pixels}})

    @functools.cached_property
    def script(self) -> Callable[..., Any]:
        """Runs a script in the page, from outside: the page's own policy lets none run."""
        return self.driver.execute_script
