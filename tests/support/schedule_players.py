"""Play histories of reports against the model of the rules and against the package, and compare what they decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from unittest.mock import patch

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.services.scheduling import create_runs, open_due_runs, pausing, scheduling_start
from report_orchestrator.services.scheduling.backfill import Occurrence, open_backfill
from report_orchestrator.services.timetable import due_times, queue_sync
from report_orchestrator.services.timetable.effective_settings import effective_settings
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.schedule_histories import Batch, Event
from tests.support.schedule_model import MISSED, OVERLAP, RUN, Definition, Rules, ScheduleModel
from tests.support.settings_factory import SettingsFactory

Look = tuple[datetime, Mapping[str, datetime | None]]
"""An instant, and each report's next time as seen then."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """By report, the decided times with their outcome; and all looks."""

    outcomes: Mapping[str, Mapping[datetime, str]]
    looks: Sequence[Look]

    def differ_in(self, other: Result) -> list[str]:
        """Return the reports for which the results differ."""
        return [key for key in self.outcomes if self.of(key) != other.of(key)]

    def of(self, key: str) -> tuple[object, ...]:
        return self.outcomes[key], [next_run_at.get(key) for _at, next_run_at in self.looks]


def play_model(batch: Batch) -> Result:
    model, looks = ScheduleModel(batch.rules, batch.events[0].at), list[Look]()
    for event in batch.events:
        if event.kind == "look":
            looks.append((event.at, {key: model.next_run_at(key) for key in model.reports}))
        else:
            getattr(model, event.kind)(event.at, *event.arguments)
    return Result(outcomes={key: report.outcomes for key, report in model.reports.items()}, looks=looks)


