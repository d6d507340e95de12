"""Changes of the host's rows take effect at once, whichever class makes them, and never fail or slow the host's save."""

from __future__ import annotations

import pytest
from django.db import connections, models, transaction
from django.test.utils import CaptureQueriesContext

from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.models import ReportSchedule, ScheduleState
from tests.host.api import models as host
from tests.support.host_changes import a_report, a_ring, check_edits_of, group_with, listening, row_of, tables
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "reports"])


class TestRelatives:
    def test_edits_through_a_proxy_take_effect_at_once(self) -> None:
        class ActiveReport(host.Report):
            class Meta:
                app_label = "api"
                proxy = True

        with tables(ActiveReport):
            check_edits_of(ActiveReport)

    def test_edits_through_a_child_model_take_effect_at_once(self) -> None:
        class SpecialReport(host.Report):
            extra = models.CharField(max_length=10, default="e")

            class Meta:
                app_label = "api"

        with tables(SpecialReport):
            check_edits_of(SpecialReport)

    def test_a_save_of_the_parent_of_the_report_model_is_noticed(self) -> None:
        class YearlyReport(host.Report):
            extra = models.CharField(max_length=10, default="e")

            class Meta:
                app_label = "api"

        with tables(YearlyReport), listening(REPORT_MODEL="api.YearlyReport") as refreshes:
            yearly = YearlyReport.objects.create(name="Wind", peril="WS", cron="0 6 * * *")
            plain = a_report()
            refreshes.keys.clear()
            parent = host.Report.objects.get(pk=yearly.pk)
            parent.cron = "0 7 * * *"
            parent.save()
            plain.save()
            assert refreshes.keys == [[str(yearly.pk)]]

    def test_groups_and_events_that_are_deleted_through_proxies_are_noticed(self) -> None:
        class AnyGroup(host.EventGroup):
            class Meta:
                app_label = "api"
                proxy = True

        class AnyEvent(host.Event):
            class Meta:
                app_label = "api"
                proxy = True

        with tables(AnyGroup, AnyEvent):
            by_event, by_group = a_report(), a_report()
            AnyEvent.objects.get(groups=by_event.event_group).delete()
            assert row_of(by_event.pk).problem_code == "empty_event_group"
            AnyGroup.objects.get(pk=by_group.event_group_id).delete()
            assert row_of(by_group.pk).problem_code == "no_event_group"

    def test_an_event_that_becomes_a_ring_makes_its_reports_valid(self) -> None:
        event = host.Event.objects.create(name="base")
        report = a_report(event_group=group_with(event))
        assert row_of(report.pk).problem_code == "unknown_event_type"
        ring = host.RingEvent(event_ptr=event, name="base", latitude=51.5, longitude=0, radius=1)
        ring.save()
        assert row_of(report.pk).state == ScheduleState.ACTIVE


class TestTheHostsSave:
    def test_a_save_under_manual_transactions_succeeds_and_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        report = a_report()
        connection = connections["reports"]
        connection.set_autocommit(False)
        try:
            report.cron = "0 7 * * *"
            report.save()
            connection.commit()
        finally:
            connection.rollback()
            connection.set_autocommit(True)
        assert host.Report.objects.get(pk=report.pk).cron == "0 7 * * *"
        assert "next discovery" in caplog.text
        report.save()
        assert row_of(report.pk).cron == "0 7 * * *"

    def test_every_change_under_manual_transactions_succeeds(self) -> None:
        ring, group = a_ring(), group_with(a_ring())
        report = a_report(event_group=group)
        connection = connections["reports"]
        connection.set_autocommit(False)
        try:
            group.events.add(ring)
            ring.groups.clear()
            group.save()
            group.delete()
            ring.delete()
            report.delete()
            connection.commit()
        finally:
            connection.rollback()
            connection.set_autocommit(True)
        assert not host.Report.objects.exists()
        assert not host.RingEvent.objects.filter(pk=ring.pk).exists()

    def test_500_saves_in_one_transaction_are_refreshed_once(self) -> None:
        group = group_with(a_ring())
        with CaptureQueriesContext(connections["default"]) as ours, transaction.atomic(using="reports"):
            for number in range(500):
                host.Report.objects.create(name=f"Wind {number}", peril="WS", cron="0 6 * * *", event_group=group)
        assert ReportSchedule.objects.filter(state=ScheduleState.ACTIVE).count() == 500
        assert len(ours) < 40

    def test_500_edits_in_one_transaction_are_written_in_few_statements(self) -> None:
        group = group_with(a_ring())
        with transaction.atomic(using="reports"):
            for number in range(500):
                host.Report.objects.create(name=f"Wind {number}", peril="WS", cron="0 6 * * *", event_group=group)
        with CaptureQueriesContext(connections["default"]) as ours, transaction.atomic(using="reports"):
            for report in host.Report.objects.all():
                report.cron = f"{report.pk % 60} 7 * * *"
                report.save()
        rows = ReportSchedule.objects.values_list("report_key", "cron", "state")
        assert set(rows) == {
            (str(pk), f"{pk % 60} 7 * * *", "active") for pk in host.Report.objects.values_list("pk", flat=True)
        }
        assert len(ours) < 40
        # A condition for each row and column costs a second of the saver's time.
        assert [query["sql"][:80] for query in ours if query["sql"].count("CASE WHEN") > 1] == []

    def test_a_deletion_that_is_rolled_back_leaves_nothing_behind(self) -> None:
        with listening(REPORT_MODEL="api.Report") as refreshes:
            first, second = a_report(), a_report()
            refreshes.keys.clear()
            with transaction.atomic(using="reports"):
                host.Report.objects.get(pk=first.pk).delete()
                transaction.set_rollback(True, using="reports")
            second.save()
        assert (refreshes.keys, refreshes.gone) == ([[str(second.pk)]], set())

    def test_one_transaction_requests_one_refresh(self) -> None:
        with listening(REPORT_MODEL="api.Report") as refreshes, transaction.atomic(using="reports"):
            first, second = a_report(), a_report()
            first.save()
            with transaction.atomic(using="reports"):
                second.save()
                transaction.set_rollback(True, using="reports")
        assert refreshes.keys == [sorted([str(first.pk), str(second.pk)])]


def test_a_reference_spelled_in_another_case_stops_no_other_report() -> None:
    vendor = connections["reports"].vendor
    if vendor == "postgresql":
        pytest.skip("PostgreSQL refuses the reference")

    class CodeGroup(models.Model):
        code = models.CharField(max_length=20, primary_key=True, db_collation="NOCASE" if vendor == "sqlite" else None)
        events = models.ManyToManyField(host.Event)

        class Meta:
            app_label = "api"

    class CodeReport(models.Model):
        name = models.CharField(max_length=10)
        cron = models.CharField(max_length=20)
        event_group = models.ForeignKey(CodeGroup, models.CASCADE, related_name="+")

        class Meta:
            app_label = "api"

    with tables(CodeGroup, CodeReport):
        CodeGroup._default_manager.create(code="wind").events.add(a_ring())
        for code in ("WIND", "wind"):
            CodeReport._default_manager.create(name=code, cron="0 6 * * *", event_group_id=code)
        summaries = HostReports(SettingsFactory.make(REPORT_MODEL="api.CodeReport")).summaries()
        assert [summary.event_kinds for summary in summaries][1] == frozenset({EventKind.RING})
