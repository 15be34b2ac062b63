"""An athlete with a browser. Both services are simulated."""

from pathlib import Path

from browser import Browser, Device
from check.orders import Orders
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select


class Visitor(Browser):
    """An athlete with one device, on one installation."""

    def __init__(self, driver: Chrome, device: Device, axe: str, shots: Path, stage: Orders) -> None:
        super().__init__(driver, device, axe, shots, stage.facts["connector"])
        self.stage = stage

    def open_link(self, person: str) -> None:
        """Opens the site and taps the personal link in the form."""
        self.driver.get(self.stage.facts["site"])
        with self.another_page():
            self.press(self.personal_link(person))

    def copy_link(self, person: str) -> str:
        """Returns the text of the personal link, as a person would copy it."""
        self.driver.get(self.stage.facts["site"])
        return self.personal_link(person).text

    def personal_link(self, person: str) -> WebElement:
        """Returns the personal link in the form."""
        return self.driver.find_element(By.CSS_SELECTOR, f'a[href*="athlete=uuid-{person}&"]')

    def go_to_oura(self, person: str, button: str = "Continue to Oura") -> None:
        """Goes to Oura's consent page and chooses the person there."""
        self.tap(button)
        self.read("Share your Oura data?")
        Select(self.driver.find_element(By.NAME, "person")).select_by_value(person)

    def connect(self, person: str) -> None:
        """Connects the athlete's own ring, from the personal link to the approval."""
        self.open_link(person)
        self.read("Connect your Oura ring")
        self.go_to_oura(person)
        self.tap("Approve")

    def facts(self) -> dict[str, str]:
        """Returns the list of facts on the page, by name."""
        names = [element.text for element in self.driver.find_elements(By.TAG_NAME, "dt")]
        return dict(zip(names, (element.text for element in self.driver.find_elements(By.TAG_NAME, "dd")), strict=True))
