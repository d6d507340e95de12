"""Events come from a function of the host: EVENT_SOURCE."""

import json
from pathlib import Path
from typing import Any

import pytest

from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import ConfigurationError, TransientError
from report_orchestrator.models import ReportSchedule
from tests.hosts import shapes
from tests.support.commands import manage
from tests.support.event_shapes import (
    COLUMN,
    DAILY,
    RELATIONS,
    RING,
    SOURCE,
    SPLIT,
    SPLIT_GROUP,
    Host,
    circle,
    spot_report,
)
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]


class TestSource:
    @pytest.mark.parametrize("host", [SOURCE], indirect=True)
    def test_a_function_yields_the_events(self, host: Host) -> None:
        report = shapes.TextReport.objects.create(name="Wind", cron=DAILY, places="ring 51.5 -0.1 5\nring 54 -1 2.5")
        report.circles.add(circle("Tyne"))
        rings = host.payload_of(report)["rings"]
        assert [(ring["name"], ring["latitude"], ring["radius"]) for ring in rings] == [
            ("ring 1", 51.5, 5), ("ring 2", 54, 2.5), ("Tyne", 51.5, 5),
        ]  # fmt: skip

    @pytest.mark.parametrize("host", [SOURCE], indirect=True)
    @pytest.mark.parametrize(
        ("places", "code", "says"),
        [
            ("", "empty_event_group", "has no events."),
            ("disc 1 1 1", "unknown_event_type", "has the event 1 (disc 1) of the kind 'disc' that is neither"),
            ("ring 1 1", "event_source", "EVENT_SOURCE tests.hosts.shapes.events_of raised ValueError for report"),
        ],
    )
    def test_discovery_and_runs_refuse_the_same(self, host: Host, places: str, code: str, says: str) -> None:
        report = shapes.TextReport.objects.create(name="Wind", cron=DAILY, places=places)
        assert says in host.refusal_of(report, code)

    def test_an_event_that_lacks_a_number_is_noticed(self) -> None:
        shapes.TextReport.objects.create(places="ring 1 1 -")
        assert next(HostReports(SettingsFactory.make(**SOURCE)).summaries()).has_incomplete_events

    @pytest.mark.parametrize("host", [SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.unfit"}], indirect=True)
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ("5", "returned a value of type int, which is neither an event nor a dict for report"),
            ("{'kind': 'ring'}", "returned an event without 'id'"),
            ("{'id': 1}", "returned an event without 'kind'"),
            ("{'id': 1, 'kind': 'ring', 'lat': 5}", "returned a ring with the unknown key 'lat'"),
            ("{'id': 1, 'kind': 'ring', 'radius': '5'}", "returned a ring whose 'radius' has the type str"),
        ],
    )
    def test_an_event_that_is_none_is_described(self, host: Host, given: str, says: str) -> None:
        report = shapes.TextReport.objects.create(name="Wind", cron=DAILY, places=given)
        problem = host.refusal_of(report, "event_source")
        assert says in problem
        assert problem.endswith(f"for report {report.pk}. Correct the function.")

    def test_many_reports_cost_few_queries(self, django_assert_num_queries: Any) -> None:
        for _ in range(5):
            shapes.TextReport.objects.create(name="Wind").circles.add(circle())
        with django_assert_num_queries(3):
            kinds = [summary.event_kinds for summary in HostReports(SettingsFactory.make(**SOURCE)).summaries()]
        assert kinds == [frozenset({EventKind.RING})] * 5

    @pytest.mark.parametrize(
        "host", [COLUMN | {"EVENT_KIND_FIELD": "", "EVENT_SOURCE": "tests.hosts.shapes.one_ring"}], indirect=True
    )
    def test_a_report_with_a_function_may_have_a_group_or_none(self, host: Host) -> None:
        grouped = spot_report()
        without = shapes.SpotReport.objects.create(name="Two", cron=DAILY)
        assert host.payload_of(grouped)["meta"]["event_group_id"] == grouped.event_group.pk
        payload = host.payload_of(without)
        assert payload["meta"]["event_group_id"] is None
        assert [(ring["id"], ring["name"], ring["is_valid"]) for ring in payload["rings"]] == [("r1", "", True)]

    @pytest.mark.parametrize("host", [SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.offline"}], indirect=True)
    @pytest.mark.usefixtures("host")
    def test_a_discovery_that_a_network_ends_changes_nothing_and_says_why(self) -> None:
        report = shapes.TextReport.objects.create(name="Wind", cron=DAILY)
        result = manage("discover_reports")
        assert result.status != 0
        assert f"raised ConnectionError for report {report.pk}. Check the service that it reads." in result.err
        assert not ReportSchedule.objects.exists()

    def test_a_function_that_is_not_there_is_a_wrong_setting(self) -> None:
        source = HostReports(SettingsFactory.make(**SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.none"}))
        report = shapes.TextReport.objects.create(name="Wind")
        with pytest.raises(ConfigurationError, match=r"EVENT_SOURCE is 'tests\.hosts\.shapes\.none', which cannot be"):
            list(source.summaries())
        with pytest.raises(ConfigurationError, match="cannot be imported"):
            source.load(str(report.pk))

    @pytest.mark.parametrize("host", [SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.from_files"}], indirect=True)
    def test_a_missing_file_is_the_problem_of_its_report_alone(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "events").write_text(json.dumps([{"id": 1, "kind": "ring", **RING}]))
        missing, ready = (
            shapes.TextReport.objects.create(name=str(tmp_path / name), cron=DAILY) for name in ("missing", "events")
        )
        assert "raised FileNotFoundError for report" in host.refusal_of(missing, "event_source")
        assert host.discovered(ready).state == "active"

    RAISING = SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.raising"}

    @pytest.mark.parametrize(
        "error",
        [
            "OSError(36, 'File name too long')",
            "BlockingIOError(11, 'busy')",
            "FileExistsError(17, 'exists')",
            "__import__('shutil').SameFileError('same')",
            "__import__('io').UnsupportedOperation('not readable')",
            "__import__('urllib.error').error.HTTPError('https://geo.example', 404, 'gone', {}, None)",
            "__import__('requests').exceptions.InvalidURL('no host')",
        ],
    )
    @pytest.mark.parametrize("host", [RAISING], indirect=True)
    def test_an_error_of_the_system_is_the_problem_of_its_report_alone(self, host: Host, error: str) -> None:
        report = shapes.TextReport.objects.create(name="", cron=DAILY, places=error)
        assert "raised " in host.refusal_of(report, "event_source")

    @pytest.mark.parametrize(
        ("error", "wrapped_in"),
        [
            ("TimeoutError('slow')", ""),
            ("OSError(101, 'Network is unreachable')", ""),
            ("__import__('socket').gaierror(-2, 'Name or service not known')", ""),
            ("__import__('ssl').SSLError('handshake failed')", ""),
            ("__import__('urllib.error').error.HTTPError('https://geo.example', 503, 'down', {}, None)", ""),
            ("ConnectionRefusedError(111, 'refused')", "of a library"),
            ("__import__('http.client').client.IncompleteRead(b'')", "of a library"),
        ],
    )
    def test_an_error_of_a_network_is_temporary_whatever_wraps_it(self, error: str, wrapped_in: str) -> None:
        report = shapes.TextReport.objects.create(name=wrapped_in, places=error)
        source = HostReports(SettingsFactory.make(**self.RAISING))
        with pytest.raises(TransientError):
            list(source.summaries())
        with pytest.raises(TransientError):
            source.load(str(report.pk))

    def test_a_network_that_is_down_is_temporary(self) -> None:
        source = HostReports(SettingsFactory.make(**SOURCE | {"EVENT_SOURCE": "tests.hosts.shapes.offline"}))
        report = shapes.TextReport.objects.create(name="Wind")
        says = f"EVENT_SOURCE tests.hosts.shapes.offline raised ConnectionError for report {report.pk}."
        with pytest.raises(TransientError, match=says):
            list(source.summaries())
        with pytest.raises(TransientError, match=says):
            source.load(str(report.pk))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            COLUMN | {"EVENT_KIND_FIELD": "kin"},
            "hosts.Spot has no field 'kin' for 'kind'. Did you mean 'kind'? Correct",
        ),
        (
            COLUMN | {"EVENT_KIND_FIELD": "radius"},
            "but 'kind' takes a CharField, TextField or IntegerField. Correct EVENT_KIND_FIELD.",
        ),
        (COLUMN | {"EVENT_KIND_FIELD": "spotgroup"}, "hosts.Spot.spotgroup is a ManyToManyRel"),
        (COLUMN | {"EVENT_KIND_FIELD": "number"}, "hosts.Spot.number is a IntegerField, which cannot hold 'ring'."),
        (COLUMN | {"EVENT_KINDS": {"R": "rong"}}, "EVENT_KINDS maps 'R' to 'rong', which is not a kind."),
        (COLUMN | {"EVENT_KINDS": {"G": "geo"}}, "hosts.Spot has none of the fields country, area"),
        (COLUMN | {"EVENT_FIELDS": {"radius": "km"}}, "hosts.Spot has no field 'km' for 'radius'."),
        (COLUMN | {"EVENT_RELATIONS": RELATIONS}, "EVENT_KIND_FIELD and EVENT_RELATIONS describe different shapes"),
        (SPLIT_GROUP | {"EVENT_KINDS": {"R": "ring"}}, "EVENT_KINDS is set without EVENT_KIND_FIELD."),
        (
            SPLIT_GROUP | {"EVENT_RELATIONS": {"ring": "circle"}},
            "hosts.SplitGroup has no field 'circle' for 'ring'. Did you mean 'circles'? Map it in EVENT_RELATIONS",
        ),
        (
            SPLIT | {"EVENT_RELATIONS": {"ring": "name"}},
            "hosts.SplitReport.name is a CharField, but 'ring' takes a ManyToManyField, from either side",
        ),
        (SPLIT | {"EVENT_RELATIONS": {"ring": "squares"}}, "hosts.Square has no field 'latitude' for 'latitude'."),
        (SPLIT | {"EVENT_RELATIONS": {}}, "hosts.SplitReport has no field 'events' for 'events'."),
        ({"REPORT_MODEL": "hosts.SplitReport"}, "or leave it out with {'event_group': ''}."),
    ],
)
def test_a_shape_that_does_not_fit_is_described(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        HostReports(SettingsFactory.make(**given)).verify()
    assert says in refusal.value.message
