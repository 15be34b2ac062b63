"""Reads the simulated Smartabase site over its documented API, as any other client would."""

import base64
import dataclasses
import json
import urllib.request
from typing import Any


@dataclasses.dataclass(frozen=True)
class Event:
    """One record of an event form. Dates are ISO 8601."""

    id: int
    user: int
    date: str
    values: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Site:
    """A site and an account on it."""

    url: str
    username: str
    password: str

    def users(self) -> dict[str, int]:
        """User ids by UUID."""
        answer = self.post(
            "usersynchronise", {"lastSynchronisationTimeOnServer": 0, "userIds": [], "paginate": "True", "cursor": ""}
        )
        return {user["uuid"]: user["userId"] for user in answer["users"] if user["uuid"]}

    def profile(self, form: str, user: int) -> dict[str, str]:
        """A user's record in a profile form; empty if there is none."""
        answer = self.post("profilesearch", {"formNames": [form], "userIds": [user]})
        return {name: value for profile in answer.get("profiles", []) for name, value in pairs(profile).items()}

    def events(self, form: str, user: int) -> list[Event]:
        """Every record of an event form for one user."""
        events: list[Event] = []
        cursor = ""
        while True:
            answer = self.post(
                "eventsearch",
                {
                    "formNames": [form],
                    "userIds": [user],
                    "startDate": "01/01/2000",
                    "finishDate": "31/12/2099",
                    "startTime": "12:00 AM",
                    "finishTime": "11:59 PM",
                    "paginate": True,
                    "cursor": cursor,
                },
            )
            for event in answer.get("events", []):
                day, month, year = event["startDate"].split("/")
                events.append(Event(event["id"], event["userId"], f"{year}-{month}-{day}", pairs(event)))
            cursor = answer.get("cursor") or answer.get("next_cursor") or ""
            if not cursor:
                return events

    def post(self, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
        """One v1 call. The response is read as text first: the site names no content type, and an empty body means no
        data."""
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/v1/{endpoint}?informat=json&format=json",
            json.dumps(body).encode(),
            {"Authorization": f"Basic {login}", "Content-Type": "application/json", "Accept": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        parsed: dict[str, Any] = json.loads(text or "{}")
        return parsed


def pairs(entry: dict[str, Any]) -> dict[str, str]:
    """The values of an entry by field name."""
    return {pair["key"]: pair["value"] for row in entry.get("rows", []) for pair in row.get("pairs", [])}
