"""Every way in which a visit can fail, because of what the athlete does or how the services answer."""

from selenium.webdriver.common.by import By
from visitor import Visitor


def test_a_link_that_has_expired(visitor: Visitor) -> None:
    link = visitor.copy_link("ada")
    visitor.stage.ask("pass", minutes=30 * 24 * 60)
    visitor.driver.get(link)
    visitor.read("This link has expired")
    visitor.look("link-expired")

    visitor.stage.ask("enrol")
    visitor.tap("Open Smartabase")
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")


def test_a_link_that_was_not_copied_to_its_end(visitor: Visitor) -> None:
    visitor.driver.get(visitor.copy_link("ada")[:-4])
    visitor.read("This link is damaged")
    visitor.look("link-damaged")


def test_a_link_of_somebody_who_is_not_enrolled(visitor: Visitor) -> None:
    visitor.driver.get(visitor.stage.ask("strangers_link"))
    visitor.read("We don’t know this athlete yet")
    visitor.look("unknown-athlete")


def test_declining_at_oura_and_changing_ones_mind(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.tap("Decline")
    visitor.read("Nothing was connected")
    visitor.look("declined")

    visitor.tap("Open Smartabase")
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")


def test_unticking_the_sleep_data_at_oura(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.press(visitor.driver.find_element(By.CSS_SELECTOR, "input[type=checkbox][value=daily]"))
    visitor.tap("Approve")
    visitor.read("Sleep data was not shared")
    visitor.look("sleep-data-not-ticked")


def test_signing_in_at_oura_with_somebody_elses_ring(visitor: Visitor) -> None:
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.open_link("ben")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.tap("Approve")
    visitor.read("This Oura account belongs to another athlete")
    visitor.look("account-taken")


def test_a_membership_that_has_lapsed(visitor: Visitor) -> None:
    visitor.stage.ask("lapse", person="ada")
    visitor.connect("ada")
    visitor.read("Connected, but your Oura membership has lapsed")
    visitor.look("connected-membership-lapsed")


def test_dawdling_at_oura(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.stage.ask("pass", minutes=10)
    visitor.tap("Approve")
    visitor.read("That took too long")
    visitor.look("too-slow")


def test_finishing_in_a_browser_that_lost_its_cookies(visitor: Visitor) -> None:
    visitor.open_link("ada")
    visitor.read("Connect your Oura ring")
    visitor.go_to_oura("ada")
    visitor.driver.delete_all_cookies()
    visitor.tap("Approve")
    visitor.read("We lost track of this visit")
    visitor.look("session-lost")


def test_going_back_to_oura_and_approving_once_more(visitor: Visitor) -> None:
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.driver.back()
    visitor.read("Share your Oura data?")
    visitor.tap("Approve")
    visitor.read("We lost track of this visit")

    # The connection remains.
    visitor.tap("Open Smartabase")
    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")


def test_reloading_the_page_that_said_connected(visitor: Visitor) -> None:
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.driver.refresh()
    assert "to see whether your ring is connected" in visitor.read("We lost track of this visit")

    visitor.tap("Open Smartabase")
    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")


def test_oura_being_unwell(visitor: Visitor) -> None:
    visitor.stage.ask("oura_answers", path="/oauth/v2/ext/oauth-token", status=503)
    visitor.connect("ada")
    visitor.read("Oura did not answer")
    visitor.look("oura-unwell")

    visitor.stage.ask("heal")
    visitor.tap("Open Smartabase")
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")


def test_disconnecting_while_oura_is_unwell(visitor: Visitor) -> None:
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")
    visitor.stage.ask("oura_answers", path="/oauth/v2/ext/oauth-revoke", status=503)
    visitor.tap("Disconnect")
    assert "Oura has not confirmed yet" in visitor.read("Your Oura ring is disconnected")
    visitor.look("disconnected-unrevoked")


def test_something_of_ours_that_does_not_answer(visitor: Visitor) -> None:
    visitor.stage.ask("cut_table")
    visitor.open_link("ada")
    visitor.read("Something did not answer")
    visitor.look("try-again")

    visitor.stage.ask("heal")
    visitor.driver.refresh()
    visitor.read("Connect your Oura ring")


def test_a_secret_that_oura_does_not_know(visitor: Visitor) -> None:
    visitor.stage.ask("change_client_secret")
    visitor.connect("ada")
    visitor.read("This service needs attention")
    visitor.look("misconfigured")


def test_an_address_that_is_none(visitor: Visitor) -> None:
    visitor.driver.get(visitor.stage.facts["connector"])
    visitor.read("There is nothing here")
    visitor.look("not-found")


def test_an_address_that_has_grown_out_of_hand(visitor: Visitor) -> None:
    visitor.driver.get(visitor.copy_link("ada") + "a" * 9_000)
    visitor.read("That was too much")
    visitor.look("too-large")