def play_engine(batch: Batch) -> Result:
    """Play in a transaction that is rolled back, so that batches do not see each other."""
    with (
        transaction.atomic(),
        # The globals are those of the code that runs, also where a mutant stands in for the module.
        patch.dict(open_due_runs.open_due_runs.__globals__, BATCH=batch.at_once),
        patch.dict(due_times.DueTimes.decide.__globals__, TIMES_AT_ONCE=batch.at_once // 20),
    ):
        try:
            return _Engine(batch).play()
        finally:
            transaction.set_rollback(True)


class _Engine:
    """The package with a host of fakes. Its methods are the events."""

    def __init__(self, batch: Batch) -> None:
        self.events = batch.events
        self.fakes = FakePorts()
        self.settings = settings_of(batch.rules)
        self.looks: list[Look] = []

    def play(self) -> Result:
        self.fakes.clock.now = self.events[0].at
        queue_sync.sync_schedules(runtime=self.runtime)
        for event in self.events:
            self.fakes.clock.now = event.at
            getattr(self, event.kind)(*event.arguments)
        return Result(outcomes=self.outcomes(), looks=self.looks)

    @property
    def runtime(self) -> Runtime:
        return Runtime.of(self.fakes.ports, self.settings, effective_settings)

    def outcomes(self) -> Mapping[str, Mapping[datetime, str]]:
        keys = ReportSchedule.objects.values_list("report_key", flat=True)
        outcomes: dict[str, dict[datetime, str]] = {key: {} for key in keys}
        runs = ReportRun.objects.exclude(trigger=Trigger.MANUAL)
        for key, at, code in runs.values_list("report_key", "scheduled_for", "error_code"):
            outcomes[key][at] = code or RUN
        return outcomes

    def look(self) -> None:
        rows = ReportSchedule.objects.values_list("report_key", "next_run_at")
        self.looks.append((self.fakes.clock.now, dict(rows)))

    def tick(self) -> None:
        scheduling_start.start_scheduling(runtime=self.runtime)
        open_due_runs.open_due_runs(runtime=self.runtime)

    def edit(self, definitions: Mapping[str, Definition]) -> None:
        for key, new in definitions.items():
            if key not in self.fakes.reports.found:
                self.fakes.reports.add(geo_report(key))
            self.fakes.reports.change(key, cron=new.cron, timezone=new.zone, enabled=new.enabled, overlap=new.overlap)
        refresh(list(definitions), runtime=self.runtime)

    def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.fakes.reports.remove(key)
        refresh(keys, runtime=self.runtime)

    def pause(self, keys: Sequence[str]) -> None:
        pausing.pause(self.present(keys), actor="ann", reason="", runtime=self.runtime)

    def resume(self, keys: Sequence[str]) -> None:
        pausing.resume(self.present(keys), actor="ann", runtime=self.runtime)

    def resume_from_now(self, keys: Sequence[str]) -> None:
        pausing.resume(self.present(keys), actor="ann", runtime=self.runtime, from_now=True)

    def present(self, keys: Iterable[str]) -> list[str]:
        return [key for key in keys if key in self.fakes.reports.found]

    def pause_all(self) -> None:
        pausing.pause_all(actor="ann", reason="", runtime=self.runtime)

    def resume_all(self) -> None:
        pausing.resume_all(actor="ann", runtime=self.runtime)

    def resume_all_from_now(self) -> None:
        pausing.resume_all(actor="ann", runtime=self.runtime, from_now=True)

    def schedule_from_now(self) -> None:
        scheduling_start.schedule_from_now(actor="ann", runtime=self.runtime)

    def switch(self, rules: Rules) -> None:
        self.settings = settings_of(rules)
        queue_sync.sync_schedules(runtime=Runtime.of(self.fakes.ports, self.settings))

    def run_by_hand(self, keys: Sequence[str]) -> None:
        for schedule in ReportSchedule.objects.filter(report_key__in=keys, state="active"):
            create_runs.open_manual_run(schedule, run_date=None, requested_by="ann", runtime=self.runtime)

    def backfill(self, keys: Sequence[str]) -> None:
        skipped = ReportRun.objects.filter(report_key__in=keys, error_code__in=[MISSED, OVERLAP])
        times = [
            Occurrence(schedule=run.schedule, scheduled_for=run.scheduled_for, skipped_run=run.pk)
            for run in skipped.select_related("schedule")
        ]
        open_backfill(times, actor="ann", runtime=self.runtime)

    def retry(self, keys: Sequence[str]) -> None:
        now = self.fakes.clock.now
        live = ReportRun.objects.filter(report_key__in=keys, status="queued", trigger=Trigger.SCHEDULED)
        run_ids = list(live.values_list("pk", flat=True))
        live.update(status="failed", started_at=now, wake_at=None, ended_at=now)
        for run_id in run_ids:
            retry_run(run_id, actor="ann", runtime=self.runtime)

    def end_runs(self, keys: Sequence[str]) -> None:
        live = ReportRun.objects.filter(report_key__in=keys, status="queued")
        live.update(status="succeeded", wake_at=None, ended_at=self.fakes.clock.now)


def settings_of(rules: Rules) -> Settings:
    return SettingsFactory.make(
        SCHEDULING_APPROACH=rules.approach,
        CRON_SENSOR_INTERVAL_SECONDS=rules.sensor_interval,
        SCHEDULE_CRON_EXPRESSION=rules.window_cron,
        SCHEDULE_INTERVAL_SECONDS=rules.window,
        MISSED_RUNS=rules.missed_runs,
        OVERLAP=rules.overlap,
        MAX_LOOKBACK_SECONDS=rules.lookback,
    )


# The comparison


def find_difference(batch: Batch) -> str:
    """Return a report that model and package decide differently, in as few events as show it; else an empty text."""
    different = differing(batch)
    return describe(shrink(batch, different[0]), len(different)) if different else ""


def differing(batch: Batch) -> list[str]:
    return play_model(batch).differ_in(play_engine(batch))


def is_different(batch: Batch) -> bool:
    return bool(differing(batch))


def shrink(batch: Batch, key: str) -> Batch:
    """Drop all other reports, then ever smaller pieces of the events, as long as the report differs without them.

    Returns the whole batch if the report alone does not differ.
    """
    alone = batch.only(key)
    if not is_different(alone):
        return batch
    events = list(alone.events)
    size = len(events) // 2
    while size:
        for start in range(len(events) - size, 0, -size):
            fewer = events[:start] + events[start + size :]
            if is_different(replace(batch, events=fewer)):
                events = fewer
        size //= 2
    return replace(batch, events=events)


def describe(batch: Batch, reports: int) -> str:
    model, engine = play_model(batch), play_engine(batch)
    key = model.differ_in(engine)[0]
    expected, actual = model.outcomes[key], engine.outcomes[key]
    lines = [
        f"seed {batch.seed}: {reports} reports differ. {batch.at_once=}, {batch.rules}",
        *(shown(event) for event in batch.events),
        *(
            f"{at:%a %Y-%m-%d %H:%M:%S}: the model says {expected.get(at)}, the package {actual.get(at)}"
            for at in sorted(expected.keys() | actual.keys())
            if expected.get(at) != actual.get(at)
        ),
        *(
            f"look at {at:%a %Y-%m-%d %H:%M:%S}: next is {wanted.get(key)} to the model, {found.get(key)} to the package"
            for (at, wanted), (_at, found) in zip(model.looks, engine.looks, strict=True)
            if wanted.get(key) != found.get(key)
        ),
    ]
    return "\n".join(lines)


def shown(event: Event) -> str:
    return f"  {event.at:%a %Y-%m-%d %H:%M:%S}  {event.kind}  {event.value or ''}"
