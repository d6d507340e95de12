"""Checks of the host's models and fields."""

from __future__ import annotations

import pytest
from pytest_django import Settings as DjangoSettings

from tests.support.check_messages import found, only

pytestmark = pytest.mark.django_db(databases=["default", "reports"])  # newer Djangos look at the database in a check


class TestModels:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"REPORT_MODEL": None}, "REPORT_MODEL is not set. Set it to 'api.Report'."),
            (
                {"REPORT_MODEL": "api.Reprot"},
                "REPORT_MODEL is 'api.Reprot', which is not an installed model. Did you mean 'api.Report'?",
            ),
            (
                {"REPORT_MODEL": "Report"},
                "REPORT_MODEL is 'Report', which is not an installed model. Did you mean 'api.Report'?",
            ),
            ({"REPORT_MODEL": "your_app.report"}, "Did you mean 'api.Report'?"),
            ({"MODIFIER_MODEL": "api.Modifier"}, "MODIFIER_MODEL is 'api.Modifier'"),
            ({"JOB_MODEL": "api.Jobs"}, "Did you mean 'api.Job'?"),
            ({"EVENT_MODELS": {"ring": "api.RingEvnt"}}, "EVENT_MODELS['ring'] is 'api.RingEvnt'"),
            (
                {"REPORT_FIELDS": {"cron": "crn"}},
                "api.Report has no field 'crn' for 'cron'. Did you mean 'cron'? Map it in REPORT_FIELDS",
            ),
            ({"REPORT_FIELDS": {"event_group": "name"}}, "api.Report.name is a CharField, but 'event_group' takes"),
            ({"REPORT_FIELDS": {"timezone": "zone"}}, "api.Report has no field 'zone' for 'timezone'."),
            ({"MODIFIER_FIELDS": {"fx_date": "rate_date"}}, "Map it in MODIFIER_FIELDS, as {'fx_date': 'fx_date'}."),
            (
                {"JOB_FIELDS": {"fireant_jobid": "job_id"}},
                "Map it in JOB_FIELDS, as {'fireant_jobid': 'fireant_jobid'}.",
            ),
            ({"EVENT_FIELDS": {"events": "members"}}, "api.EventGroup has no field 'members' for 'events'."),
        ],
    )
    def test_e004_a_model_or_a_field_that_is_not_there(
        self, settings: DjangoSettings, changes: dict[str, object], says: str
    ) -> None:
        message, hint = only(found(settings, **changes), "E004")
        assert says in message
        assert hint == "Correct REPORT_ORCHESTRATOR in your settings."

    def test_e004_a_model_of_events_that_is_no_kind_of_event(self, settings: DjangoSettings) -> None:
        message, _hint = only(found(settings, EVENT_MODELS={"ring": "api.Report"}), "E004")
        assert message.startswith("api.Report is not a child model of api.Event.")

    def test_e004_a_field_of_events_that_no_event_has(self, settings: DjangoSettings) -> None:
        message, _hint = only(found(settings, EVENT_FIELDS={"latitude": "lattitude"}), "E004")
        assert "'lattitude'" in message
        assert "EVENT_FIELDS" in message

    @pytest.mark.parametrize(
        ("setting", "name", "meant"),
        [
            ("REPORT_FIELDS", "crone", "cron"),
            ("MODIFIER_FIELDS", "fx_dat", "fx_date"),
            ("JOB_FIELDS", "fireant_job_id", "fireant_jobid"),
            ("EVENT_FIELDS", "longitud", "longitude"),
            ("EVENT_MODELS", "rings", "ring"),
            ("EVENT_RELATIONS", "boxes", "box"),
        ],
    )
    def test_e005_a_name_that_a_mapping_does_not_have(
        self, settings: DjangoSettings, setting: str, name: str, meant: str
    ) -> None:
        message, hint = only(found(settings, **{setting: {name: "name"}}), "E005")
        assert message == f"{setting} has an unknown key '{name}'."
        assert hint.startswith("The keys are: ")
        assert hint.endswith(f"Did you mean '{meant}'?")

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"REPORT_FIELDS": {"cron": "event_group"}}, "api.Report.event_group is a ForeignKey, but 'cron' takes"),
            ({"REPORT_FIELDS": {"cron": "jobs__report__cron"}}, "the path 'jobs__report__cron' leads to many rows."),
            ({"REPORT_FIELDS": {"updated": "ncores"}}, "or leave it out with {'updated': ''}."),
            ({"EVENT_FIELDS": {"events": "name"}}, "api.EventGroup.name is a CharField, but 'events' takes"),
            ({"EVENT_FIELDS": {"latitude": "name"}}, "api.RingEvent.name is a CharField, but 'latitude' takes"),
            ({"MODIFIER_FIELDS": {"reports": "fx_date"}}, "api.ReportModifier.fx_date is a DateField, but 'reports'"),
            ({"JOB_FIELDS": {"fireant_jobid": "created"}}, "api.Job.created is a DateTimeField, but 'fireant_jobid'"),
            ({"JOB_FIELDS": {"report": "report__name"}}, "api.Job.report__name cannot be written"),
        ],
    )
    def test_e004_a_field_that_is_there_and_does_not_fit(
        self, settings: DjangoSettings, changes: dict[str, object], says: str
    ) -> None:
        message, _hint = only(found(settings, **changes), "E004")
        assert says in message

    def test_an_optional_field_may_be_left_out(self, settings: DjangoSettings) -> None:
        assert found(settings, REPORT_FIELDS={"updated": "", "priority": ""}, JOB_FIELDS={"report_modifier": ""}) == []

    def test_w112_a_field_that_the_payload_overwrites(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("report_orchestrator.adapters.host.reports.OWN_NAMES", ("peril", "fx_date", "dr"))
        message, hint = only(found(settings), "W112")
        assert message.startswith("Fireant does not receive these fields of api.Report: 'peril', 'dr'.")
        assert "PAYLOAD_BUILDER" in hint
        assert found(settings, PAYLOAD_BUILDER="report_orchestrator.domain.payload.build_payload") == []

    def test_a_host_without_modifiers_and_jobs_has_nothing_to_correct(self, settings: DjangoSettings) -> None:
        assert found(settings, MODIFIER_MODEL=None, JOB_MODEL=None) == []
