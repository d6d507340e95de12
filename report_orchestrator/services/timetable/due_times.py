"""Decide which due times of a report run, and which are skipped and why. Writes nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import last_time, next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.timetable.cron_zone import named_zone
from report_orchestrator.services.timetable.effective_settings import Switch

TIMES_AT_ONCE = 500
"""Times of one report in one decision. The next decision takes the rest, as one piece of the same catch-up."""
SHORTEST_DELAY = timedelta(minutes=2)
"""A time is never missed before this age, where it is due at once."""

Pause = tuple[datetime, datetime]
"""The instants from which and until which a report was paused."""
Pauses = Mapping[int | None, Sequence[Pause]]
"""Ended pauses by the report's primary key; under None those of all reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """The times of a report in (since, until]. It may be decided in pieces, all by the rules and the state at `until`.

    `was_busy` is true if an earlier run of the report had not ended when the catch-up began.
    """

    since: datetime
    until: datetime
    was_busy: bool

    @classmethod
    def unfinished(cls, schedule: ReportSchedule) -> CatchUp | None:
        """Return the catch-up of which the report's last decision was a piece; None if it was decided as a whole."""
        if not schedule.catch_up:
            return None
        since, until = (datetime.fromisoformat(schedule.catch_up[name]) for name in ("since", "until"))
        if not since <= schedule.decided_until < until:
            return None
        return cls(since=since, until=until, was_busy=schedule.catch_up["was_busy"])

    def as_json(self) -> dict[str, object]:
        return {"since": self.since.isoformat(), "until": self.until.isoformat(), "was_busy": self.was_busy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A time that does not run. One beyond the look-back covers all others up to `covers_until`."""

    scheduled_for: datetime
    reason: str
    covers_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decided times of a catch-up, up to `until`. `rest` is the catch-up if later times of it are undecided.

    `is_piece` is true if the decision covers only a part of the catch-up: then the report's row stores `rest`, or clears it
    with the last part.
    """

    schedule: ReportSchedule
    until: datetime
    run_for: Sequence[datetime]
    skip_for: Sequence[Skip]
    next_run_at: datetime | None
    in_line: bool
    rest: CatchUp | None
    is_piece: bool

    def as_missed(self) -> Decision:
        """Return the decision for a paused report: the times that would have run, or overlapped, are missed."""
        missed = [Skip(scheduled_for=moment, reason=ErrorCode.MISSED) for moment in self.run_for]
        skipped = [
            replace(skip, reason=ErrorCode.MISSED) if skip.reason == ErrorCode.OVERLAP else skip
            for skip in self.skip_for
        ]
        return replace(self, run_for=[], skip_for=[*skipped, *missed])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The times of one cron in a catch-up.

    Those after `on_time_since` are on time. Those up to `earliest` are too old and not listed: `beyond_lookback` is the first
    of them.
    """

    times: Sequence[datetime]
    on_time_since: datetime
    earliest: datetime
    beyond_lookback: datetime | None
    next_run_at: datetime


class DueTimes:
    """Decides at one instant. Reports with the same cron, zone and last decision share one search."""

    def __init__(
        self,
        *,
        now: datetime,
        settings: Settings,
        switch: Switch | None = None,
        pauses_since: Callable[[datetime], Pauses] = lambda _instant: {},
    ) -> None:
        """`switch` is the last change of approach. `pauses_since` returns the pauses that ended after an instant."""
        self.now = now
        self.settings = settings
        self._pauses_since = lru_cache(maxsize=8)(pauses_since)
        self._on_time_since = lru_cache(maxsize=8)(lambda now: on_time_since(now, settings, switch))
        self._window = lru_cache(maxsize=256)(self._search)

    def decide(self, schedule: ReportSchedule, *, is_busy: bool) -> Decision:
        """Decide the next due times of a report; `is_busy` means that its last run has not ended.

        Raises:
            InvalidReportError: the report's cron or zone is invalid.
        """
        zone = named_zone(schedule.timezone, str(schedule))  # names the report in its error
        catch_up = CatchUp.unfinished(schedule) or CatchUp(
            since=schedule.decided_until, until=self.now, was_busy=is_busy
        )
        window = self._window(schedule.cron, schedule.timezone, catch_up.since, catch_up.until)
        selected = self._selected(window, schedule)
        overlap = schedule.overlap or self.settings.overlap
        skips_all = catch_up.was_busy and overlap == "skip"
        piece = _after(schedule.decided_until, window.times)[:TIMES_AT_ONCE]
        is_last = not piece or piece[-1] == window.times[-1]
        until = catch_up.until if is_last else piece[-1]
        wanted = set(_after(schedule.decided_until, selected)[: len(piece)])
        skips = _skips_beyond_lookback(window) if schedule.decided_until == catch_up.since else []
        for moment in piece:
            if skips_all or moment not in wanted:
                reason = ErrorCode.OVERLAP if moment in wanted else ErrorCode.MISSED
                skips.append(Skip(scheduled_for=moment, reason=reason))
        return Decision(
            schedule=schedule,
            until=until,
            run_for=[] if skips_all else [moment for moment in piece if moment in wanted],
            skip_for=skips,
            next_run_at=window.next_run_at if is_last else next_time(parse_cron(schedule.cron), zone, after=until),
            in_line=overlap != "allow" and (catch_up.was_busy or len(selected) > 1),
            rest=None if is_last else catch_up,
            is_piece=not is_last or schedule.catch_up is not None,
        )

    def _search(self, expression: str, timezone_name: str, since: datetime, until: datetime) -> _Window:
        cron, zone = parse_cron(expression), named_zone(timezone_name, "")
        on_time_since = self._on_time_since(until)
        earliest = min(until - self.settings.max_lookback, on_time_since)
        beyond = times_between(cron, zone, after=since, until=earliest)
        return _Window(
            times=tuple(times_between(cron, zone, after=max(since, earliest), until=until)),
            on_time_since=on_time_since,
            earliest=earliest,
            beyond_lookback=next(beyond, None) if since < earliest else None,
            next_run_at=next_time(cron, zone, after=until),
        )

    def _selected(self, window: _Window, schedule: ReportSchedule) -> Sequence[datetime]:
        """Return the times that run: those on time, and of the missed ones those that `MISSED_RUNS` selects."""
        if self.settings.missed_runs == "all":
            return window.times
        pauses = self._pauses_since(window.on_time_since)
        own = [*pauses.get(None, ()), *pauses.get(schedule.pk, ())]
        on_time = [
            moment
            for moment in _after(window.on_time_since, window.times)
            if not any(start <= moment < end for start, end in own)
        ]
        if on_time or self.settings.missed_runs == "none":
            return on_time
        return window.times[-1:]


def _skips_beyond_lookback(window: _Window) -> list[Skip]:
    """Return the skip that covers all times beyond the look-back; none where there are none."""
    if window.beyond_lookback is None:
        return []
    return [Skip(scheduled_for=window.beyond_lookback, reason=ErrorCode.BEYOND_LOOKBACK, covers_until=window.earliest)]


def _after(instant: datetime, times: Sequence[datetime]) -> Sequence[datetime]:
    return times[bisect_right(times, instant) :]


def on_time_since(now: datetime, settings: Settings, switch: Switch | None, zone: tzinfo | None = None) -> datetime:
    """Return the instant after which a time is on time if it is decided now; earlier ones were missed.

    Times before a switch of approach are judged by the approach that was in effect then, unless the first tick after the
    switch was itself missed. `zone` is the project's time zone; the current one by default.
    """
    since = _on_time_since(now, settings, zone)
    if switch is not None and since < switch.at <= now:
        return switch.on_time_since
    return since


def _on_time_since(now: datetime, settings: Settings, zone: tzinfo | None) -> datetime:
    if settings.scheduling_approach != "schedule":
        return now - longest_delay(settings)
    window = last_window(now, settings, zone)
    return min(last_window(window - datetime.resolution, settings, zone), window - settings.schedule_interval)


def longest_delay(settings: Settings) -> timedelta:
    """Return the age up to which a time is on time in the approaches that decide it at once: all but schedule."""
    if settings.scheduling_approach == "sensor":
        return max(2 * settings.cron_sensor_interval, SHORTEST_DELAY)
    return SHORTEST_DELAY


def last_window(now: datetime, settings: Settings, zone: tzinfo | None = None) -> datetime:
    """Return the last time of the window's cron, `now` included."""
    cron = parse_cron(settings.schedule_cron_expression)
    return last_time(cron, zone or timezone.get_default_timezone(), until=now)


def next_window(after: datetime, settings: Settings) -> datetime:
    """Return the next time of the window's cron after an instant."""
    return next_time(parse_cron(settings.schedule_cron_expression), timezone.get_default_timezone(), after=after)
