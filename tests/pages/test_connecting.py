"""The usual visit, from the personal link to disconnecting."""

from visitor import Visitor


def test_from_the_link_to_the_last_night_and_out_again(visitor: Visitor) -> None:
    visitor.open_link("ada")
    page = visitor.read("Connect your Oura ring")
    assert "This page connects your Oura ring" in page
    assert visitor.facts()["Athlete"] == "Ada Okafor"
    assert visitor.facts()["Smartabase"] in visitor.stage.facts["site"]
    for heading in ("What is shared", "What is not shared", "How to stop"):
        assert heading in page
    visitor.look("connect")

    visitor.go_to_oura("ada")
    visitor.tap("Approve")
    assert "What happens next" in visitor.read("Your Oura ring is connected")
    visitor.look("connected")

    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")
    assert visitor.facts()["Last night received"] == "None yet"
    visitor.look("already-connected-no-night-yet")

    visitor.stage.ask("settle")
    visitor.open_link("ada")
    visitor.read("Your Oura ring is connected")
    facts = visitor.facts()
    assert facts["Connected since"] == "Tuesday, 3 March"
    assert facts["Last night received"] == "Monday night, 2 March"
    visitor.look("already-connected")

    visitor.tap("Disconnect")
    visitor.read("Your Oura ring is disconnected")
    visitor.look("disconnected")

    visitor.tap("Open Smartabase")
    visitor.open_link("ada")
    assert "Your Oura ring is disconnected" in visitor.read("Connect your Oura ring")
    visitor.look("connect-after-disconnecting")
