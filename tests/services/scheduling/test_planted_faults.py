"""The model of the rules finds each fault that is planted in their code: it proves more than its own opinion."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant
from tests.support.schedule_histories import make_batch
from tests.support.schedule_players import is_different

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

DUE_TIMES, OPEN_DUE_RUNS = "services.timetable.due_times", "services.scheduling.open_due_runs"
DEFINITION = "services.discovery.definition"
CLOCK_LEAPS = "services.scheduling.clock_leaps"
MUTANTS = [
    Mutant("what a leapt clock decided stays", CLOCK_LEAPS, "Q(status=Status.SKIPPED) | waiting", "Q(pk=0)"),
    Mutant(
        "a leap forgets the times since it began",
        CLOCK_LEAPS,
        "min(now, first - datetime.resolution) if first",
        "now if first",
    ),
    Mutant("any step back undoes the last gap", CLOCK_LEAPS, "<= now < leap.end), None)", "<= now), None)"),
    Mutant(
        "MISSED_RUNS none runs the latest",
        DUE_TIMES,
        'if on_time or self.settings.missed_runs == "none":',
        "if on_time:",
    ),
    Mutant(
        "latest runs one beside those on time",
        DUE_TIMES,
        'if on_time or self.settings.missed_runs == "none":',
        'if self.settings.missed_runs == "none":',
    ),
    Mutant("latest runs the earliest", DUE_TIMES, "return window.times[-1:]", "return window.times[:1]"),
    Mutant(
        "the bound of what is on time belongs to both sides",
        DUE_TIMES,
        "in _after(window.on_time_since, window.times)",
        "in [time for time in window.times if time >= window.on_time_since]",
    ),
    Mutant(
        "the look-back cuts what is on time",
        DUE_TIMES,
        "min(until - self.settings.max_lookback, on_time_since)",
        "until - self.settings.max_lookback",
    ),
    Mutant("the look-back is never recorded", DUE_TIMES, "if since < earliest else None", "if False else None"),
    Mutant("OVERLAP is ignored", DUE_TIMES, 'catch_up.was_busy and overlap == "skip"', "False"),
    Mutant("a report's own overlap is ignored", DUE_TIMES, "schedule.overlap or self", "self"),
    Mutant("its own runs make a catch-up busy", DUE_TIMES, "catch_up.was_busy and overlap", "is_busy and overlap"),
    Mutant("a pause is ignored", DUE_TIMES, "if not any(start <= moment < end for start, end in own)", ""),
    Mutant("a pause of all is ignored", DUE_TIMES, "*pauses.get(None, ()), ", ""),
    Mutant("a switch of approach is ignored", DUE_TIMES, "since < switch.at <= now", "now < switch.at"),
    Mutant("a window is measured from now", DUE_TIMES, "window = last_window(now, settings)", "window = now"),
    Mutant(
        "the next time is sought from later on",
        DUE_TIMES,
        "next_time(cron, zone, after=until)",
        "next_time(cron, zone, after=until + timedelta(seconds=30))",
    ),
    Mutant(
        "a fixed hour fires twice in autumn",
        "domain.cron",
        "_by_elapsed_time if cron.open_hour else _by_wall_clock",
        "_by_elapsed_time",
    ),
    Mutant(
        "a fixed hour fires late in spring", "domain.cron", "else change_between(second, first, zone)", "else first"
    ),
    Mutant("a manual run makes a report busy", OPEN_DUE_RUNS, ".on_schedule()", '.exclude(trigger="backfill")'),
    Mutant("a backfill makes a report busy", OPEN_DUE_RUNS, ".on_schedule()", '.exclude(trigger="manual")'),
    Mutant("a retried run makes a report busy", OPEN_DUE_RUNS, ".on_schedule()", '.filter(trigger="scheduled")'),
    Mutant(
        "an edit in a pause runs times of before",
        OPEN_DUE_RUNS,
        "StateName.ALL_PAUSED in states or schedule.paused_at is not None",
        "False",
    ),
    Mutant(
        "an edited cron fires for times before the edit", DEFINITION, "        row.decided_until = now", "        pass"
    ),
    Mutant(
        "times before an edit are forgotten",
        DEFINITION,
        "row.next_run_at is not None and row.next_run_at <= now",
        "False",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_fault_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.plant(monkeypatch)
    assert any(is_different(make_batch(seed, reports=60)) for seed in range(10, 20))
