"""The settings' names of models and fields: each is checked for its shape and its type, not only for being there."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator import wiring
from report_orchestrator.adapters.host.events.shapes import event_reader
from report_orchestrator.adapters.host.fields import field_named, resolve_model, resolve_paths
from report_orchestrator.adapters.host.jobs import HostJobs
from report_orchestrator.adapters.host.modifiers import HostModifiers
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.adapters.host.rules import (
    EVENT_FIELDS,
    GROUP_FIELDS,
    JOB_FIELDS,
    KIND_FIELDS,
    MODIFIER_FIELDS,
    REPORT_FIELDS,
    FieldRule,
)
from report_orchestrator.conf import SETTING
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import ConfigurationError
from tests.host.api import models as api
from tests.hosts import advice, base, relations, zoo
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.usefixtures("hosts")

TEXTS = {"text", "char", "url", "generated"}
INTEGERS = {"integer", "big", "small", "id", "object_id"}
NUMBERS = INTEGERS | {"floating", "decimal"}
LABELS = TEXTS | INTEGERS | {"uuid"}
ONE_ROW = {"foreign", "single", "content_type", "back_single"}
MANY_ROWS = {"many", "back_crowd", "back_many", "back_single"}
TAKEN: Mapping[str, set[str]] = {
    "REPORT_FIELDS.name": LABELS,
    "REPORT_FIELDS.cron": TEXTS,
    "REPORT_FIELDS.event_group": ONE_ROW,
    "REPORT_FIELDS.enabled": {"flag"},
    "REPORT_FIELDS.priority": TEXTS | INTEGERS,
    "REPORT_FIELDS.updated": {"instant"},
    "REPORT_FIELDS.timezone": TEXTS,
    "REPORT_FIELDS.overlap": TEXTS,
    "EVENT_FIELDS.events": MANY_ROWS,
    "EVENT_FIELDS.name": LABELS,
    "EVENT_FIELDS.description": TEXTS,
    "EVENT_FIELDS.is_valid": {"flag"},
    "EVENT_FIELDS.country": TEXTS | INTEGERS,
    "EVENT_FIELDS.latitude": NUMBERS,
    "EVENT_FIELDS.radius": NUMBERS,
    "EVENT_FIELDS.max_lat": NUMBERS,
    "MODIFIER_FIELDS.as_at_date": {"day"},
    "MODIFIER_FIELDS.fx_date": {"day"},
    "MODIFIER_FIELDS.reports": {"many", "back_crowd"},
    "JOB_FIELDS.report": LABELS - {"generated"} | ONE_ROW - {"back_single"},
    "JOB_FIELDS.report_modifier": LABELS - {"generated"} | ONE_ROW - {"back_single"},
    "JOB_FIELDS.fireant_jobid": LABELS - {"generated"},
    "JOB_FIELDS.status": TEXTS - {"generated"},
    "JOB_FIELDS.results_url": TEXTS - {"generated"},
}
"""The fields of the zoo that each name takes."""
RULES: Mapping[str, Mapping[str, FieldRule]] = {
    "REPORT_FIELDS": REPORT_FIELDS,
    "EVENT_FIELDS": {
        **GROUP_FIELDS, **EVENT_FIELDS, **{name: rule for kind in KIND_FIELDS.values() for name, rule in kind.items()}
    },
    "MODIFIER_FIELDS": MODIFIER_FIELDS,
    "JOB_FIELDS": JOB_FIELDS,
}  # fmt: skip


def refusal_of(setting: str, name: str, path: str) -> str:
    """Return the error of a name that the settings map to a field of the zoo; an empty text if it is taken."""
    try:
        resolve_paths(zoo.Zoo, {name: RULES[setting][name]}, {name: path}, setting)
    except ConfigurationError as error:
        return error.message
    return ""


class TestTypes:
    @pytest.mark.parametrize("key", TAKEN)
    def test_a_name_takes_the_fields_of_its_types_and_refuses_all_others(self, key: str) -> None:
        setting, _, name = key.partition(".")
        everything = {field.name for field in zoo.Zoo._meta.get_fields()}
        refused = {path: message for path in everything if (message := refusal_of(setting, name, path))}
        assert everything - refused.keys() == TAKEN[key]
        for path, message in refused.items():
            type_ = type(zoo.Zoo._meta.get_field(path)).__name__
            assert message.startswith(f"hosts.Zoo.{path} "), message
            assert type_ in message or path == "generated"
            assert RULES[setting][name].accepted.words in message
            assert f"Map it in {setting}, as {{'{name}': '…'}}" in message

    @pytest.mark.parametrize("setting", RULES)
    def test_the_message_says_how_to_leave_an_optional_field_out(self, setting: str) -> None:
        for name, rule in RULES[setting].items():
            advice = f"or leave it out with {{'{name}': ''}}."
            may_be_left_out = rule.may_be_left_out or not rule.required
            assert (advice in refusal_of(setting, name, "clock")) is may_be_left_out

    @pytest.mark.parametrize("setting", RULES)
    def test_an_optional_field_is_left_out_with_an_empty_name_and_a_required_one_is_not(self, setting: str) -> None:
        for name, rule in RULES[setting].items():
            assert bool(refusal_of(setting, name, "")) is (rule.required and not rule.may_be_left_out)

    def test_a_property_under_a_usual_name_is_not_passed_over(self) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            resolve_paths(zoo.Zoo, {"enabled": REPORT_FIELDS["enabled"]}, {}, "REPORT_FIELDS")
        assert refusal.value.message == (
            "hosts.Zoo.is_valid is a property of the class, but 'enabled' takes a BooleanField. "
            "Map it in REPORT_FIELDS, as {'enabled': '…'}, or leave it out with {'enabled': ''}."
        )

    def test_all_unfit_fields_are_named_at_once(self) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            resolve_paths(
                zoo.Zoo, REPORT_FIELDS, {"cron": "foreign", "updated": "day", "event_group": "many"}, "REPORT_FIELDS"
            )
        for part in ("Zoo.foreign", "Zoo.day", "Zoo.many", "Zoo.is_valid"):
            assert part in refusal.value.message


class TestAdvice:
    """Advice names the field that is most likely meant, where there is one."""

    @pytest.mark.parametrize(
        ("model", "name", "likely"),
        [
            (advice.Planned, "cron", "schedule_text"),
            (advice.Planned, "enabled", "is_active"),
            (advice.Planned, "event_group", "scope"),
            (advice.Planned, "updated", "last_modified"),
            (advice.Planned, "timezone", "…"),
            (zoo.Zoo, "event_group", "…"),
        ],
    )
    def test_a_field_that_fits_is_proposed(self, model: type[base.Host], name: str, likely: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            resolve_paths(model, {name: REPORT_FIELDS[name]}, {name: "nothing"}, "REPORT_FIELDS")
        assert f"Map it in REPORT_FIELDS, as {{'{name}': '{likely}'}}" in refusal.value.message


class TestPaths:
    @pytest.mark.parametrize(
        ("model", "path"),
        [
            (relations.TranslatedReport, "translations__name"),
            (relations.BackReport, "scope__events__name"),
            (zoo.Zoo, "many__name"),
            (zoo.Zoo, "back_crowd__one_zoo__char"),
            (zoo.Zoo, "generics__object_id"),
        ],
    )
    def test_a_path_to_many_rows_is_refused(self, model: type[base.Host], path: str) -> None:
        with pytest.raises(ConfigurationError, match=f"the path '{path}' leads to many rows"):
            resolve_paths(model, {"name": REPORT_FIELDS["name"]}, {"name": path}, "REPORT_FIELDS")

    def test_a_path_may_pass_through_relations_to_one_row_in_both_directions(self) -> None:
        rules = {"name": REPORT_FIELDS["name"]}
        for path in ("foreign__code", "back_single__zoo__char"):
            assert resolve_paths(zoo.Zoo, rules, {"name": path}, "REPORT_FIELDS") == {"name": path}

    @pytest.mark.parametrize("path", ["generic__x", "json__cron", "clock__hour"])
    def test_a_path_through_a_field_that_is_no_relation_leads_nowhere(self, path: str) -> None:
        with pytest.raises(ConfigurationError, match=f"has no field '{path}'"):
            resolve_paths(zoo.Zoo, {"cron": REPORT_FIELDS["cron"]}, {"cron": path}, "REPORT_FIELDS")

    @pytest.mark.parametrize(("setting", "name"), [("JOB_FIELDS", "report"), ("JOB_FIELDS", "status")])
    def test_no_path_leads_to_a_field_that_is_written(self, setting: str, name: str) -> None:
        assert "cannot be written" in refusal_of(setting, name, "foreign__code")

    def test_a_path_leads_over_relations(self) -> None:
        assert field_named(api.Job, "report__event_group__name") is api.EventGroup._meta.get_field("name")


class TestRelations:
    @pytest.mark.parametrize(
        ("report", "fields", "says"),
        [
            ("hosts.GenericReport", {}, "hosts.GenericGroup.events is a GenericRelation"),
            ("hosts.GenericReport", {"events": "first"}, "hosts.GenericGroup.first is a ForeignKey"),
            ("hosts.GenericReport", {"events": "payload"}, "hosts.GenericGroup.payload is a JSONField"),
            ("hosts.Report", {"events": "events__name"}, "leads to many rows"),
            ("hosts.Report", {"events": "x"}, "hosts.EventGroup has no field 'x' for 'events'"),
        ],
    )
    def test_events_of_an_unsuitable_relation_are_refused(self, report: str, fields: dict[str, str], says: str) -> None:
        settings = SettingsFactory.make(REPORT_MODEL=report, EVENT_FIELDS=fields)
        with pytest.raises(ConfigurationError) as refusal:
            HostReports(settings).verify()
        assert says in refusal.value.message
        assert "EVENT_FIELDS" in refusal.value.message

    def test_a_group_that_is_no_relation_to_one_row_is_refused(self) -> None:
        settings = SettingsFactory.make(REPORT_MODEL="hosts.GenericReport", REPORT_FIELDS={"event_group": "owner"})
        with pytest.raises(ConfigurationError, match=r"hosts\.GenericReport\.owner is a GenericForeignKey"):
            HostReports(settings).verify()

    @pytest.mark.parametrize("report", ["hosts.GenericReport", "hosts.TranslatedReport", "hosts.PairReport", "no.Such"])
    def test_a_start_never_fails_for_the_hosts_models(self, settings: DjangoSettings, report: str) -> None:
        fields = {"name": "translations__name", "cron": "nothing"}
        setattr(settings, SETTING, {"REPORT_MODEL": report, "REPORT_FIELDS": fields})
        wiring.connect_host_signals()

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"JOB_MODEL": "hosts.HeldJob", "JOB_FIELDS": {"report": "holder__report"}}, "cannot be written"),
            (
                {"JOB_MODEL": "hosts.HeldJob", "JOB_FIELDS": {"report": "holder"}},
                "hosts.HeldJob.holder leads to hosts.Holder, not to hosts.Report.",
            ),
            (
                {"JOB_MODEL": "hosts.CodeJob"},
                "hosts.CodeJob.report leads to hosts.CodeReport, not to hosts.Report. Name another field in JOB_FIELDS",
            ),
        ],
    )
    def test_a_job_must_refer_to_the_report_itself(self, given: dict[str, object], says: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            HostJobs(SettingsFactory.make(REPORT_MODEL="hosts.Report", **given)).verify()
        assert says in refusal.value.message

    def test_a_job_may_refer_to_the_reports_parent_or_keep_its_key(self) -> None:
        HostJobs(SettingsFactory.make(REPORT_MODEL="hosts.ChildReport", JOB_MODEL="hosts.Job")).verify()
        HostJobs(SettingsFactory.make(REPORT_MODEL="hosts.Report", JOB_MODEL="hosts.KeyJob")).verify()

    def test_a_modifier_must_refer_to_the_reports(self) -> None:
        settings = SettingsFactory.make(REPORT_MODEL="hosts.Report", MODIFIER_MODEL="hosts.CodeModifier")
        with pytest.raises(ConfigurationError, match=r"leads to hosts\.CodeReport, not to hosts\.Report"):
            HostModifiers.of(base.Report, settings)

    def test_a_key_of_several_columns_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"hosts\.PairReport has a CompositePrimaryKey"):
            HostReports(SettingsFactory.make(REPORT_MODEL="hosts.PairReport")).verify()


class TestEventModels:
    def kinds_of(self, report: str, **models: str) -> dict[str, str]:
        settings = SettingsFactory.make(REPORT_MODEL=report, EVENT_MODELS=models)
        reader = event_reader(resolve_model(report, "REPORT_MODEL"), "event_group", settings)
        reader.verify()
        [relation] = reader.relations
        return {kind.value: model.model.__name__ for kind, model in relation.kinds.items()}

    def refusal_of(self, report: str, **models: str) -> str:
        with pytest.raises(ConfigurationError) as refusal:
            self.kinds_of(report, **models)
        return refusal.value.message

    def test_a_proxy_is_no_candidate(self) -> None:
        assert self.kinds_of("hosts.Report") == {"ring": "RingEvent", "box": "BoxEvent"}

    def test_events_of_one_model_for_all_kinds_are_told_to_name_it(self) -> None:
        message = self.refusal_of("hosts.PlaceReport")
        assert message.startswith("hosts.Place has no child models whose names contain 'geo', 'ring' or 'box'.")
        assert "Set the models of your events in EVENT_MODELS" in message

    def test_events_of_one_kind_need_no_child_model(self) -> None:
        assert self.kinds_of("hosts.PlaceReport", ring="hosts.Place") == {"ring": "Place"}

    def test_two_candidates_are_named_with_the_setting_that_decides(self) -> None:
        message = self.refusal_of("hosts.DoubtReport", geo="")
        assert message == (
            "The names of hosts.RingDoubt and hosts.WeatheringDoubt contain 'ring'. Name the model in EVENT_MODELS, as "
            "{'ring': 'hosts.RingDoubt'}, or as {'ring': ''} if you have none."
        )

    def test_a_candidate_without_the_fields_of_its_kind_is_named(self) -> None:
        message = self.refusal_of("hosts.DoubtReport", ring="hosts.RingDoubt")
        assert message.startswith(
            "The name of hosts.GeologyDoubt contains 'geo'. hosts.GeologyDoubt has none of the fields"
        )
        assert "as {'geo': ''} if you have none" in message

    def test_the_settings_decide(self) -> None:
        assert self.kinds_of("hosts.DoubtReport", ring="hosts.RingDoubt", geo="") == {"ring": "RingDoubt"}

    @pytest.mark.parametrize("label", ["hosts.WeatheringDoubt", "hosts.GeologyDoubt"])
    def test_a_named_model_must_have_the_numbers_of_its_kind(self, label: str) -> None:
        message = self.refusal_of("hosts.DoubtReport", ring=label, geo="")
        for name in ("latitude", "longitude", "radius"):
            assert f"{label} has no field '{name}'" in message

    @pytest.mark.parametrize("label", ["hosts.RingPlace", "hosts.RingEvent", "hosts.Report"])
    def test_a_proxy_or_another_model_is_no_kind(self, label: str) -> None:
        assert "is not a child model of hosts.Place" in self.refusal_of("hosts.PlaceReport", ring=label)

    def test_every_kind_has_rules(self) -> None:
        assert KIND_FIELDS.keys() == set(EventKind)
