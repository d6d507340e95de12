"""The rules of *when*, written a second time: slow and obvious, from the documentation alone, with cronsim for its cron.

It shares no line with the package. `tests.support.schedule_histories` plays random histories against both.

    a report owes the times of its cron in (decided until, now], which a tick decides, or an edit before it takes effect
    on time      decided as soon as the approach in force at that time promises, and not of a pause: runs
    missed       all others. MISSED_RUNS selects; an edit that takes the report out of service selects none
    beyond       missed for the clock, not for a pause, and older than the look-back: the first one's record covers all
    busy         a scheduled run from before this decision has not ended: OVERLAP decides. Work by hand counts never
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

RUN, MISSED, OVERLAP, BEYOND = "run", "missed", "overlap", "beyond_lookback"
MINUTE, TWO_MINUTES, LONGEST_STEP = timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=45)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings that the rules depend on."""

    approach: str = "sensor"
    sensor_interval: timedelta = timedelta(minutes=1)
    window_cron: str = "0 * * * *"
    window: timedelta = timedelta(hours=1)
    missed_runs: str = "latest"
    overlap: str = "skip"
    lookback: timedelta = timedelta(days=1)

    @property
    def of_on_time(self) -> tuple[object, ...]:
        return self.approach, self.sensor_interval, self.window_cron, self.window


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A report as the host shows it. Without an `overlap` of its own, the setting holds."""

    cron: str
    zone: str
    enabled: bool = True
    overlap: str = ""


class CronTimes:
    """The instants at which a cron fires, from some days before `since` on."""

    def __init__(self, cron: str, zone: str, since: datetime) -> None:
        self._since = since - timedelta(days=10)
        # At a fixed hour cronsim begins on the wall's clock, which may be an hour before the instant it is given.
        self._found: list[datetime] = [self._since]
        self._rest = (at.astimezone(UTC) for at in CronSim(cron, self._since.astimezone(ZoneInfo(zone))))

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        self._search(until)
        return self._found[bisect_right(self._found, after) : bisect_right(self._found, until)]

    def next(self, after: datetime) -> datetime:
        self._search(after)
        return self._found[bisect_right(self._found, after)]

    def last_two(self, until: datetime) -> tuple[datetime, datetime]:
        self._search(until)
        at = bisect_right(self._found, until)
        return self._found[at - 2], self._found[at - 1]

    def _search(self, until: datetime) -> None:
        while self._found[-1] <= until:
            self._found.append(next(at for at in self._rest if at > self._found[-1]))


@dataclass(kw_only=True)
class Pauses:
    """The times of a pause: [paused, resumed)."""

    ended: list[tuple[datetime, datetime]] = field(default_factory=list)
    since: datetime | None = None

    def pause(self, now: datetime) -> None:
        self.since = self.since or now

    def resume(self, now: datetime) -> None:
        if self.since:
            self.ended.append((self.since, now))
            self.since = None

    def cover(self, at: datetime) -> bool:
        return any(since <= at < until for since, until in self.ended) or bool(self.since and self.since <= at)


@dataclass(kw_only=True)
class ModelReport:
    definition: Definition
    decided_until: datetime
    pauses: Pauses = field(default_factory=Pauses)
    outcomes: dict[datetime, str] = field(default_factory=dict)
    live: set[datetime] = field(default_factory=set)
    is_removed: bool = False

    @property
    def is_scheduled(self) -> bool:
        return self.definition.enabled and not self.pauses.since and not self.is_removed

    def copy(self) -> ModelReport:
        return replace(self, outcomes=dict(self.outcomes), live=set(self.live))


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Two successive ticks that are far apart, and the reports as they were between them."""

    start: datetime
    end: datetime
    reports: dict[str, ModelReport]


