"""Events in kind columns, own rows and relations are read as the host declares them."""

import pytest

from report_orchestrator.adapters.host.reports import HostReports
from tests.hosts import base, shapes
from tests.support.event_shapes import (
    BOX,
    COLUMN,
    DAILY,
    NUMBERED,
    OWN,
    RING,
    SPLIT,
    SPLIT_GROUP,
    Host,
    circle,
    spot,
    spot_report,
)
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]


@pytest.mark.parametrize("host", [{"REPORT_MODEL": "hosts.ColumnsReport"}], indirect=True)
def test_a_cron_in_five_columns_is_joined_by_a_generated_one(host: Host) -> None:
    report = shapes.ColumnsReport.objects.create(name="Wind", minute="30", hour="2", event_group=base.make_group())
    row = host.discovered(report)
    assert (row.cron, row.state, row.problem) == ("30 2 * * *", "active", "")
    report.hour = "3"
    report.save()
    assert host.discovered(report).cron == "30 3 * * *"
    assert host.run(report).status == "succeeded"


class TestKindColumn:
    @pytest.mark.parametrize("host", [COLUMN], indirect=True)
    def test_a_column_says_the_kind(self, host: Host) -> None:
        rings, boxes = spot_report(spot(), spot(name="Tyne")), spot_report(spot(kind="box", name="Alps", **BOX))
        payload = host.payload_of(rings)
        assert [(ring["name"], ring["radius"]) for ring in payload["rings"]] == [("Thames", 5), ("Tyne", 5)]
        assert payload["meta"]["event_group_id"] == rings.event_group.pk
        [box] = host.payload_of(boxes)["boxes"]
        assert box == {"id": box["id"], "name": "Alps", "description": "", "is_valid": True, "event_type": "box", **BOX}

    @pytest.mark.parametrize("host", [NUMBERED], indirect=True)
    def test_its_values_may_be_other_words(self, host: Host) -> None:
        report = spot_report(spot(number=1), spot(number=3, name="Tyne"))
        assert [ring["name"] for ring in host.payload_of(report)["rings"]] == ["Thames", "Tyne"]

    @pytest.mark.parametrize("host", [COLUMN], indirect=True)
    @pytest.mark.parametrize("kind", ["circle", "", "geo"])
    def test_an_event_of_an_unknown_kind_is_named_with_it(self, host: Host, kind: str) -> None:
        bad = spot(name="Tyne", kind=kind)
        problem = host.refusal_of(spot_report(spot(), bad, spot(kind="?")), "unknown_event_type")
        assert f"has the event {bad.pk} (Tyne) of the kind '{kind}' that is neither a ring" in problem

    @pytest.mark.parametrize("host", [COLUMN], indirect=True)
    def test_two_kinds_in_one_group_are_refused(self, host: Host) -> None:
        problem = host.refusal_of(spot_report(spot(), spot(kind="box", **BOX)), "mixed_event_types")
        assert "has boxes and rings in one event group" in problem

    def test_a_number_is_missed_by_its_kind_alone(self) -> None:
        source = HostReports(SettingsFactory.make(**COLUMN))
        spot_report(spot(max_lat=None))
        assert not next(source.summaries()).has_incomplete_events
        shapes.Spot.objects.update(radius=None)
        assert next(source.summaries()).has_incomplete_events


class TestOwnEvents:
    @pytest.mark.parametrize("host", [OWN], indirect=True)
    def test_events_may_belong_to_the_report(self, host: Host) -> None:
        report = shapes.OwnReport.objects.create(name="Wind", cron=DAILY)
        assert "has no events. Add events to it" in host.refusal_of(report, "empty_event_group")
        report.events.add(base.RingEvent.objects.create(name="Thames", **RING))
        payload = host.payload_of(report)
        assert [ring["name"] for ring in payload["rings"]] == ["Thames"]
        assert payload["meta"]["event_group_id"] is None
        report.events.add(base.BoxEvent.objects.create(name="Alps", **BOX))
        assert "has boxes and rings, but Fireant" in host.discovered(report).problem


class TestRelations:
    @pytest.mark.parametrize("host", [SPLIT], indirect=True)
    def test_relations_of_the_report_say_the_kind(self, host: Host) -> None:
        rings, boxes = (shapes.SplitReport.objects.create(name=name, cron=DAILY) for name in ("One", "Two"))
        rings.circles.add(circle())
        shapes.Square.objects.create(name="Alps", report=boxes)
        assert [ring["name"] for ring in host.payload_of(rings)["rings"]] == ["Thames"]
        assert [box["name"] for box in host.payload_of(boxes)["boxes"]] == ["Alps"]
        shapes.Square.objects.create(name="Jura", report=rings)
        assert "has boxes and rings, but Fireant" in host.discovered(rings).problem

    @pytest.mark.parametrize("host", [SPLIT_GROUP], indirect=True)
    def test_so_do_relations_of_the_group(self, host: Host) -> None:
        group = shapes.SplitGroup.objects.create()
        group.squares.add(shapes.Square.objects.create(name="Alps"))
        report = shapes.SplitGroupReport.objects.create(name="Wind", cron=DAILY, event_group=group)
        payload = host.payload_of(report)
        assert [box["name"] for box in payload["boxes"]] == ["Alps"]
        assert payload["meta"]["event_group_id"] == group.pk
        shapes.Circle.objects.create(name="Elsewhere", **RING)
        without = shapes.SplitGroupReport.objects.create(name="Without", cron=DAILY)
        assert host.discovered(without).problem_code == "no_event_group"
