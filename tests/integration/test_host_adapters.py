"""The host's reports, modifiers and jobs as the ports give them, and a host whose saves nothing of ours can fail."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import signals, tasks, wiring
from report_orchestrator.adapters.host_clock import later_than
from report_orchestrator.adapters.host_fields import field_named, json_value, resolve_model
from report_orchestrator.adapters.host_jobs import HostJobs, NoJobs
from report_orchestrator.adapters.host_models import HostModifiers, HostReports
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.domain.payload import build_payload
from report_orchestrator.domain.reports import (
    BoxEvent,
    EventKind,
    GeoEvent,
    Modifier,
    ReportSummary,
    RingEvent,
    UnknownEvent,
)
from report_orchestrator.exceptions import (
    ConfigurationError,
    InvalidReportError,
    LedgerError,
    ReportNotFoundError,
)
from report_orchestrator.models import Mark, ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.maintenance import tick
from report_orchestrator.services.refreshing import STAMP_MARK
from tests.conftest import SettingsFactory
from tests.host.api import models as host
from tests.host.api.seed import REPORTS

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

WHOLE_HOST = {"MODIFIER_MODEL": "api.ReportModifier", "JOB_MODEL": "api.Job"}
DAY = date(2026, 7, 5)
FRIDAY = date(2026, 7, 3)
MEMBERS = {
    "no_event_group": None,
    "empty_event_group": frozenset[EventKind | None](),
    "mixed_event_types": frozenset({EventKind.RING, EventKind.BOX}),
    "unknown_event_type": frozenset({None}),
}


def aware(value: datetime) -> datetime:
    """A value of the host's, which is naive where the host uses no time zones."""
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def reports_of(**given: object) -> HostReports:
    return HostReports(SettingsFactory.make(**WHOLE_HOST | given))


def jobs_of(**given: object) -> HostJobs:
    return HostJobs(SettingsFactory.make(**WHOLE_HOST | given))


def make_report(name: str = "Windstorm", *events: host.Event, **given: Any) -> host.Report:
    """A report with an event group of its own."""
    group = host.EventGroup.objects.create(name=f"group of {name}")
    group.events.set(events)
    return host.Report.objects.create(**{"name": name, "peril": "WS", "event_group": group, **given})