class ScheduleModel:
    """The reports, and the outcome of each of their times."""

    def __init__(self, rules: Rules, now: datetime, *, project_zone: str = "UTC") -> None:
        self._began, self._project_zone = now, project_zone
        self._rules = rules
        self._earlier_rules: list[tuple[Rules, datetime]] = []
        self._all_pauses = Pauses()
        self._has_started = False
        self._seen_at = now
        self._gap: Gap | None = None
        self._crons: dict[tuple[str, str], CronTimes] = {}
        self.reports: dict[str, ModelReport] = {}

    # What happens

    def tick(self, now: datetime) -> None:
        """The first tick starts scheduling: earlier times are not ours."""
        if not self._has_started:
            self.schedule_from_now(now)
        self._see_clock(now)
        if not self._all_pauses.since:
            for report in self.reports.values():
                if report.is_scheduled:
                    self._decide(report, now)

    def edit(self, now: datetime, definitions: Mapping[str, Definition]) -> None:
        """The host shows these reports so; those it has not shown before begin now."""
        for key, new in definitions.items():
            report = self.reports.get(key)
            if report is None or report.is_removed:  # a report created again under its key is another one
                outcomes = report.outcomes if report else {}
                self.reports[key] = ModelReport(definition=new, decided_until=now, outcomes=outcomes)
                continue
            if self._times(new) is not self._times(report.definition) or new.enabled != report.definition.enabled:
                if report.definition.enabled and self._has_started:
                    self._decide(report, now, "" if new.enabled else "none")
                report.decided_until = now
            report.definition = new

    def remove(self, _now: datetime, keys: Iterable[str]) -> None:
        """There is nothing left to run: a removal decides nothing."""
        for key in keys:
            self.reports[key].is_removed = True

    def pause(self, now: datetime, keys: Iterable[str]) -> None:
        for key in keys:
            self.reports[key].pauses.pause(now)

    def resume(self, now: datetime, keys: Iterable[str]) -> None:
        for key in keys:
            self.reports[key].pauses.resume(now)

    def resume_from_now(self, now: datetime, keys: Iterable[str]) -> None:
        for key in keys:
            if self.reports[key].pauses.since:
                self.reports[key].decided_until = now
        self.resume(now, keys)

    def pause_all(self, now: datetime) -> None:
        self._all_pauses.pause(now)

    def resume_all(self, now: datetime) -> None:
        self._all_pauses.resume(now)

    def resume_all_from_now(self, now: datetime) -> None:
        if self._all_pauses.since:
            for report in self.reports.values():
                if not report.pauses.since:
                    report.decided_until = max(now, report.decided_until)
        self.resume_all(now)

    def schedule_from_now(self, now: datetime) -> None:
        self._has_started = True
        self._seen_at, self._gap = now, None
        for report in self.reports.values():
            report.decided_until = now

    def switch(self, now: datetime, rules: Rules) -> None:
        if rules.of_on_time != self._rules.of_on_time:
            self._earlier_rules.append((self._rules, now))
        self._rules = rules

    def run_by_hand(self, now: datetime, keys: Iterable[str]) -> None:
        """Manual runs block nothing, and are no scheduled time."""

    def backfill(self, now: datetime, keys: Iterable[str]) -> None:
        """Skipped times run after all, and block nothing."""
        for key in keys:
            outcomes = self.reports[key].outcomes
            outcomes.update({at: RUN for at, outcome in outcomes.items() if outcome in (MISSED, OVERLAP)})

    def retry(self, now: datetime, keys: Iterable[str]) -> None:
        """Runs that failed, and that a person retried, go on and block nothing."""
        self.end_runs(now, keys)

    def end_runs(self, now: datetime, keys: Iterable[str]) -> None:
        for key in keys:
            self.reports[key].live.clear()

    # What it looks like

    def next_run_at(self, key: str) -> datetime | None:
        report = self.reports[key]
        if not report.is_scheduled:
            return None
        return self._times(report.definition).next(report.decided_until)

    # The rules

    def _see_clock(self, now: datetime) -> None:
        """A gap is an outage, or a leap if the clock comes back into it: then what was decided after it never was.

        A clock that was set back otherwise may be wrong: what is decided stays, and reports wait until it has caught up.
        """
        if now < self._seen_at - MINUTE:
            if self._gap and self._gap.start <= now < self._gap.end:
                self.reports, self._gap, self._seen_at = self._gap.reports, None, now
        elif now > self._seen_at:
            if now - self._seen_at > LONGEST_STEP:
                reports = {key: report.copy() for key, report in self.reports.items()}
                self._gap = Gap(start=self._seen_at, end=now, reports=reports)
            self._seen_at = now

    def _decide(self, report: ModelReport, now: datetime, missed_runs: str = "") -> None:
        due = self._times(report.definition).between(report.decided_until, now)
        report.decided_until = max(now, report.decided_until)
        rules = self._rules
        timely = [at for at in due if self._is_timely(at, now)]
        beyond = [at for at in due if at not in timely and at <= now - rules.lookback]
        on_time = [at for at in timely if not (report.pauses.cover(at) or self._all_pauses.cover(at))]
        missed = [at for at in due if at not in on_time and at not in beyond]
        match missed_runs or rules.missed_runs:
            case "all":
                selected = missed + on_time
            case "latest":
                selected = on_time or missed[-1:]
            case _:
                selected = on_time
        if self._all_pauses.since or report.pauses.since:
            selected = []
        is_skipped = bool(report.live) and (report.definition.overlap or rules.overlap) == "skip"
        for at in [*beyond[:1], *missed, *on_time]:
            outcome = (OVERLAP if is_skipped else RUN) if at in selected else BEYOND if at in beyond else MISSED
            if at not in report.outcomes:
                report.outcomes[at] = outcome
                if outcome == RUN:
                    report.live.add(at)

    def _is_timely(self, at: datetime, now: datetime) -> bool:
        """A switch of approach hands on what is on time until then: from then on it counts as due at the switch."""
        due = at
        for rules, until in [*self._earlier_rules, (self._rules, now)]:
            if due <= until:
                if not self._is_punctual(rules, due, until):
                    return False
                due = until
        return True

    def _is_punctual(self, rules: Rules, due: datetime, now: datetime) -> bool:
        match rules.approach:
            case "sensor":
                return now - due < max(2 * rules.sensor_interval, TWO_MINUTES)
            case "pipeline":
                return now - due < TWO_MINUTES
        last, this = self._cron(rules.window_cron, self._project_zone).last_two(now)
        return due > min(last, this - rules.window)

    def _times(self, definition: Definition) -> CronTimes:
        return self._cron(definition.cron, definition.zone)

    def _cron(self, cron: str, zone: str) -> CronTimes:
        if (cron, zone) not in self._crons:
            self._crons[cron, zone] = CronTimes(cron, zone, self._began)
        return self._crons[cron, zone]
