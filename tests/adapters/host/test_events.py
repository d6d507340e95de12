"""Events of foreign hosts: discovery and runs read the same rows, whatever relations lead to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections, router
from django.db.models.signals import class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext

from report_orchestrator.adapters.host.changes.collector import ChangeCollector
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.domain.payload import event_kind
from report_orchestrator.domain.reports import BoxEvent, EventKind, ReportSummary, RingEvent, UnknownEvent
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.services.discovery.definition import define
from tests.hosts import base, events, relations
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]

SIGNALS = (class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save)
RING = {"latitude": 51.5, "longitude": -0.1, "radius": 5}
BOX = {"max_lat": 2, "min_lat": 1, "max_lon": 2, "min_lon": 1}
DAILY = "0 6 * * *"


def source_of(report: str, **given: object) -> HostReports:
    return HostReports(SettingsFactory.make(REPORT_MODEL=f"hosts.{report}", **given))


def names_of(source: HostReports, key: object) -> list[str]:
    """Return the names of the events that a run would send."""
    return [event.name for event in source.load(str(key)).events]


def summary_of(source: HostReports) -> ReportSummary:
    [summary] = source.summaries()
    return summary


class TestRelations:
    def test_a_group_is_known_by_its_key_where_the_report_refers_to_another_column(self) -> None:
        group = base.make_group(code="NL")
        report = relations.CodedGroupReport.objects.create(name="Wind", cron=DAILY, event_group=group)
        source = source_of("CodedGroupReport")
        assert summary_of(source).event_kinds == frozenset({EventKind.RING})
        loaded = source.load(str(report.pk))
        assert (loaded.event_group_id, loaded.fields["event_group"]) == (group.pk, "NL")
        assert [type(event) for event in loaded.events] == [RingEvent]

    def test_a_group_that_knows_its_report_is_known_by_its_key(self) -> None:
        with_group, without = (relations.BackReport.objects.create(name=name, cron=DAILY) for name in ("One", "Two"))
        group = relations.BackGroup.objects.create(report=with_group)
        group.events.add(base.RingEvent.objects.create(name="Thames", **RING))
        source = source_of("BackReport", REPORT_FIELDS={"event_group": "scope"})
        assert [summary.event_kinds for summary in source.summaries()] == [frozenset({EventKind.RING}), None]
        assert source.load(str(with_group.pk)).event_group_id == group.pk
        assert names_of(source, with_group.pk) == ["Thames"]
        with pytest.raises(InvalidReportError) as refusal:
            event_kind(source.load(str(without.pk)))
        assert refusal.value.code == "no_event_group"

    def test_events_may_know_their_group(self) -> None:
        group = relations.BackFkGroup.objects.create()
        relations.BackFkRing.objects.create(name="Thames", group=group, **RING)
        relations.BackFkEvent.objects.create(name="Bare", group=group)
        relations.BackFkRing.objects.create(name="Other", **RING)
        report = relations.BackFkReport.objects.create(name="Wind", event_group=group)
        source = source_of("BackFkReport")
        assert summary_of(source).event_kinds == frozenset({EventKind.RING, None})
        assert names_of(source, report.pk) == ["Thames", "Bare"]

    def test_a_run_queries_the_kinds_of_its_events_only_if_a_row_of_a_kind_is_missing(self) -> None:
        group = relations.BackFkGroup.objects.create()
        relations.BackFkRing.objects.create(name="Thames", group=group, **RING)
        report = relations.BackFkReport.objects.create(name="Wind", event_group=group)
        source = source_of("BackFkReport")
        with CaptureQueriesContext(connections[router.db_for_read(relations.BackFkReport)]) as known:
            assert names_of(source, report.pk) == ["Thames"]
        relations.BackFkEvent.objects.create(name="Bare", group=group)
        with CaptureQueriesContext(connections[router.db_for_read(relations.BackFkReport)]) as unknown:
            assert names_of(source, report.pk) == ["Thames", "Bare"]
        assert [sum("CASE" in query["sql"] for query in found) for found in (known, unknown)] == [0, 1]

    def test_a_link_between_groups_and_events_may_refer_to_another_column(self) -> None:
        group, other = (relations.LinkedGroup.objects.create() for _ in range(2))
        for owner, name in ((group, "Thames"), (group, "Humber"), (other, "Tyne")):
            ring = relations.LinkedRing.objects.create(name=name, latitude="51.5", longitude="-0.1", radius=5)
            relations.Link.objects.create(group=owner, event=ring)
        report = relations.LinkedReport.objects.create(name="Wind", event_group=group)
        source = source_of("LinkedReport")
        assert summary_of(source).event_kinds == frozenset({EventKind.RING})
        [first, _second] = source.load(str(report.pk)).events
        assert isinstance(first, RingEvent)
        assert (first.name, first.latitude, first.radius) == ("Thames", 51.5, 5)
        assert isinstance(first.latitude, float)


class TestDeletedRows:
    """Rows that a default manager leaves out."""

    @pytest.fixture
    def report(self) -> events.SoftReport:
        group = events.SoftGroup.objects.create()
        group.events.add(
            events.SoftRing.objects.create(name="Live", **RING),
            events.SoftRing.objects.create(name="Retired ring", retired=True, **RING),
            events.SoftBox.objects.create(name="Deleted box", deleted=True, **BOX),
            events.SoftEvent.objects.create(name="Deleted", deleted=True),
        )
        report: events.SoftReport = events.SoftReport.objects.create(name="Wind", cron=DAILY, event_group=group)
        return report

    def test_a_deleted_event_is_neither_counted_nor_sent(self, report: events.SoftReport) -> None:
        source = source_of("SoftReport")
        assert summary_of(source).event_kinds == frozenset({EventKind.RING})
        assert names_of(source, report.pk) == ["Live"]

    def test_a_group_of_deleted_events_is_empty_for_both(self, report: events.SoftReport) -> None:
        events.SoftRing.objects.update(retired=True)
        source = source_of("SoftReport")
        assert summary_of(source).event_kinds == frozenset()
        assert names_of(source, report.pk) == []

    def test_a_child_of_a_deleted_parent_is_deleted(self, report: events.SoftReport) -> None:
        events.SoftEvent.everything.update(deleted=True)
        source = source_of("SoftReport")
        assert summary_of(source).event_kinds == frozenset()
        assert names_of(source, report.pk) == []

    def test_a_deleted_group_is_empty_for_both(self, report: events.SoftReport) -> None:
        events.SoftGroup.objects.update(deleted=True)
        source = source_of("SoftReport")
        assert summary_of(source).event_kinds == frozenset()
        assert names_of(source, report.pk) == []

    def test_a_row_that_is_shown_again_counts_again(self, report: events.SoftReport) -> None:
        events.SoftEvent.everything.update(deleted=False)
        source = source_of("SoftReport")
        assert summary_of(source).event_kinds == frozenset({EventKind.RING, EventKind.BOX, None})
        kinds = [type(event) for event in source.load(str(report.pk)).events]
        assert kinds == [RingEvent, BoxEvent, UnknownEvent]


class TestIncompleteEvents:
    def place(self, **given: float | None) -> tuple[HostReports, events.PlaceReport]:
        """Return a report of one place, in a host with one table for all events."""
        group = events.PlaceGroup.objects.create()
        group.events.add(events.Place.objects.create(name="Thames", kind="ring", **{**RING, **given}))
        report = events.PlaceReport.objects.create(name="Wind", cron=DAILY, event_group=group)
        return source_of("PlaceReport", EVENT_MODELS={"ring": "hosts.Place"}), report

    def test_a_whole_event_of_a_table_for_all_kinds_is_sent(self) -> None:
        source, report = self.place()
        assert define(summary_of(source)).problem == ""
        assert [type(event) for event in source.load(str(report.pk)).events] == [RingEvent]

    @pytest.mark.parametrize("missing", ["latitude", "longitude", "radius"])
    def test_a_ring_that_lacks_a_number_is_quarantined_and_never_sent(self, missing: str) -> None:
        source, report = self.place(**{missing: None})
        definition = define(summary_of(source))
        assert (definition.state, definition.problem_code) == ("quarantined", "incomplete_event")
        assert "lacks a number" in definition.problem
        with pytest.raises(InvalidReportError) as refusal:
            event_kind(source.load(str(report.pk)))
        assert refusal.value.code == "incomplete_event"
        assert f"(Thames) without {missing}." in refusal.value.message

    def test_a_child_model_that_lacks_a_number_is_quarantined_and_never_sent(self) -> None:
        group = events.DoubtGroup.objects.create()
        group.events.add(events.RingDoubt.objects.create(name="Thames", **{**RING, "radius": None}))
        report = events.DoubtReport.objects.create(name="Wind", cron=DAILY, event_group=group)
        source = source_of("DoubtReport", EVENT_MODELS={"ring": "hosts.RingDoubt", "geo": ""})
        assert define(summary_of(source)).problem_code == "incomplete_event"
        with pytest.raises(InvalidReportError, match=r"\(Thames\) without radius\."):
            event_kind(source.load(str(report.pk)))
        events.RingDoubt.objects.update(radius=0)
        assert define(summary_of(source)).problem == ""

    def test_a_zero_is_a_number(self) -> None:
        source, _report = self.place(latitude=0, longitude=0, radius=0)
        assert define(summary_of(source)).problem == ""


@pytest.mark.django_db(transaction=True)
class TestSignals:
    """Edits of events take effect at once where they may hide a row or leave a number empty."""

    @pytest.fixture
    def changed(self) -> Iterator[list[str]]:
        """Collect the keys of the reports that the signals of three hosts name."""
        found: list[str] = []
        before = [(signal, signal.receivers[:]) for signal in SIGNALS]
        collector = ChangeCollector(our_alias=lambda: "default", refresh=lambda keys, _gone: found.extend(keys))
        place = {"EVENT_MODELS": {"ring": "hosts.Place"}}
        for source in (source_of("SoftReport"), source_of("PlaceReport", **place), source_of("CodedGroupReport")):
            source.signals(collector).connect()
        yield found
        for signal, receivers in before:
            signal.receivers[:] = receivers
            signal.sender_receivers_cache.clear()

    def test_a_soft_deletion_of_an_event_or_a_group_is_noticed(self, changed: list[str]) -> None:
        group = events.SoftGroup.objects.create()
        ring = events.SoftRing.objects.create(name="Live", **RING)
        group.events.add(ring)
        report = events.SoftReport.objects.create(name="Wind", event_group=group)
        changed.clear()
        ring.deleted = True
        ring.save()
        assert set(changed) == {str(report.pk)}
        changed.clear()
        group.deleted = True
        group.save()
        assert changed == [str(report.pk)]

    def test_a_number_that_is_filled_in_is_noticed(self, changed: list[str]) -> None:
        group = events.PlaceGroup.objects.create()
        place = events.Place.objects.create(name="Thames", kind="ring")
        group.events.add(place)
        report = events.PlaceReport.objects.create(name="Wind", event_group=group)
        changed.clear()
        place.radius = 5
        place.save()
        assert changed == [str(report.pk)]

    def test_a_group_is_known_by_its_key_where_the_report_refers_to_another_column(self, changed: list[str]) -> None:
        group = base.make_group(code="NL")
        report = relations.CodedGroupReport.objects.create(name="Wind", event_group=group)
        changed.clear()
        group.events.clear()
        assert changed == [str(report.pk)]
