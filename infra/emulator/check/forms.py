"""Compares the site's records with Oura's documents, according to the shipped `infra/forms.toml`."""

import datetime
import functools
import itertools
import tomllib
from typing import Any

from check.processes import Failed
from check.site import Event
from check.stack import ROOT
from check.world import World

# Long enough for a full first sync, short enough for a CI run.
BACKFILL_DAYS = 10
# The fields to compare: whole numbers of Oura, which the form holds unchanged.
NIGHT = ("daily_sleep.score", "daily_readiness.score", "sleep.efficiency", "sleep.lowest_heart_rate")
DAY = ("daily_activity.score", "daily_activity.steps")


def days() -> list[datetime.date]:
    """The days a new connection has to bring, today first, in the deployed time zone, UTC."""
    today = datetime.datetime.now(datetime.UTC).date()
    return [today - datetime.timedelta(days=back) for back in range(BACKFILL_DAYS)]


class Form:
    """One event form, as `forms.toml` describes it."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.name: str = table["form"]
        self.evening_before = table["date"] == "evening-before"
        self.labels: dict[str, str] = {field["source"]: field["label"] for field in table["fields"]}

    def date(self, day: datetime.date) -> str:
        """The date of the record for Oura's day."""
        return (day - datetime.timedelta(days=1 if self.evening_before else 0)).isoformat()


class Forms:
    """The forms of the simulated site. `specification` is the output of `connector forms spec`."""

    def __init__(self, world: World, specification: list[dict[str, str]]) -> None:
        self.world, self.specification = world, specification
        tables = tomllib.loads((ROOT / "infra/forms.toml").read_text())
        self.authorise: dict[str, str] = tables["authorise"]
        self.status: dict[str, str] = tables["status"]
        self.events = [Form(table) for table in tables["event"]]

    def build(self) -> None:
        """Creates the specified forms on the site, as an administrator would."""
        for (kind, form), fields in itertools.groupby(self.specification, lambda field: (field["kind"], field["form"])):
            self.world.ask(f"{kind}_form", name=form, fields=[field["field"] for field in fields])

    @functools.cached_property
    def users(self) -> dict[str, int]:
        """The athletes' user ids at the site."""
        users = self.world.site.users()
        return {athlete: users[uuid] for athlete, uuid in self.world.facts["athletes"].items()}

    def link(self, athlete: str) -> str:
        """The athlete's personal link; empty if there is none yet."""
        return self.world.site.profile(self.authorise["form"], self.users[athlete]).get(self.authorise["link"], "")

    def standing(self, athlete: str) -> str:
        """The athlete's status in the staff form; empty if it was not written yet."""
        return self.world.site.profile(self.status["form"], self.users[athlete]).get(self.status["status"], "")

    def records(self, form: Form, athlete: str) -> dict[str, Event]:
        """The athlete's records by date. Fails if a date has more than one."""
        records: dict[str, Event] = {}
        for event in self.world.site.events(form.name, self.users[athlete]):
            if event.date in records:
                raise Failed(f"two records of {athlete} stand under {event.date} in {form.name}")
            records[event.date] = event
        return records

    def agree(self) -> bool:
        """Whether every athlete has one record per night and per day, on the right date, with Oura's values."""
        return all(self.agrees(form, athlete) for form in self.events for athlete in self.world.facts["athletes"])

    def agrees(self, form: Form, athlete: str) -> bool:
        """Whether one form agrees with Oura for one athlete."""
        records = self.records(form, athlete)
        expected = {form.date(day): said for day in days() if (said := self.oura_says(form, athlete, day))}
        # The connector chooses on which day exactly a window begins. No record may be newer than Oura's newest day.
        return max(records, default="") == max(expected) and all(
            date in records and all(records[date].values.get(label) == value for label, value in said.items())
            for date, said in expected.items()
        )

    def oura_says(self, form: Form, athlete: str, day: datetime.date) -> dict[str, str]:
        """Oura's values of one day under the form's labels; empty if there are none yet."""
        said: dict[str, str] = {}
        for source in NIGHT if form.evening_before else DAY:
            collection, field = source.split(".")
            if collection == "sleep":
                documents = [self.world.ask("night", person=athlete, day=day.isoformat())]
            else:
                documents = self.world.ask("documents", person=athlete, collection=collection, day=day.isoformat())
            for document in documents:
                if document and document[field] is not None:
                    said[form.labels[source]] = str(document[field])
        return said
