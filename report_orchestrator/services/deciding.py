"""What becomes of the times that have come for one report: which run, and which are skipped and why. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import next_time, parse_cron, times_between
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.timing import named_zone

TIMES_AT_ONCE = 500
"""Times of one report that are decided in one go; after a long outage the rest follows in the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A time that does not run, and why. One that is beyond the look-back stands for all others up to `stands_until`."""

    nominal: datetime
    because: str
    stands_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided for one report at one tick, up to and with `until`."""

    schedule: ReportSchedule
    until: datetime
    run_for: Sequence[datetime]
    skip_for: Sequence[Skip]
    next_run_at: datetime | None
    in_line: bool

    def put_off(self) -> Decision:
        """The same where nothing may run: what would have run is missed."""
        missed = [Skip(nominal=nominal, because="missed") for nominal in self.run_for]
        return replace(self, run_for=[], skip_for=[*self.skip_for, *missed])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The times of one cron in one window. `forgotten` is the first that is further back than the look-back."""

    times: Sequence[datetime]
    until: datetime
    next_run_at: datetime
    forgotten: datetime | None


class Decider:
    """Decides reports at one instant. Reports with the same cron, zone and last decision share the search for their times."""

    def __init__(self, *, now: datetime, settings: Settings) -> None:
        self.now = now
        self.settings = settings
        self.earliest = now - settings.max_lookback
        self._window = lru_cache(maxsize=1024)(self._search)

    def decide(self, schedule: ReportSchedule, *, is_busy: bool) -> Decision:
        """What is due of one report; `is_busy` where its last run has not ended.

        Raises:
            InvalidReportError: the report's cron or zone cannot be read.
        """
        window = self._find(schedule)
        wanted = self._wanted(window)
        overlap = schedule.overlap or self.settings.overlap
        run_for = [] if is_busy and overlap == "skip" else wanted
        runs, wishes = set(run_for), set(wanted)
        skipped = [
            Skip(nominal=nominal, because="overlap" if nominal in wishes else "missed")
            for nominal in window.times
            if nominal not in runs
        ]
        return Decision(
            schedule=schedule,
            until=window.until,
            run_for=run_for,
            skip_for=[*self._forgotten(window), *skipped],
            next_run_at=window.next_run_at,
            in_line=overlap != "allow" and (is_busy or len(run_for) > 1),
        )

    def _find(self, schedule: ReportSchedule) -> _Window:
        named_zone(schedule.timezone, str(schedule))  # names the report where there is no such zone
        return self._window(schedule.cron, schedule.timezone, schedule.decided_until)

    def _search(self, expression: str, timezone_name: str, decided_until: datetime) -> _Window:
        cron, zone = parse_cron(expression), named_zone(timezone_name, "")
        after = max(decided_until, self.earliest)
        times = list(islice(times_between(cron, zone, after=after, until=self.now), TIMES_AT_ONCE))
        until = times[-1] if len(times) == TIMES_AT_ONCE else self.now
        beyond = times_between(cron, zone, after=decided_until, until=self.earliest)
        return _Window(
            times=times,
            until=until,
            next_run_at=next_time(cron, zone, after=until),
            forgotten=next(beyond, None) if decided_until < self.earliest else None,
        )

    def _wanted(self, window: _Window) -> Sequence[datetime]:
        """Times on time always run; missed ones by the policy. The latest is not among these where more follow."""
        if self.settings.missed_runs == "all":
            return window.times
        punctual = [nominal for nominal in window.times if nominal > self.now - on_time(self.settings)]
        if punctual or window.until < self.now or self.settings.missed_runs == "none":
            return punctual
        return window.times[-1:]

    def _forgotten(self, window: _Window) -> list[Skip]:
        if window.forgotten is None:
            return []
        return [Skip(nominal=window.forgotten, because="beyond_lookback", stands_until=self.earliest)]


def on_time(settings: Settings) -> timedelta:
    """How far back a tick of the approach is on time; anything older was missed, and goes by `MISSED_RUNS`."""
    match settings.scheduling_approach:
        case "sensor":
            return max(2 * settings.cron_sensor_interval, timedelta(minutes=2))
        case "schedule":
            return settings.schedule_interval
        case "pipeline":
            return timedelta(minutes=2)
