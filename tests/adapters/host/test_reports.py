"""Reports of the host: their summaries for discovery, and their whole content for a run."""

from __future__ import annotations

import json
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from report_orchestrator.domain.reports import BoxEvent, EventKind, GeoEvent, ReportSummary, RingEvent, UnknownEvent
from report_orchestrator.exceptions import ConfigurationError, ReportNotFoundError
from tests.host.api import models as host
from tests.host.api.seed import REPORTS
from tests.support.host_rows import a_ring, aware, make_report, reports_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

DAY = date(2026, 7, 5)
MEMBERS = {
    "no_event_group": None,
    "empty_event_group": frozenset[EventKind | None](),
    "mixed_event_types": frozenset({EventKind.RING, EventKind.BOX}),
    "unknown_event_type": frozenset({None}),
}


class TestSummaries:
    def test_each_seeded_report_is_seen_with_the_kinds_of_its_events(self) -> None:
        call_command("seed_reports", stdout=StringIO())
        seeded = {seed.name: seed for seed in REPORTS}
        found = list(reports_of().summaries())
        assert {summary.name for summary in found} == seeded.keys()
        for summary in found:
            seed = seeded[summary.name]
            assert summary.cron == (seed.cron or "")
            assert summary.enabled == seed.is_valid
            if seed.problem in MEMBERS:
                assert summary.event_kinds == MEMBERS[seed.problem]
            else:
                assert len(summary.event_kinds or ()) == 1
        assert [int(summary.key) for summary in found] == sorted(int(summary.key) for summary in found)

    def test_any_number_of_reports_takes_two_queries(self, django_assert_num_queries: Any) -> None:
        call_command("seed_reports", stdout=StringIO())
        with django_assert_num_queries(2, connection=connections["reports"]):
            assert len(list(reports_of().summaries())) == 40

    def test_a_report_is_read_field_by_field(self) -> None:
        report = make_report("Wind", a_ring(), cron="  */5   * * * * ", priority="High")
        assert next(reports_of().summaries()) == ReportSummary(
            key=str(report.pk),
            name="Wind",
            cron="*/5 * * * *",
            enabled=True,
            timezone="",
            priority=20,
            updated_at=aware(report.updated),
            event_kinds=frozenset({EventKind.RING}),
        )

    def test_the_settings_may_name_other_fields(self) -> None:
        make_report("Wind", cob="Asia/Tokyo", peril="0 6 * * *", is_tag_outwards_ptns=False)
        renamed = {"cron": "peril", "timezone": "cob", "enabled": "is_tag_outwards_ptns", "priority": "ncores"}
        [summary] = reports_of(REPORT_FIELDS=renamed).summaries()
        assert (summary.cron, summary.timezone, summary.enabled, summary.priority) == (
            "0 6 * * *",
            "Asia/Tokyo",
            False,
            24,
        )

    @pytest.mark.parametrize("blank", [" ", "\t", "\r\n", "\u00a0", "\u3000"])
    def test_blanks_count_in_no_text(self, blank: str) -> None:
        padded = {"name": "Wind  storm", "cron": "0  6 * * *", "cob": "Europe/Amsterdam", "loss_perspective": "queue"}
        texts = {name: f"{blank}{text}{blank}" for name, text in padded.items()}
        make_report(**texts, priority=f"{blank}High{blank}")
        renamed = {"timezone": "cob", "overlap": "loss_perspective"}
        [summary] = reports_of(REPORT_FIELDS=renamed).summaries()
        assert (summary.name, summary.cron, summary.timezone) == ("Wind storm", "0 6 * * *", "Europe/Amsterdam")
        assert (summary.overlap, summary.priority) == ("queue", 20)

    def test_more_reports_than_a_chunk_are_all_seen_in_order(self) -> None:
        group = host.EventGroup.objects.create(name="shared")
        group.events.add(a_ring())
        host.Report.objects.bulk_create(
            host.Report(name=f"Report {number}", peril="WS", event_group=group) for number in range(1001)
        )
        found = list(reports_of().summaries())
        assert [summary.name for summary in found] == [f"Report {number}" for number in range(1001)]
        assert {summary.event_kinds for summary in found} == {frozenset({EventKind.RING})}
        keys = [summary.key for summary in found]
        assert [summary.key for summary in reports_of().summaries(keys)] == keys

    @pytest.mark.parametrize("key", ["", "abc", "1.5", "None", "0", "-1", "1e3", str(2**31), str(10**30)])
    def test_a_key_that_names_no_report_is_no_error(self, key: str) -> None:
        report = make_report()
        found = [summary.key for summary in reports_of().summaries([key, str(report.pk)])]
        assert found == [str(report.pk)]

    def test_only_later_changes_are_reported(self) -> None:
        old, new = make_report("Old"), make_report("New")
        stamp = old.updated
        host.Report.objects.filter(pk=new.pk).update(updated=stamp + timedelta(seconds=1))
        source = reports_of()
        assert source.has_change_stamp
        assert [key for key, _stamp in source.changed_since(stamp)] == [str(new.pk)]

    def test_a_key_is_a_number_where_the_host_has_numbers(self) -> None:
        assert [reports_of().public_id(key) for key in ("42", "abc", "")] == [42, "abc", ""]
        assert reports_of().label == "api.Report"