def a_ring(**given: Any) -> host.RingEvent:
    place = {"name": "Canary Wharf", "latitude": 51.5, "longitude": -0.02, "radius": 0.4}
    return host.RingEvent.objects.create(**place | given)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What these got, each in a thread and on connections of its own, let go at the same moment."""
    barrier = threading.Barrier(len(acts))
    got: list[object] = []

    def run(act: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            got.append(act())
        except BaseException as error:  # noqa: BLE001 - shown by the test's own comparison
            got.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return got


class TestSummaries:
    def test_each_seeded_report_is_seen_with_the_kinds_of_its_events(self) -> None:
        call_command("seed_reports", stdout=_Nowhere())
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
        call_command("seed_reports", stdout=_Nowhere())
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
        renamed = {
            "cron": "peril",
            "timezone": "cob",
            "enabled": "is_tag_outwards_ptns",
            "priority": "ncores",
        }
        [summary] = reports_of(REPORT_FIELDS=renamed).summaries()
        assert (summary.cron, summary.timezone, summary.enabled, summary.priority) == (
            "0 6 * * *",
            "Asia/Tokyo",
            False,
            24,
        )

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

    def test_only_later_changes_are_told(self) -> None:
        old, new = make_report("Old"), make_report("New")
        stamp = old.updated
        host.Report.objects.filter(pk=new.pk).update(updated=stamp + timedelta(seconds=1))
        source = reports_of()
        assert source.has_change_stamp
        assert [key for key, _stamp in source.changed_since(stamp)] == [str(new.pk)]

    def test_a_key_is_a_number_where_the_host_has_numbers(self) -> None:
        assert [reports_of().public_id(key) for key in ("42", "abc", "")] == [42, "abc", ""]
        assert reports_of().label == "api.Report"


class _Nowhere:
    """An output that keeps nothing."""

    def write(self, text: str) -> None: ...


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
        box = host.BoxEvent.objects.create(
            name="Tokyo Bay", min_lat=35.2, max_lat=35.8, min_lon=139.6, max_lon=140
        )
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
        assert loaded.fields.keys() == {field.name for field in host.Report._meta.concrete_fields} - {
            "id",
            "cron",
        }
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
        with pytest.raises(ReportNotFoundError, match=f"There is no report {key} in api.Report"):
            reports_of().load(key)

    def test_a_number_that_json_does_not_know_is_refused_before_fireant_sees_it(self) -> None:
        report = make_report("Wind", a_ring(), dr=float("inf"))
        with pytest.raises(InvalidReportError, match="dr"):
            build_payload(reports_of().load(str(report.pk)), Modifier(id=None, as_at_date=DAY, fx_date=DAY))


class TestJson:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (3, 3),
            (0.5, 0.5),
            ("Überflutung 🌊", "Überflutung 🌊"),
            (Decimal("0.25"), 0.25),
            (date(2026, 7, 1), "2026-07-01"),
            (time(2, 30), "02:30:00"),
            (datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01T12:00:00+00:00"),
            (timedelta(minutes=1.5), 90.0),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            ((1, Decimal(2)), [1, 2.0]),
            ({"a": [date(2026, 7, 1)], 2: {}}, {"a": ["2026-07-01"], "2": {}}),
        ],
    )
    def test_a_value_becomes_what_json_carries(self, value: object, expected: object) -> None:
        found = json_value(value, "field")
        assert found == expected
        assert type(found) is type(expected)
        assert json.loads(json.dumps(found)) == expected

    def test_a_time_without_a_zone_is_one_of_the_hosts(self, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        noon = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - as a host without time zones has it
        assert json_value(noon, "field") == "2026-07-01T12:00:00+02:00"

    @pytest.mark.parametrize(
        "value",
        [
            b"bytes",
            bytearray(b"bytes"),
            memoryview(b"bytes"),
            [b"bytes"],
            {"nested": b"bytes"},
            float("nan"),
            float("inf"),
            Decimal("NaN"),
            [float("-inf")],
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_value_without_a_form_in_json_is_refused_by_its_field(self, value: object) -> None:
        with pytest.raises(InvalidReportError, match="'shape'") as refusal:
            json_value(value, "shape")
        assert refusal.value.code == "invalid_payload"


class TestModifiers:
    def modifier(self, report: host.Report, **given: object) -> Modifier:
        return reports_of(**given).modifier_for(str(report.pk), DAY)

    def test_the_reports_own_is_preferred_with_the_rates_that_a_person_chose(self) -> None:
        report = make_report()
        host.ReportModifier.objects.create(as_at_date=DAY, fx_date=DAY)
        own = host.ReportModifier.objects.create(as_at_date=DAY, fx_date=FRIDAY)
        own.reports.add(report)
        assert self.modifier(report) == Modifier(id=own.pk, as_at_date=DAY, fx_date=FRIDAY)
        assert host.ReportModifier.objects.count() == 2

    def test_the_dates_shared_one_is_used_and_linked(self) -> None:
        report, other = make_report("One"), make_report("Two")
        shared = host.ReportModifier.objects.create(as_at_date=DAY, fx_date=FRIDAY)
        shared.reports.add(other)
        host.ReportModifier.objects.create(as_at_date=FRIDAY, fx_date=FRIDAY).reports.add(report)
        assert self.modifier(report) == Modifier(id=shared.pk, as_at_date=DAY, fx_date=FRIDAY)
        assert set(shared.reports.all()) == {report, other}

    def test_of_several_shared_ones_the_oldest_is_used(self) -> None:
        oldest, _newer = (host.ReportModifier.objects.create(as_at_date=DAY, fx_date=DAY) for _ in range(2))
        assert self.modifier(make_report()).id == oldest.pk

    def test_a_new_one_is_made_once_for_all_reports(self) -> None:
        reports = [make_report(f"Report {number}") for number in range(3)]
        ids = {self.modifier(report).id for report in reports * 2}
        made = host.ReportModifier.objects.get()
        assert ids == {made.pk}
        assert (made.as_at_date, made.fx_date) == (DAY, DAY)
        assert set(made.reports.all()) == set(reports)

    def test_one_without_rates_takes_those_of_its_date(self) -> None:
        report = make_report()
        host.ReportModifier.objects.create(as_at_date=DAY).reports.add(report)
        assert self.modifier(report).fx_date == DAY

    def test_a_host_without_modifiers_has_the_dates_alone(self) -> None:
        found = self.modifier(make_report(), MODIFIER_MODEL="")
        assert found == Modifier(id=None, as_at_date=DAY, fx_date=DAY)
        assert not host.ReportModifier.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_nothing_is_made_for_a_report_that_is_gone(self) -> None:
        with pytest.raises((ReportNotFoundError, IntegrityError)):
            reports_of().modifier_for("4711", DAY)
        assert not host.ReportModifier.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_racing_workers_make_one_between_them(self) -> None:
        keys = [str(make_report(f"Report {number}").pk) for number in range(4)]

        def act(key: str) -> Callable[[], object]:
            return lambda: reports_of().modifier_for(key, DAY)

        found = at_once(*(act(key) for key in keys * 2))
        made = host.ReportModifier.objects.get()
        assert found == [Modifier(id=made.pk, as_at_date=DAY, fx_date=DAY)] * 8
        assert made.reports.count() == 4


class TestJobs:
    def record(self, report: host.Report, jobs: HostJobs | None = None, **given: str) -> str:
        told = {"modifier_key": "", "fireant_job_id": "101", **given}
        return (jobs or jobs_of()).record(report_key=str(report.pk), **told)

    def test_a_job_is_written_with_its_report_and_its_modifier(self) -> None:
        report = make_report()
        modifier = host.ReportModifier.objects.create(as_at_date=DAY)
        key = self.record(report, modifier_key=str(modifier.pk))
        job = host.Job.objects.get()
        assert (key, job.report, job.report_modifier, job.fireant_jobid) == (
            str(job.pk),
            report,
            modifier,
            101,
        )

    def test_a_job_is_written_once_however_often(self) -> None:
        report = make_report()
        keys = {self.record(report) for _ in range(3)}
        assert keys == {str(host.Job.objects.get().pk)}

    def test_jobs_of_other_reports_and_other_ids_are_apart(self) -> None:
        one, two = make_report("One"), make_report("Two")
        keys = {self.record(one), self.record(two), self.record(one, fireant_job_id="102")}
        assert len(keys) == host.Job.objects.count() == 3

    def test_a_job_without_a_modifier_is_written_without_one(self) -> None:
        self.record(make_report())
        assert host.Job.objects.get().report_modifier is None

    @pytest.mark.parametrize("job_id", ["job-000101", "", "1.5", str(10**30)])
    def test_an_id_that_the_hosts_field_cannot_hold_is_an_error_that_names_the_field(
        self, job_id: str
    ) -> None:
        with pytest.raises(LedgerError) as refusal:
            self.record(make_report(), fireant_job_id=job_id)
        assert f"api.Job.fireant_jobid cannot hold Fireant's job id '{job_id}'" in refusal.value.message
        assert "JOB_FIELDS" in refusal.value.message
        assert not host.Job.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    @pytest.mark.parametrize("gone", ["modifier", "report"])
    def test_a_job_whose_report_or_modifier_was_deleted_meanwhile_cannot_be_taken(self, gone: str) -> None:
        report = make_report()
        modifier = host.ReportModifier.objects.create(as_at_date=DAY)
        key, modifier_key = str(report.pk), str(modifier.pk)
        (modifier if gone == "modifier" else report).delete()
        with pytest.raises(LedgerError):
            jobs_of().record(report_key=key, modifier_key=modifier_key, fireant_job_id="101")

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_a_host_with_one_database_for_all_is_told_the_same(self) -> None:
        """A table beside ours plays the job table: there the violation shows when our own transaction commits."""
        fields = {"report": "user", "fireant_jobid": "action_flag"}
        jobs = jobs_of(JOB_MODEL="admin.LogEntry", JOB_FIELDS=fields)
        with pytest.raises(LedgerError):
            jobs.record(report_key="4711", modifier_key="", fireant_job_id="1")
        assert not LogEntry.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_racing_workers_write_one_row_between_them(self) -> None:
        report = make_report()
        found = at_once(*[lambda: self.record(report)] * 6)
        assert found == [str(host.Job.objects.get().pk)] * 6

    def test_an_end_changes_nothing_where_the_host_keeps_no_ends(self) -> None:
        report = make_report()
        self.record(report)
        before = host.Job.objects.values().get()
        jobs_of().note_end(
            report_key=str(report.pk), fireant_job_id="101", status="Finished", results_url="https://x"
        )
        assert host.Job.objects.values().get() == before

    def test_an_end_is_written_to_the_fields_that_the_host_has(self) -> None:
        """The host's own job model has no such fields, so another table of it plays one that has."""
        group = host.EventGroup.objects.create(name="plays the report")
        fields = {
            "report": "event_group",
            "fireant_jobid": "gross_node_id",
            "status": "priority",
            "results_url": "cob",
        }
        jobs = jobs_of(JOB_MODEL="api.Report", JOB_FIELDS=fields)
        key = jobs.record(report_key=str(group.pk), modifier_key="9", fireant_job_id="101")
        long_ago = later_than(datetime(2020, 1, 1, tzinfo=UTC))
        host.Report.objects.update(updated=long_ago, name="kept")
        url = f"https://fireant.example/{'x' * 200}"
        for _ in range(2):
            jobs.note_end(report_key=str(group.pk), fireant_job_id="101", status="Finished", results_url=url)
        job = host.Report.objects.get(pk=key)
        assert (job.priority, job.cob, job.name) == ("Finished", url[:100], "kept")
        assert job.updated > long_ago

    def test_a_host_without_jobs_keeps_none(self) -> None:
        jobs = NoJobs()
        assert jobs.record(report_key="1", modifier_key="", fireant_job_id="101") == ""
        jobs.note_end(report_key="1", fireant_job_id="101", status="Finished", results_url="")
        assert not host.Job.objects.exists()


