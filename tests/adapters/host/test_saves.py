"""A save of the host takes effect at once, and no failure of ours fails it."""

from __future__ import annotations

import re
from io import StringIO
from typing import NoReturn

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import signals, tasks, wiring
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.services.discovery import changed
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import make_runtime
from tests.host.api import models as host
from tests.support.host_rows import a_ring, make_report


def row_of(report_key: str) -> ReportSchedule:
    return ReportSchedule.objects.get(report_key=report_key)


def rows_of_sql(alias: str, sql: str) -> list[tuple[object, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def away(*_args: object, **_kwargs: object) -> NoReturn:
    raise OperationalError("our database is away")


@pytest.mark.django_db(transaction=True, databases=["default", "reports"])
class TestSignals:
    def test_a_saved_report_is_in_step_at_once(self) -> None:
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        row = row_of(str(report.pk))
        assert (row.name, row.cron, row.state) == ("Wind", "0 6 * * *", ScheduleState.ACTIVE)
        report.cron = "0 7 * * *"
        report.save(update_fields=["cron"])
        assert row_of(str(report.pk)).cron == "0 7 * * *"
        assert ReportChange.objects.latest("pk").source == ChangeSource.SIGNAL

    def test_a_deleted_report_is_retired_at_once(self) -> None:
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        key = str(report.pk)
        report.delete()
        row = row_of(key)
        assert (row.state, row.next_run_at) == (ScheduleState.REMOVED, None)

    def test_what_is_rolled_back_was_never_seen(self) -> None:
        with transaction.atomic(using="reports"):
            make_report("Wind", a_ring())
            transaction.set_rollback(True, using="reports")
        assert not ReportSchedule.objects.exists()

    def test_nothing_is_read_before_the_hosts_commit(self) -> None:
        with transaction.atomic(using="reports"):
            report = make_report("Wind", a_ring())
            assert not ReportSchedule.objects.exists()
            report.name = "Windstorm"
            report.save()
        assert row_of(str(report.pk)).name == "Windstorm"

    def test_a_save_to_another_database_than_the_routers_waits_for_that_ones_commit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = make_report("Wind", a_ring())
        refreshed: list[str] = []
        monkeypatch.setattr(changed, "refresh", lambda keys, **_given: refreshed.extend(keys))
        with transaction.atomic(using="default"):
            post_save.send(host.Report, instance=report, created=False, raw=False, using="default")
            assert refreshed == []
        assert refreshed == [str(report.pk)]

    def test_fixtures_are_left_to_the_next_discovery(self) -> None:
        report = make_report("Wind", a_ring())
        ReportSchedule.objects.all().delete()
        report.save_base(raw=True)
        assert not ReportSchedule.objects.exists()

    def test_a_mistake_in_our_settings_does_not_fail_the_hosts_save(self, settings: DjangoSettings) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "MAX_RETRIES": "many"})
        report = make_report("Wind", a_ring())
        assert host.Report.objects.filter(pk=report.pk).exists()
        assert not ReportSchedule.objects.exists()

    @pytest.mark.parametrize("in_transaction", [False, True], ids=["autocommit", "transaction"])
    def test_a_failure_of_ours_does_not_fail_the_hosts_save_or_deletion(
        self, monkeypatch: pytest.MonkeyPatch, *, in_transaction: bool
    ) -> None:
        report = make_report("Wind", a_ring())
        monkeypatch.setattr("report_orchestrator.services.discovery.changed.refresh", away)
        after: list[str] = []
        if in_transaction:
            with transaction.atomic(using="reports"):
                report.save()
                transaction.on_commit(lambda: after.append("the host's own"), using="reports")
            assert after == ["the host's own"]
        else:
            report.save()
        report.delete()
        assert not host.Report.objects.exists()

    def test_a_quiet_sensor_tick_reads_no_row_of_any_report(self) -> None:
        make_report("Wind", a_ring(), cron="0 6 1 1 *")
        tasks.cron_sensor()
        mark = SharedState.objects.get(
            name=StateName.CHANGE_STAMPS
        )  # as after a minute in which nobody edited anything
        mark.detail["is_settled"] = True
        mark.save()
        with (
            CaptureQueriesContext(connections["default"]) as ours,
            CaptureQueriesContext(connections["reports"]) as the_hosts,
        ):
            assert tasks.cron_sensor() == 0
        # PostgreSQL declares a cursor for it.
        [question] = [found[0] for query in the_hosts if (found := re.search("SELECT .*", query["sql"]))]
        assert "updated >" in re.sub('[`"]', "", question)
        assert rows_of_sql("reports", question) == []
        of_reports = [query["sql"] for query in ours if "report_orchestrator_reportschedule" in query["sql"]]
        assert [rows_of_sql("default", sql) for sql in of_reports] == [[]]
        writes = [query["sql"] for query in ours if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        assert all("'evaluations'" in sql for sql in writes), "only the record that the scheduler has checked"

    def test_a_change_has_the_pipelines_lines_brought_in_step_at_the_next_tick(self, settings: DjangoSettings) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "SCHEDULING_APPROACH": "pipeline"})
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        ports = wiring.get_ports()

        def crons_after_tick() -> list[str]:
            tick(runtime=make_runtime(ports, get_settings()), until=ports.clock())
            lines = Schedule.objects.filter(name__startswith=f"report {report.pk}: Wind")
            return list(lines.values_list("cron", flat=True))

        assert crons_after_tick() == ["0 6 * * *"]
        report.cron = "0 7 * * *"
        report.save()
        assert crons_after_tick() == ["0 7 * * *"]
        report.is_valid = False
        report.save()
        assert crons_after_tick() == []
        assert not Schedule.objects.filter(func="report_orchestrator.tasks.run_report").exists()

    def test_a_group_that_gains_its_first_event_wakes_its_reports_at_once(self) -> None:
        group = host.EventGroup.objects.create(name="Empty")
        report = make_report("Wind", event_group=group, cron="0 6 * * *")
        assert row_of(str(report.pk)).problem_code == "empty_event_group"
        event = a_ring()
        group.events.add(event)
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE
        group.events.remove(event)
        assert row_of(str(report.pk)).problem_code == "empty_event_group"
        group.events.set([event])
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE
        group.events.clear()
        assert row_of(str(report.pk)).state == ScheduleState.QUARANTINED

    def test_the_same_from_the_events_side(self) -> None:
        group = host.EventGroup.objects.create(name="Empty")
        report = make_report("Wind", event_group=group, cron="0 6 * * *")
        event = a_ring()
        event.groups.add(group)
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE
        event.groups.clear()
        assert row_of(str(report.pk)).problem_code == "empty_event_group"

    def test_a_deleted_event_or_group_is_noticed_at_once(self) -> None:
        event, other = a_ring(), a_ring()
        report = make_report("Wind", event, cron="0 6 * * *")
        event.delete()
        assert row_of(str(report.pk)).problem_code == "empty_event_group"
        group = report.event_group
        assert group is not None
        group.events.add(other)
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE
        group.delete()
        assert row_of(str(report.pk)).problem_code == "no_event_group"

    def test_what_is_rolled_back_in_a_group_was_never_seen(self) -> None:
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        assert report.event_group is not None
        with transaction.atomic(using="reports"):
            report.event_group.events.clear()
            transaction.set_rollback(True, using="reports")
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE

    def test_a_change_that_concerns_very_many_reports_is_left_to_discovery_and_reported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wiring, "MANY", 1)
        event = a_ring()
        report = make_report("Wind", event, cron="0 6 * * *")
        make_report("Flood", event_group=report.event_group)
        events: list[str] = []

        def listen(*, event: str, **_kwargs: object) -> None:
            events.append(event)

        signals.schedule_event.connect(listen)
        assert report.event_group is not None
        report.event_group.events.clear()
        signals.schedule_event.disconnect(listen)
        assert events == ["change_left_to_discovery"]
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE

    def test_a_report_that_comes_back_has_its_history(self) -> None:
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        key, pk = str(report.pk), row_of(str(report.pk)).pk
        report.delete()
        make_report("Wind", a_ring(), cron="0 6 * * *", id=int(key))
        assert (row_of(key).pk, row_of(key).state) == (pk, ScheduleState.ACTIVE)

    def test_discovery_agrees_with_what_the_signals_did(self) -> None:
        call_command("seed_reports", stdout=StringIO())
        assert discover(runtime=make_runtime(wiring.get_ports(), get_settings())).changes == []
