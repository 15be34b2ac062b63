"""Unusual names, and browsers with restrictions."""

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from visitor import Visitor


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ("maryam", "مريم الزهراني"),
        ("rhys", "Rhys <b>&amp;</b> D’Arcy-O'Neil 🏉"),
        ("aleksandra", "Aleksandra-Konstantinovna Wolfeschlegelsteinhausenbergerdorffpapadimitriou"),
    ],
)
def test_names_that_a_page_must_bear(visitor: Visitor, person: str, name: str) -> None:
    visitor.open_link(person)
    visitor.read("Connect your Oura ring")
    assert visitor.facts()["Athlete"] == name
    visitor.look(f"name-{person}")
    visitor.go_to_oura(person)
    visitor.tap("Approve")
    visitor.read("Your Oura ring is connected")
    assert visitor.facts()["Athlete"] == name
    visitor.look(f"name-{person}-connected")


def test_a_browser_without_scripts(visitor: Visitor) -> None:
    visitor.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visitor.connect("ada")
        visitor.read("Your Oura ring is connected")
        visitor.tap("Open Smartabase")
        visitor.open_link("ada")
        visitor.read("Your Oura ring is connected")
        visitor.tap("Disconnect")
        visitor.read("Your Oura ring is disconnected")
    finally:
        visitor.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_keyboard_and_nothing_else(visitor: Visitor) -> None:
    def press(*keys: str) -> None:
        with visitor.another_page():
            ActionChains(visitor.driver).send_keys(*keys).perform()

    visitor.driver.get(visitor.copy_link("ada"))
    visitor.read("Connect your Oura ring")
    press(Keys.TAB, Keys.ENTER)
    visitor.read("Share your Oura data?")
    # The person, the only scope, and the first button.
    press(Keys.TAB, "Ada", Keys.TAB, Keys.TAB, Keys.ENTER)
    visitor.read("Your Oura ring is connected")

    visitor.driver.get(visitor.copy_link("ada"))
    visitor.read("Your Oura ring is connected")
    press(Keys.TAB, Keys.TAB, Keys.SPACE)
    visitor.read("Your Oura ring is disconnected")


def test_a_page_that_is_gone_back_to_is_asked_for_again(visitor: Visitor) -> None:
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")
    visitor.tap("Disconnect")
    visitor.read("Your Oura ring is disconnected")
    visitor.driver.back()
    # The browser did not show a stored copy of the earlier page.
    assert "Your Oura ring is disconnected" in visitor.read("Connect your Oura ring")


def test_nobody_learns_the_link_from_where_a_visit_goes_on(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    assert visitor.script("return document.referrer") == ""
    visitor.tap("Approve")
    visitor.read("Your Oura ring is connected")
    visitor.tap("Open Smartabase")
    visitor.read("Smartabase /site")
    assert visitor.script("return document.referrer") == ""


def test_what_somebody_smuggles_into_a_page_does_nothing(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    refused = visitor.driver.execute_async_script(
        """
        const done = arguments[0], refused = [];
        document.addEventListener('securitypolicyviolation', event => {
            refused.push(event.effectiveDirective);
            if (refused.length === 4) done(refused.sort());
        });
        const add = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields));
        add('script', {textContent: 'window.smuggled = true'});
        add('style', {textContent: 'body { display: none }'});
        add('img', {src: '/pixel.png'});
        add('iframe', {src: '/connect'});
        """
    )
    assert refused == ["frame-src", "img-src", "script-src-elem", "style-src-elem"]
    assert visitor.script("return window.smuggled") is None
    assert visitor.driver.find_element(By.TAG_NAME, "main").is_displayed()