class TestLoading:
    def test_rings_come_whole(self) -> None:
        ring = a_ring(description="Docklands", is_valid=False)
        report = reports_of().load(str(make_report("Terror", ring).pk))
        assert report.events == (
            RingEvent(
                id=ring.pk,
                name="Canary Wharf",
                description="Docklands",
                is_valid=False,
                latitude=51.5,
                longitude=-0.02,
                radius=0.4,
            ),
        )

    def test_boxes_come_whole(self) -> None:
        box = host.BoxEvent.objects.create(name="Tokyo Bay", min_lat=35.2, max_lat=35.8, min_lon=139.6, max_lon=140)
        report = reports_of().load(str(make_report("Quake", box).pk))
        assert report.events == (
            BoxEvent(
                id=box.pk,
                name="Tokyo Bay",
                description="",
                is_valid=True,
                max_lat=35.8,
                min_lat=35.2,
                max_lon=140.0,
                min_lon=139.6,
            ),
        )

    def test_areas_come_whole(self) -> None:
        area = host.GeoEvent.objects.create(name="Ahr", country="DE", area="Rheinland-Pfalz")
        report = reports_of().load(str(make_report("Flood", area).pk))
        assert report.events == (
            GeoEvent(
                id=area.pk,
                name="Ahr",
                description="",
                is_valid=True,
                country="DE",
                area="Rheinland-Pfalz",
                subarea=None,
                subarea2=None,
            ),
        )

    def test_events_come_in_the_order_of_their_keys_whatever_their_kind(self) -> None:
        ring = a_ring()
        bare = host.Event.objects.create(name="Outage")
        area = host.GeoEvent.objects.create(name="Ahr", country="DE")
        events = reports_of().load(str(make_report("Mixed", area, ring, bare).pk)).events
        assert [type(event) for event in events] == [RingEvent, UnknownEvent, GeoEvent]
        assert [event.id for event in events] == [ring.pk, bare.pk, area.pk]

    def test_an_event_of_another_group_is_left_out(self) -> None:
        mine, other = a_ring(name="Mine"), a_ring(name="Other")
        report = make_report("One", mine)
        make_report("Two", mine, other)
        assert [event.name for event in reports_of().load(str(report.pk)).events] == ["Mine"]

    def test_a_report_without_a_group_has_no_events(self) -> None:
        report = make_report(event_group=None)
        loaded = reports_of().load(str(report.pk))
        assert (loaded.event_group_id, loaded.events) == (None, ())

    def test_fields_come_under_the_hosts_names_as_json_without_key_and_cron(self) -> None:
        report = make_report("Wind", cron="0 6 * * *", dr=0.5)
        loaded = reports_of().load(str(report.pk))
        assert (loaded.key, loaded.id, loaded.name) == (str(report.pk), report.pk, "Wind")
        assert loaded.event_group_id == report.event_group_id
        assert loaded.fields.keys() == {field.name for field in host.Report._meta.concrete_fields} - {"id", "cron"}
        assert loaded.fields["dr"] == 0.5
        assert loaded.fields["event_group"] == report.event_group_id
        assert loaded.fields["is_apply_inflation"] is True
        assert loaded.fields["created"] == aware(report.created).isoformat()
        assert json.loads(json.dumps(loaded.fields)) == loaded.fields

    def test_the_settings_may_name_other_fields_of_events(self) -> None:
        ring = a_ring(zone="Docklands")
        source = reports_of(EVENT_FIELDS={"description": "zone", "radius": "latitude"})
        [event] = source.load(str(make_report("Terror", ring).pk)).events
        assert isinstance(event, RingEvent)
        assert (event.description, event.radius) == ("Docklands", 51.5)

    def test_a_field_of_events_that_is_not_there_is_never_sent_as_nothing(self) -> None:
        report = make_report("Terror", a_ring())
        source = reports_of(EVENT_FIELDS={"latitude": "lattitude"})
        with pytest.raises(ConfigurationError, match="lattitude"):
            source.load(str(report.pk))

    def test_the_settings_may_name_the_models_of_events(self) -> None:
        ring = a_ring()
        source = reports_of(EVENT_MODELS={"ring": "api.RingEvent", "geo": "api.GeoEvent"})
        report = make_report("Terror", ring)
        assert [summary.event_kinds for summary in source.summaries()] == [frozenset({EventKind.RING})]
        assert [event.id for event in source.load(str(report.pk)).events] == [ring.pk]

    @pytest.mark.parametrize("key", ["4711", "", "abc", "1.5", str(10**30)])
    def test_a_report_that_is_not_there_is_named(self, key: str) -> None:
        with pytest.raises(ReportNotFoundError, match=f"Report {key} does not exist in api.Report"):
            reports_of().load(key)
