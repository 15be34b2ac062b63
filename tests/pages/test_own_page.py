"""The buttons work only on our own page, in the browser that opened it."""

from urllib.parse import parse_qsl, urlsplit

from visitor import Visitor

REFUSED = "Please open your link again"


def submit_elsewhere(visitor: Visitor, link: str, action: str) -> None:
    """Submits an athlete's link from the page that is open, whichever site it belongs to."""
    with visitor.another_page():
        visitor.script(
            "const form = document.createElement('form');"
            "Object.assign(form, {method: 'post', action: arguments[0]});"
            "for (const [name, value] of arguments[1])"
            " form.append(Object.assign(document.createElement('input'), {type: 'hidden', name, value}));"
            "document.body.append(form); form.submit();",
            link.split("?")[0].replace("/connect", action),
            parse_qsl(urlsplit(link).query),
        )


def test_a_form_of_another_page(visitor: Visitor) -> None:
    link = visitor.copy_link("ada")
    submit_elsewhere(visitor, link, "/connect")
    assert "nothing was changed" in visitor.read(REFUSED)
    visitor.look("not-from-our-page")

    # It is refused even if the visitor has our page open, and so has the cookie.
    visitor.open_link("ben")
    visitor.read("Connect your Oura ring")
    link = visitor.copy_link("ada")
    submit_elsewhere(visitor, link, "/connect")
    visitor.read(REFUSED)
    submit_elsewhere(visitor, link, "/disconnect")
    visitor.read(REFUSED)

    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    assert visitor.facts()["Athlete"] == "Ada Okafor"


def test_a_browser_that_keeps_no_cookie(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.driver.delete_all_cookies()
    visitor.tap("Continue to Oura")
    assert "with cookies allowed" in visitor.read(REFUSED)

    # The browser requests the page again, and gets a cookie.
    visitor.driver.back()
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")


def test_several_tabs_and_the_way_back(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    first = visitor.driver.current_window_handle
    visitor.driver.switch_to.new_window("tab")
    try:
        visitor.open_link("ada")
        visitor.read("Connect your Oura ring")
        visitor.go_to_oura("ada")
    finally:
        visitor.driver.close()
        visitor.driver.switch_to.window(first)
    # The first tab still works, and so does its page after "back".
    visitor.go_to_oura("ada")
    visitor.driver.back()
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.tap("Approve")
    visitor.read("Your Oura ring is connected")
