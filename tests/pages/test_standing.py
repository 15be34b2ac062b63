"""What the personal link shows after the state of the connection has changed."""

import pytest
from visitor import Visitor


@pytest.fixture
def connected(visitor: Visitor) -> Visitor:
    """An athlete who is connected and whose history is delivered."""
    visitor.connect("ada")
    visitor.read("Your Oura ring is connected")
    visitor.stage.ask("settle")
    return visitor


def later(visitor: Visitor, minutes: int = 15) -> None:
    """Runs a tick some time later, and opens the athlete's link."""
    visitor.stage.ask("pass", minutes=minutes)
    visitor.stage.ask("tick")
    visitor.open_link("ada")


def test_access_removed_at_oura(connected: Visitor) -> None:
    connected.stage.ask("withdraw", person="ada")
    later(connected)
    assert "Oura no longer lets us in" in connected.read("Connect your Oura ring again")
    connected.look("standing-needs-consent")

    connected.go_to_oura("ada", "Connect again")
    connected.tap("Approve")
    connected.read("Your Oura ring is connected")
    later(connected)
    assert "Connect again" in connected.read("Your Oura ring is connected")


def test_sleep_data_taken_back_at_oura(connected: Visitor) -> None:
    connected.stage.ask("withdraw_scope", person="ada", scope="daily")
    later(connected)
    assert "Oura no longer shares your sleep data" in connected.read("Connect your Oura ring again")
    connected.look("standing-sleep-data-not-shared")


def test_a_membership_that_lapses(connected: Visitor) -> None:
    connected.stage.ask("lapse", person="ada")
    later(connected)
    connected.read("Your Oura membership has lapsed")
    connected.look("standing-membership-lapsed")


def test_an_oura_app_that_is_too_old(connected: Visitor) -> None:
    connected.stage.ask("outdate_app", person="ada")
    later(connected)
    connected.read("Update the Oura app")
    connected.look("standing-outdated-app")


def test_a_ring_that_does_not_sync(connected: Visitor) -> None:
    connected.stage.ask("stop_wearing", person="ada")
    later(connected, minutes=4 * 24 * 60)
    assert "no new night has reached us lately" in connected.read("Your Oura ring is connected")
    assert connected.facts()["Last night received"] == "Tuesday night, 3 March"
    connected.look("standing-quiet")


def test_a_form_that_lost_a_field(connected: Visitor) -> None:
    connected.stage.ask("lose_field")
    later(connected, minutes=24 * 60)
    assert "does not take everything it sends" in connected.read("Your Oura ring is connected")
    connected.look("standing-held-up")


def test_a_ring_that_turns_out_to_be_somebody_elses(connected: Visitor) -> None:
    connected.stage.ask("oura_answers", path="/v2/usercollection/personal_info", status=503)
    connected.open_link("ben")
    connected.read("Connect your Oura ring")
    connected.go_to_oura("ada")
    connected.tap("Approve")
    connected.read("Your Oura ring is connected")
    connected.stage.ask("heal")
    connected.stage.ask("settle")
    connected.open_link("ben")
    assert "already belongs to another athlete" in connected.read("Connect your Oura ring again")
    connected.look("standing-account-taken")