class TestNames:
    @pytest.mark.parametrize(
        ("label", "says"),
        [
            ("", "REPORT_MODEL is not set. Name the model as 'app_label.ModelName'."),
            ("api.Reprot", "names 'api.Reprot', which is no installed model. Did you mean 'api.Report'?"),
            ("nowhere.Nothing", "names 'nowhere.Nothing', which is no installed model."),
            ("Report", "names 'Report', which is no installed model."),
            ("a.b.c", "names 'a.b.c', which is no installed model."),
        ],
    )
    def test_a_model_that_is_not_there_is_told_by_its_setting(self, label: str, says: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            resolve_model(label, "REPORT_MODEL")
        assert refusal.value.message.startswith("REPORT_MODEL ")
        assert says in refusal.value.message

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"cron": "crn"}, "api.Report has no field 'crn' for 'cron'. Did you mean 'cron'?"),
            ({"updated": "updatd"}, "Did you mean 'updated'? Name it in REPORT_FIELDS, as {'updated': '…'}."),
            ({"event_group": "event_group__nothing"}, "has no field 'event_group__nothing'"),
            ({"event_group": "peril"}, "api.Report.peril leads to no other model."),
            ({"name": "peril__label"}, "has no field 'peril__label' for 'name'."),
        ],
    )
    def test_a_field_that_is_not_there_is_told_with_the_one_that_was_meant(
        self, fields: dict[str, str], says: str
    ) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            reports_of(REPORT_FIELDS=fields).verify()
        assert says in refusal.value.message

    def test_a_field_that_the_host_need_not_have_may_be_missing(self) -> None:
        paths = HostModifiers.of(SettingsFactory.make(**WHOLE_HOST)).paths
        assert paths == {"as_at_date": "as_at_date", "fx_date": "fx_date", "reports": "reports"}
        jobs_of().verify()

    def test_a_path_leads_over_relations(self) -> None:
        assert field_named(host.Job, "report__event_group__name") is host.EventGroup._meta.get_field("name")


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
        monkeypatch.setattr(wiring, "_refresh", refreshed.extend)
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
        monkeypatch.setattr("report_orchestrator.services.refreshing.refresh", away)
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
        mark = Mark.objects.get(name=STAMP_MARK)  # as after a minute in which nobody edited anything
        mark.detail["is_settled"] = True
        mark.save()
        with (
            CaptureQueriesContext(connections["default"]) as ours,
            CaptureQueriesContext(connections["reports"]) as the_hosts,
        ):
            assert tasks.cron_sensor() == 0
        [question] = [query["sql"] for query in the_hosts if query["sql"].startswith("SELECT")]
        assert '"updated" >' in question
        assert rows_of_sql("reports", question) == []
        of_reports = [
            query["sql"] for query in ours if '"report_orchestrator_reportschedule"' in query["sql"]
        ]
        assert [rows_of_sql("default", sql) for sql in of_reports] == [[]]
        assert not [query for query in ours if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]

    def test_a_change_has_the_pipelines_lines_brought_in_step_at_the_next_tick(
        self, settings: DjangoSettings
    ) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "SCHEDULING_APPROACH": "pipeline"})
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        ports = wiring.get_ports()

        def crons_after_tick() -> list[str]:
            tick(ports=ports, settings=get_settings(), until=ports.clock())
            lines = Schedule.objects.filter(name=f"report {report.pk}: Wind")
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

    def test_a_change_that_concerns_very_many_reports_is_left_to_discovery_and_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wiring, "MANY", 1)
        event = a_ring()
        report = make_report("Wind", event, cron="0 6 * * *")
        make_report("Flood", event_group=report.event_group)
        told: list[str] = []

        def listen(*, event: str, **_kwargs: object) -> None:
            told.append(event)

        signals.schedule_event.connect(listen)
        assert report.event_group is not None
        report.event_group.events.clear()
        signals.schedule_event.disconnect(listen)
        assert told == ["change_left_to_discovery"]
        assert row_of(str(report.pk)).state == ScheduleState.ACTIVE

    def test_a_report_that_comes_back_has_its_history(self) -> None:
        report = make_report("Wind", a_ring(), cron="0 6 * * *")
        key, pk = str(report.pk), row_of(str(report.pk)).pk
        report.delete()
        make_report("Wind", a_ring(), cron="0 6 * * *", id=int(key))
        assert (row_of(key).pk, row_of(key).state) == (pk, ScheduleState.ACTIVE)

    def test_discovery_agrees_with_what_the_signals_did(self) -> None:
        call_command("seed_reports", stdout=_Nowhere())
        assert discover(ports=wiring.get_ports()).changes == []
