"""Our rows in Django-Q's schedule table are brought in step, and those of others are left alone."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ
from report_orchestrator.adapters.queue.timestamps import queue_time
from report_orchestrator.conf import get_settings
from report_orchestrator.ports import QueueSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.host.api.seed import REPORTS
from tests.support.settings_factory import SettingsFactory

LATER = START + timedelta(minutes=10)
KEPT_START, KEPT_LATER = queue_time(START), queue_time(LATER)
TICK = QueueSchedule(name="our tick", task=f"{TASKS}tick", minutes=1, next_run_at=START)
CRON = QueueSchedule(
    name="report 7: Flood", task=f"{TASKS}run_report", args=(7,), cron="30 2 * * *", next_run_at=LATER, pinned=True
)
queue = DjangoQ()


def line(name: str) -> Schedule:
    return Schedule.objects.get(name=name)


def columns(name: str) -> tuple[object, ...]:
    row = line(name)
    return row.func, row.args, row.schedule_type, row.minutes, row.cron, row.repeats, row.next_run


def everything() -> list[tuple[object, ...]]:
    return list(Schedule.objects.order_by("pk").values_list())


def line_of_host() -> Schedule:
    return Schedule.objects.exclude(func__startswith=TASKS).get()


@pytest.mark.django_db
class TestSchedules:
    def test_missing_lines_are_created(self) -> None:
        synced = queue.sync_schedules([TICK, CRON])
        assert (synced.created, synced.updated, synced.removed, synced.unchanged) == (
            ("our tick", "report 7: Flood"),
            {},
            (),
            0,
        )
        assert columns("our tick") == (f"{TASKS}tick", None, Schedule.MINUTES, 1, None, -1, KEPT_START)
        assert columns("report 7: Flood") == (
            f"{TASKS}run_report",
            "(7,)",
            Schedule.CRON,
            None,
            "30 2 * * *",
            -1,
            KEPT_LATER,
        )

    def test_the_queue_reads_the_arguments_that_were_meant(self) -> None:
        wanted = QueueSchedule(name="two", task=f"{TASKS}work", args=(7, "it's"), minutes=1)
        queue.sync_schedules([wanted, CRON])
        assert ast.literal_eval(line("two").args) == (7, "it's")
        assert ast.literal_eval(line("report 7: Flood").args) == (7,)

    def test_a_second_time_changes_nothing(self) -> None:
        queue.sync_schedules([TICK, CRON])
        before = everything()
        synced = queue.sync_schedules([TICK, CRON])
        assert not synced.changed
        assert synced.unchanged == 2
        assert everything() == before

    def test_what_differs_is_changed_and_reported(self) -> None:
        queue.sync_schedules([TICK, CRON])
        slower = QueueSchedule(name="our tick", task=f"{TASKS}tick", minutes=5, next_run_at=LATER)
        synced = queue.sync_schedules([slower, CRON])
        assert synced.updated == {"our tick": f"minutes: 1 -> 5; next_run: {KEPT_START} -> {KEPT_LATER}"}
        assert synced.unchanged == 1
        assert columns("our tick") == (f"{TASKS}tick", None, Schedule.MINUTES, 5, None, -1, KEPT_LATER)

    def test_a_line_that_turns_from_minutes_to_a_cron_keeps_nothing_of_them(self) -> None:
        queue.sync_schedules([TICK])
        queue.sync_schedules([QueueSchedule(name="our tick", task=f"{TASKS}tick", cron="0 * * * *")])
        row = line("our tick")
        assert (row.schedule_type, row.minutes, row.cron) == (Schedule.CRON, None, "0 * * * *")

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("func", f"{TASKS}run_discovery"),
            ("args", "(8,)"),
            ("kwargs", "run_id=8"),
            ("hook", "somewhere.else"),
            ("intended_date_kwarg", "when"),
            ("schedule_type", Schedule.DAILY),
            ("cron", "0 0 * * *"),
            ("repeats", 0),
        ],
    )
    def test_what_a_person_changed_in_our_line_is_put_back(self, column: str, value: object) -> None:
        queue.sync_schedules([TICK, CRON])
        before = everything()
        Schedule.objects.filter(name=CRON.name).update(**{column: value})
        synced = queue.sync_schedules([TICK, CRON])
        assert f"{column}: {value!r} -> " in synced.updated[CRON.name]
        assert everything() == before

    def test_a_given_group_is_that_of_the_rows_tasks(self) -> None:
        queue.sync_schedules([replace(CRON, group="report #7")])
        options = ast.literal_eval(line(CRON.name).kwargs)["q_options"]
        assert (options["group"], "save" in options) == ("report #7", False)
        assert queue.count_schedules() == 1
        Schedule.objects.update(kwargs="{'q_options': {'group': 'report #7'}}")
        assert queue.count_schedules() == 0

    def test_a_time_that_the_queue_moved_on_is_its_own(self) -> None:
        queue.sync_schedules([TICK])
        Schedule.objects.update(next_run=KEPT_LATER)
        assert not queue.sync_schedules([TICK]).changed
        assert line("our tick").next_run == KEPT_LATER

    def test_a_pinned_time_is_always_ours(self) -> None:
        queue.sync_schedules([CRON])
        Schedule.objects.update(next_run=KEPT_START)
        synced = queue.sync_schedules([CRON])
        assert synced.updated == {"report 7: Flood": f"next_run: {KEPT_START} -> {KEPT_LATER}"}
        assert line("report 7: Flood").next_run == KEPT_LATER

    def test_a_line_that_lost_its_time_is_given_it_again(self) -> None:
        queue.sync_schedules([TICK])
        Schedule.objects.update(next_run=None)
        assert queue.sync_schedules([TICK]).updated == {"our tick": f"next_run: None -> {KEPT_START}"}
        assert line("our tick").next_run == KEPT_START

    def test_our_lines_that_nobody_wants_are_removed(self) -> None:
        queue.sync_schedules([TICK, CRON])
        synced = queue.sync_schedules([TICK])
        assert (synced.removed, synced.unchanged) == (("report 7: Flood",), 1)
        assert list(Schedule.objects.values_list("name", flat=True)) == ["our tick"]

    def test_lines_of_others_are_left_alone(self) -> None:
        Schedule.objects.create(name="our tick", func="host.tasks.tick", schedule_type=Schedule.DAILY)
        Schedule.objects.create(name="nightly", func="report_orchestrator_of_theirs.tasks.tick")
        Schedule.objects.create(func="host.tasks.nameless")
        before = everything()
        queue.sync_schedules([TICK])
        synced = queue.sync_schedules([])
        assert synced.removed == ("our tick",)
        assert everything() == before

    def test_a_doubled_line_is_removed_and_reported(self) -> None:
        queue.sync_schedules([TICK])
        for _ in range(2):
            Schedule.objects.create(name="our tick", func=f"{TASKS}tick", schedule_type="I", minutes=1)
        synced = queue.sync_schedules([TICK])
        assert Schedule.objects.count() == 1
        assert synced.changed

    def test_a_doubled_line_that_nobody_wants_goes_altogether(self) -> None:
        for _ in range(2):
            Schedule.objects.create(name="our tick", func=f"{TASKS}tick")
        queue.sync_schedules([])
        assert not Schedule.objects.exists()

    def test_a_line_of_ours_without_a_name_is_removed(self) -> None:
        Schedule.objects.create(func=f"{TASKS}tick")
        queue.sync_schedules([TICK])
        assert list(Schedule.objects.values_list("name", flat=True)) == ["our tick"]

    def test_only_lines_with_the_given_arguments_are_looked_at(self) -> None:
        queue = DjangoQ()
        first = QueueSchedule(name="report 1: A", task=f"{TASKS}run_report", args=(1,), cron="0 1 * * *")
        second = replace(first, name="report 2: B", args=(2,))
        queue.sync_schedules([first, second])
        renamed = replace(second, name="report 2: C")
        synced = queue.sync_schedules([renamed], only=[(2,)])
        assert (synced.created, synced.removed) == (("report 2: C",), ("report 2: B",))
        assert set(Schedule.objects.values_list("name", flat=True)) == {"report 1: A", "report 2: C"}

    def test_many_lines_take_few_queries(self, django_assert_max_num_queries: Any) -> None:
        wanted = [
            QueueSchedule(name=f"line {number}", task=f"{TASKS}tick", minutes=1, next_run_at=START)
            for number in range(500)
        ]
        with django_assert_max_num_queries(12):
            assert len(queue.sync_schedules(wanted).created) == 500
        with django_assert_max_num_queries(8):
            assert queue.sync_schedules(wanted).unchanged == 500

    def test_a_host_without_time_zones_is_given_its_own_time(self, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        settings.USE_TZ = False
        queue.sync_schedules([TICK])
        assert line("our tick").next_run == datetime(2026, 7, 1, 14)  # noqa: DTZ001 - two hours ahead of UTC
        queue.move_schedule("our tick", LATER)
        assert line("our tick").next_run == datetime(2026, 7, 1, 14, 10)  # noqa: DTZ001
        pinned = QueueSchedule(name="our tick", task=f"{TASKS}tick", minutes=1, next_run_at=LATER, pinned=True)
        assert not queue.sync_schedules([pinned]).changed

    def test_a_line_is_moved_or_put_to_sleep(self) -> None:
        Schedule.objects.create(name="report 7: Flood", func="host.tasks.flood", next_run=KEPT_START)
        queue.sync_schedules([CRON])
        ours = Schedule.objects.filter(func__startswith=TASKS)
        queue.move_schedule("report 7: Flood", LATER + timedelta(days=1))
        assert ours.get().next_run == queue_time(LATER + timedelta(days=1))
        queue.move_schedule("report 7: Flood", None)
        assert ours.get().next_run is None
        assert line_of_host().next_run == KEPT_START

    @pytest.mark.parametrize("cron", sorted({seed.cron or "" for seed in REPORTS if seed.expected == "active"}))
    def test_the_queue_itself_finds_every_line_valid(self, fakes: FakePorts, cron: str) -> None:
        self.assert_valid_lines(fakes, cron)

    def test_a_cron_longer_than_the_queues_column_does_not_stop_the_others(self, fakes: FakePorts) -> None:
        self.assert_valid_lines(fakes, ",".join(str(minute) for minute in range(60)) + " * * * *")

    @staticmethod
    def assert_valid_lines(fakes: FakePorts, cron: str) -> None:
        fakes.reports.add(geo_report("1", name="Wind " * 60), cron=cron)
        discover(runtime=fakes.runtime(get_settings()))
        pipeline = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
        sync_schedules(runtime=fakes.runtime(pipeline))
        queue.sync_schedules(list(fakes.queue.lines.values()))
        assert Schedule.objects.count() == 3
        for row in Schedule.objects.all():
            row.full_clean()
