"""Random histories of reports: their edits, pauses and removals, ticks, outages, switches of approach, clocks that leap.

Each report of a batch is a history of its own. It shares the clock, the ticks and the settings with the others, so that
one tick decides them all, and a report that differs can be replayed alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.schedule_model import CronTimes, Definition, Rules

DAYS = 60
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
ZONES = [
    "Europe/Amsterdam",
    "Europe/Dublin",  # its summer time is the standard one
    "America/New_York",
    "America/Nuuk",  # its gap ends at midnight
    "Africa/Cairo",  # its gap begins at midnight, as in Beirut and Santiago
    "Asia/Beirut",
    "America/Santiago",
    "Pacific/Auckland",
    "Asia/Kathmandu",
    "Africa/Casablanca",  # sets the clock back for Ramadan
    "Australia/Adelaide",
    "UTC",
]
WINDOWS = {"0 * * * *": 1, "0 */6 * * *": 6, "0 6 * * *": 24, "0 6 * * 1-5": 24, "30 2 * * *": 24}
"""Crons of the schedule approach, with the hours between two windows."""
KINDS = {"tick": 14, "edit": 3, "pause": 2, "resume": 2, "pause_all": 1, "switch": 1, "remove": 1, "leap": 1}
"""The events, with their weights."""


@dataclass(frozen=True)
class Event:
    """The name of a player's method, and its argument if it has one: rules, keys, or definitions by key."""

    at: datetime
    kind: str
    value: Any = None

    @property
    def arguments(self) -> list[Any]:
        return [] if self.value is None else [self.value]

    def only(self, key: str) -> Event | None:
        """Return the event as it is for one report; None if it does not concern it."""
        match self.value:
            case dict() as definitions:
                return replace(self, value={key: definitions[key]}) if key in definitions else None
            case tuple() as keys:
                return replace(self, value=(key,)) if key in keys else None
        return self


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The events of many reports, and the settings at their beginning.

    `at_once` is the number of reports decided in one transaction, and twenty times the times of one report in one decision.
    """

    seed: int
    rules: Rules
    events: Sequence[Event]
    at_once: int

    def only(self, key: str) -> Batch:
        return replace(self, events=[own for event in self.events if (own := event.only(key))])


def make_batch(seed: int, *, reports: int) -> Batch:
    """Return the events of this many reports in 60 days around a change of the clock; the same for the same seed."""
    return _Maker(random.Random(seed), reports).batch(seed)


class _Maker:
    """Chooses event after event. Most of them come shortly after a report's time or a window's."""

    def __init__(self, rng: random.Random, reports: int) -> None:
        self.rng = rng
        change = rng.choice(changes_of_clocks())
        self.begin = self.now = change - timedelta(days=rng.randint(2, DAYS - 2), seconds=rng.randint(0, 86400))
        self.rules = self.some_rules(Rules())
        self.definitions = {str(number): self.some_definition() for number in range(1, reports + 1)}
        self.removed: set[str] = set()
        self.times: dict[tuple[str, str], CronTimes] = {}

    def batch(self, seed: int) -> Batch:
        rules, events = self.rules, [Event(self.now, "edit", dict(self.definitions))]
        if self.rng.random() < 0.7:  # else some days pass before the first tick
            events.append(self.event("tick"))
        while self.now < self.begin + timedelta(days=DAYS):
            self.now += self.some_step()
            events += self.some_bystanders()
            [kind] = self.rng.choices(list(KINDS), list(KINDS.values()))
            events += getattr(self, kind)()
        events += [self.event("tick"), self.event("look")]
        return Batch(seed=seed, rules=rules, events=events, at_once=self.rng.choice([20, 150, 5000]))

    def event(self, kind: str, value: Any = None) -> Event:
        return Event(self.now, kind, value)

    def some_step(self) -> timedelta:
        """Return how long nothing happens."""
        rng = self.rng
        match rng.choices(["report", "window", "interval", "minutes", "outage"], [10, 4, 3, 4, 1])[0]:
            case "report":
                some = rng.sample(list(self.definitions.values()), min(8, len(self.definitions)))
                at = min(self.next_time(definition.cron, definition.zone) for definition in some)
            case "window":
                at = self.next_time(self.rules.window_cron, "UTC")
            case "interval":
                return self.rules.sensor_interval * rng.choice([1, 1, 2, 2.5])
            case "minutes":
                return timedelta(minutes=rng.randint(1, 900), seconds=rng.randint(0, 59))
            case _:
                return timedelta(days=rng.choice([0.3, 1, 1, 2.5, 6]), seconds=rng.randint(0, 59))
        late = timedelta(seconds=rng.choice([-1, 0, 0, 1, 5, 95, 119, 120, 121, 1200]))
        return max(at - self.now + late, SECOND)

    def next_time(self, cron: str, zone: str) -> datetime:
        if (cron, zone) not in self.times:
            self.times[cron, zone] = CronTimes(cron, zone, self.begin)
        return self.times[cron, zone].next(self.now)

    def some_bystanders(self) -> Iterator[Event]:
        if self.rng.random() < 0.4:
            yield self.event("end_runs", self.some_keys(0.8))
        if self.rng.random() < 0.2:
            yield self.event("look")
        if self.rng.random() < 0.1:
            yield self.event("run_by_hand", self.some_keys(0.02))
        if self.rng.random() < 0.1:
            yield self.event(self.rng.choice(["backfill", "retry"]), self.some_keys(0.1))

    # The events by kind

    def tick(self) -> Iterator[Event]:
        yield self.event(self.rng.choice(["tick"] * 40 + ["schedule_from_now"]))

    def edit(self) -> Iterator[Event]:
        changed = {key: self.some_change(self.definitions[key]) for key in self.some_keys(0.06)}
        changed |= {key: self.some_definition() for key in sorted(self.removed) if self.rng.random() < 0.5}
        self.removed -= changed.keys()
        self.definitions |= changed
        yield self.event("edit", changed)

    def pause(self) -> Iterator[Event]:
        yield self.event("pause", self.some_keys(0.1))

    def resume(self) -> Iterator[Event]:
        yield self.event(self.rng.choice(["resume"] * 5 + ["resume_from_now"]), self.some_keys(0.4))

    def pause_all(self) -> Iterator[Event]:
        yield self.event("pause_all")
        for _ in range(self.rng.randint(0, 2)):
            self.now += self.some_step()
            yield from self.rng.choice([self.edit, self.tick, self.pause, self.resume])()
        self.now += self.some_step()
        yield self.event(self.rng.choice(["resume_all"] * 5 + ["resume_all_from_now"]))

    def switch(self) -> Iterator[Event]:
        self.rules = self.some_rules(self.rules)
        yield self.event("switch", self.rules)

    def remove(self) -> Iterator[Event]:
        gone = self.some_keys(0.05)
        self.removed |= set(gone)
        yield self.event("remove", gone)

    def leap(self) -> Iterator[Event]:
        """The clock leaps ahead for some ticks and comes back, or is set back a little: into the last gap, or not."""
        rng = self.rng
        yield self.event("tick")
        match rng.choice(["ahead", "into the gap", "a little"]):
            case "ahead":
                ahead = self.now + timedelta(days=rng.choice([1, 1.5, 40, 730]), seconds=rng.randint(0, 59))
                yield from (Event(ahead + timedelta(minutes=minutes), "tick") for minutes in (0, 5))
                self.now += timedelta(seconds=rng.choice([20, 900]))
            case "into the gap":
                self.now += HOUR * rng.choice([2, 5])
                yield self.event("tick")
                self.now -= timedelta(minutes=rng.choice([2, 60]))
            case _:
                for minutes in (120, 44):
                    self.now += timedelta(minutes=minutes)
                    yield self.event("tick")
                self.now -= timedelta(seconds=rng.choice([20, 61, 1800, 2600]))
        yield self.event("tick")

    # Values

    def some_keys(self, share: float) -> tuple[str, ...]:
        return tuple(key for key in self.definitions if self.rng.random() < share and key not in self.removed)

    def some_rules(self, before: Rules) -> Rules:
        rng = self.rng
        window_cron = rng.choice(list(WINDOWS))
        return replace(
            before,
            approach=rng.choice(["sensor", "schedule", "pipeline"]),
            sensor_interval=timedelta(seconds=rng.choice([60, 600, 3600, 7200])),
            window_cron=window_cron,
            window=HOUR * WINDOWS[window_cron] * rng.choice([1, 1, 0.5, 2]),
            missed_runs=rng.choice(["latest", "all", "none"]),
            overlap=rng.choice(["skip", "queue", "allow"]),
            lookback=HOUR * rng.choice([1, 24, 24, 72]),
        )

    def some_change(self, before: Definition) -> Definition:
        match self.rng.choice(["cron", "cron", "zone", "enabled", "enabled", "overlap"]):
            case "cron":
                return replace(before, cron=self.some_cron())
            case "zone":
                return replace(before, zone=self.rng.choice(ZONES))
            case "enabled":
                return replace(before, enabled=not before.enabled)
        return replace(before, overlap=self.rng.choice(["", "skip", "queue", "allow"]))

    def some_definition(self) -> Definition:
        overlap = self.rng.choice(["", "", "skip", "queue", "allow"])
        return Definition(cron=self.some_cron(), zone=self.rng.choice(ZONES), overlap=overlap)

    def some_cron(self) -> str:
        """Return a cron of few times, near the clock's changes, that cronsim reads as we do.

        By our rule the hour alone decides if a change of the clock is passed over; by its rule a star in the minute does too.
        """
        rng = self.rng
        minute = rng.choice(["0", "0", "0", "30", "30", "15", "59", "0,30"])
        hour = rng.choice(["0", "0", "1", "1", "2", "2", "3", "3", "6", "12", "23", "1,2"])
        day = rng.choice(["* * *", "* * 0", "* * 0", "* * 0", "* * 5", "* * 5", "1,15 * *", "28-30 * *"])
        return rng.choice([f"{minute} {hour} {day}"] * 50 + ["30 */12 * * *", "0 * 28,29 * *", "0 * 1,7 * *"])


@cache
def changes_of_clocks() -> Sequence[datetime]:
    """Return the hours of 2025 to 2027 in which one of the zones changes its offset, once for each zone."""
    hours = [datetime(2025, 1, 1, tzinfo=UTC) + hour * HOUR for hour in range(3 * 365 * 24)]
    return [
        after
        for zone in map(ZoneInfo, ZONES)
        for before, after in pairwise(hours)
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
    ]
