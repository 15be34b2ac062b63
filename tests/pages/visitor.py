"""An athlete with a browser, in a world where both services are simulated."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from auditor import Auditor, Device
from check.orders import Orders
from selenium.webdriver import Chrome
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

# How long a page may take before it is given up.
SECONDS = 30


class Visitor(Auditor):
    """One athlete, one device, one world."""

    def __init__(self, driver: Chrome, device: Device, axe: str, shots: Path, stage: Orders) -> None:
        super().__init__(driver, device, axe, shots, stage.facts["connector"])
        self.stage = stage

    def open_link(self, person: str) -> None:
        """Opens the site and taps the personal link in the form."""
        self.driver.get(self.stage.facts["site"])
        with self.another_page():
            self.press(self.personal_link(person))

    def copy_link(self, person: str) -> str:
        """The personal link, as somebody reads it who copies it."""
        self.driver.get(self.stage.facts["site"])
        return self.personal_link(person).text

    def personal_link(self, person: str) -> WebElement:
        """Where the form has it."""
        return self.driver.find_element(By.CSS_SELECTOR, f'a[href*="athlete=uuid-{person}&"]')

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

    def go_to_oura(self, person: str, button: str = "Continue to Oura") -> None:
        """Leaves for Oura's consent page and signs in there."""
        self.tap(button)
        self.read("Share your Oura data?")
        Select(self.driver.find_element(By.NAME, "person")).select_by_value(person)

    def connect(self, person: str) -> None:
        """From the personal link to the approval, with one's own ring."""
        self.open_link(person)
        self.read("Connect your Oura ring")
        self.go_to_oura(person)
        self.tap("Approve")

    def read(self, heading: str) -> str:
        """The text of the page, which has to be the one under this heading."""
        assert self.heading() == heading
        return self.driver.find_element(By.TAG_NAME, "body").text

    def facts(self) -> dict[str, str]:
        """The list of facts on the page."""
        names = [element.text for element in self.driver.find_elements(By.TAG_NAME, "dt")]
        return dict(zip(names, (element.text for element in self.driver.find_elements(By.TAG_NAME, "dd")), strict=True))
