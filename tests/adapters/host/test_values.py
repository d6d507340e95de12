"""Values of the host's fields as JSON, in every language, and those that a `PAYLOAD_BUILDER` must convert or remove."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address

import pytest
from django.db import connection
from django.utils import timezone, translation
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.adapters.host.values import json_value
from report_orchestrator.domain.payload import OWN_NAMES, build_payload, json_payload
from report_orchestrator.domain.reports import Modifier, Report, Unreadable
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.ports import PayloadBuilder
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.testing import FakePorts, make_runtime
from tests.hosts import base
from tests.hosts.values import Colour, Money, OverwrittenReport, ValueReport
from tests.support.settings_factory import SettingsFactory

MODIFIER = Modifier(id=None, as_at_date=date(2026, 7, 1), fx_date=date(2026, 7, 1))


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
            (IPv4Address("10.0.0.1"), "10.0.0.1"),
            ((1, Decimal(2)), [1, 2.0]),
            ({"a": [date(2026, 7, 1)], 2: {}}, {"a": ["2026-07-01"], "2": {}}),
        ],
    )
    def test_a_value_becomes_what_json_carries(self, value: object, expected: object) -> None:
        found = json_value(value)
        assert found == expected
        assert type(found) is type(expected)
        assert json.loads(json.dumps(found)) == expected

    def test_a_time_without_a_zone_is_one_of_the_hosts(self, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        noon = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - as a host without time zones has it
        assert json_value(noon) == "2026-07-01T12:00:00+02:00"
        with timezone.override("America/New_York"):  # as an earlier task in this process may have left it
            assert json_value(noon) == "2026-07-01T12:00:00+02:00"

    @pytest.mark.parametrize(
        "value", [b"bytes", Colour(), float("inf"), {1, 2}], ids=lambda value: type(value).__name__
    )
    def test_a_value_without_a_form_in_json_stays_as_it_is(self, value: object) -> None:
        assert json_value(value) is value
        assert json_value([value]) == [value]


@pytest.mark.django_db
@pytest.mark.usefixtures("hosts")
class TestFields:
    def load(self, **given: object) -> Report:
        report = ValueReport.objects.create(name="Wind", event_group=base.make_group(), **given)
        return HostReports(SettingsFactory.make(REPORT_MODEL="hosts.ValueReport")).load(str(report.pk))

    @pytest.fixture(params=["en-us", "de", "fr", "ar"])
    def _language(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with translation.override(request.param):
            yield

    @pytest.mark.usefixtures("_language")
    def test_money_is_a_number_in_every_language(self) -> None:
        fields = self.load(threshold=Money(Decimal("1234567.50"))).fields
        assert fields["threshold"] == 1234567.5
        assert type(fields["threshold"]) is float

    def test_a_value_of_an_unknown_type_is_refused_by_its_field(self) -> None:
        report = self.load(colour="red")
        assert isinstance(report.fields["colour"], Colour)
        with pytest.raises(InvalidReportError) as refusal:
            json_payload(build_payload(report, MODIFIER), "report 1")
        assert refusal.value.code == "invalid_payload"
        assert refusal.value.message == (
            "'colour' of report 1 is a Colour, which JSON cannot represent. "
            "Convert or remove it with the function that PAYLOAD_BUILDER names."
        )

    def test_a_field_that_cannot_be_read_is_refused_by_its_name_without_its_content(self) -> None:
        report = self.load(sealed="a-s3cret", threshold=Money(Decimal(5)), thumbnail=b"\x89PNG")
        assert report.fields["sealed"] == Unreadable(error="LookupError")
        assert (report.fields["name"], report.fields["threshold"]) == ("Wind", 5.0)
        with pytest.raises(InvalidReportError) as refusal:
            json_payload({"sealed": report.fields["sealed"]}, "report 1")
        assert refusal.value.message.startswith("'sealed' of report 1 cannot be read (LookupError).")
        assert "a-s3cret" not in refusal.value.message

    def test_a_builder_may_remove_and_convert_what_json_lacks(self) -> None:
        infinite = {} if connection.vendor == "mysql" else {"ratio": float("inf")}  # which MySQL cannot store
        report = self.load(thumbnail=b"\x89PNG", colour="red", sealed="x", **infinite)
        payload = build_payload(report, MODIFIER)
        for name in ("colour", "sealed", "ratio"):
            del payload[name]
        thumbnail = payload["thumbnail"]
        assert isinstance(thumbnail, bytes)
        payload["thumbnail"] = base64.b64encode(thumbnail).decode()
        assert json_payload(payload, "report 1")["thumbnail"] == "iVBORw=="

    def test_fields_under_the_payloads_own_names_are_reported(self) -> None:
        source = HostReports(SettingsFactory.make(REPORT_MODEL="hosts.OverwrittenReport"))
        assert source.overwritten_fields() == ["meta", "as_at_date", "rings"]
        assert HostReports(SettingsFactory.make(REPORT_MODEL="hosts.ValueReport")).overwritten_fields() == []

    def test_the_payloads_own_values_stand_under_its_names(self) -> None:
        report = OverwrittenReport.objects.create(name="Wind", meta={"a": 1}, event_group=base.make_group())
        loaded = HostReports(SettingsFactory.make(REPORT_MODEL="hosts.OverwrittenReport")).load(str(report.pk))
        payload = json_payload(build_payload(loaded, MODIFIER), "report 1")
        assert (payload["as_at_date"], len(payload["rings"])) == ("2026-07-01", 1)  # type: ignore[arg-type]
        assert set(OWN_NAMES) - {"geos", "boxes"} <= payload.keys()

    @pytest.mark.django_db(transaction=True)
    def test_a_run_sends_what_the_builder_left(self, fakes: FakePorts) -> None:
        report = ValueReport.objects.create(
            name="Wind", cron="0 6 * * *", event_group=base.make_group(), thumbnail=b"x"
        )
        source = HostReports(SettingsFactory.make(REPORT_MODEL="hosts.ValueReport"))

        def run_with(builder: PayloadBuilder) -> ReportRun:
            runtime = make_runtime(replace(fakes.ports, reports=source, build_payload=builder))
            discover(runtime=runtime)
            schedule = ReportSchedule.objects.get(report_key=str(report.pk))
            run = open_manual_run(schedule, run_date=None, requested_by="test", runtime=runtime)
            advance(run.pk, runtime=runtime)
            run.refresh_from_db()
            return run

        refused = run_with(build_payload)
        assert (refused.status, refused.error_code) == ("failed", "invalid_payload")
        assert f"'thumbnail' of report {report.pk} (Wind) is a bytes" in refused.error
        assert run_with(without_thumbnail).status == "succeeded"
        [(_kind, payload, _reference)] = fakes.fireant.submitted
        assert payload["name"] == "Wind"
        assert "thumbnail" not in payload


def without_thumbnail(report: Report, modifier: Modifier) -> dict[str, object]:
    payload = build_payload(report, modifier)
    del payload["thumbnail"]
    return payload
