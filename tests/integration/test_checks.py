"""`manage.py check` tells each mistake by its setting, and what to do about it."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from pytest_django import Settings as DjangoSettings

from report_orchestrator import checks
from report_orchestrator.conf import SETTING

PREFIX = "report_orchestrator."
pytestmark = pytest.mark.django_db(
    databases=["default", "reports"]
)  # newer Djangos look at the database in a check

ONELAKE = {
    "RESULT_STORE": "onelake",
    "FABRIC_WORKSPACE_ID": "5f6b2c1e-0000-4000-8000-000000000001",
    "FABRIC_LAKEHOUSE_ID": "5f6b2c1e-0000-4000-8000-000000000002",
    "AZURE_TENANT_ID": "5f6b2c1e-0000-4000-8000-000000000003",
    "AZURE_CLIENT_ID": "5f6b2c1e-0000-4000-8000-000000000004",
    "AZURE_CLIENT_SECRET": "a-s3cret",
}
PRODUCTION = {
    "APP_ENV": "prod",
    "FIREANT_API_URL": "https://fireant.example",
    "FIREANT_API_KEY": "a-k3y",
    **ONELAKE,
}


@pytest.fixture(autouse=True)
def _same_logger_afterwards() -> Iterator[None]:
    """Apps that are installed anew configure the log anew, with the test's own standard error."""
    logger = logging.getLogger("report_orchestrator")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def ours() -> list[CheckMessage]:
    return [message for message in run_checks() if (message.id or "").startswith(PREFIX)]


def found(settings: DjangoSettings, **changes: object) -> list[CheckMessage]:
    """What the checks say when these keys of the example host's settings differ; None removes one."""
    changed = {**getattr(settings, SETTING), **changes}
    setattr(settings, SETTING, {name: value for name, value in changed.items() if value is not None})
    return ours()


def ids(messages: list[CheckMessage]) -> list[str]:
    return [(message.id or "").removeprefix(PREFIX) for message in messages]


def only(messages: list[CheckMessage], expected_id: str) -> tuple[str, str]:
    """The message and the hint of the one finding that there must be."""
    assert ids(messages) == [expected_id]
    return messages[0].msg, messages[0].hint or ""


def with_cluster(settings: DjangoSettings, **changes: object) -> list[CheckMessage]:
    """What the checks say of another Q_CLUSTER; None removes a key."""
    cluster: dict[str, Any] = {**settings.Q_CLUSTER, **changes}
    settings.Q_CLUSTER = {name: value for name, value in cluster.items() if value is not None}
    return ours()


def test_the_example_host_has_nothing_to_correct() -> None:
    assert ours() == []


def test_a_whole_configuration_for_production_has_nothing_to_correct(settings: DjangoSettings) -> None:
    assert found(settings, **PRODUCTION) == []


class TestTables:
    def test_e010_the_libraries_are_missing(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(
            "report_orchestrator.checks.find_spec", lambda name: None if name == "ijson" else find(name)
        )
        message, hint = only(found(settings, RESULT_TABLES=True), "E010")
        assert message == "RESULT_TABLES is on, and ijson is not installed."
        assert "report-orchestrator[delta]" in hint

    def test_e010_the_store_is_ones_own(self, settings: DjangoSettings) -> None:
        store = "report_orchestrator.testing.FakeStore"
        message, _hint = only(found(settings, RESULT_TABLES=True, RESULT_STORE=store), "E010")
        assert "a store of your own" in message

    def test_with_all_in_place_there_is_nothing_to_say(self, settings: DjangoSettings) -> None:
        assert found(settings, RESULT_TABLES=True) == []


class TestSettings:
    def test_e001_the_dict_is_missing(self, settings: DjangoSettings) -> None:
        delattr(settings, SETTING)
        message, hint = only(ours(), "E001")
        assert message == "REPORT_ORCHESTRATOR is missing."
        assert hint == "Add REPORT_ORCHESTRATOR = {'REPORT_MODEL': 'your_app.Report'} to your settings."

    def test_e001_the_dict_is_something_else(self, settings: DjangoSettings) -> None:
        setattr(settings, SETTING, ["api.Report"])
        message, _hint = only(ours(), "E001")
        assert message == "REPORT_ORCHESTRATOR is not a dict."

    def test_e004_an_empty_dict_names_no_report_model(self, settings: DjangoSettings) -> None:
        setattr(settings, SETTING, {})
        message, _hint = only(ours(), "E004")
        assert message.startswith("REPORT_MODEL is not set.")

    def test_e002_a_misspelt_key(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, POLL_INTERVAL_SECOND=5), "E002")
        assert message == "REPORT_ORCHESTRATOR has no key 'POLL_INTERVAL_SECOND'."
        assert hint == "Did you mean 'POLL_INTERVAL_SECONDS'?"

    def test_e002_a_key_that_resembles_none_is_answered_with_all(self, settings: DjangoSettings) -> None:
        _message, hint = only(found(settings, XYZ=5), "E002")
        assert hint.startswith("The keys are: APP_ENV,")

    def test_e003_a_value_that_cannot_be_read(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, MAX_RETRIES="many"), "E003")
        assert message == "MAX_RETRIES cannot be read: it must be a number. It is 'many'."
        assert "Set MAX_RETRIES in REPORT_ORCHESTRATOR or in the environment" in hint

    def test_e003_a_variable_of_the_environment(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCHEDULING_APPROACH", "sensors")
        message, _hint = only(found(settings), "E003")
        assert (
            message
            == "SCHEDULING_APPROACH cannot be read: it must be one of sensor, schedule, pipeline. It is 'sensors'."
        )

    def test_an_unreadable_secret_is_not_shown(self, settings: DjangoSettings) -> None:
        messages = found(settings, FIREANT_API_URL="https://ann:hush@fireant.example")
        message, hint = only(messages, "E003")
        assert "FIREANT_API_URL" in message
        assert "hush" not in message + hint

    def test_all_mistakes_are_told_at_once(self, settings: DjangoSettings) -> None:
        messages = found(settings, XYZ=5, MAX_RETRIES="many", REPORT_MODEL="api.Reprot")
        assert sorted(ids(messages)) == ["E002", "E003", "E004"]


class TestModels:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"REPORT_MODEL": None}, "REPORT_MODEL is not set. Name the model as 'app_label.ModelName'."),
            (
                {"REPORT_MODEL": "api.Reprot"},
                "REPORT_MODEL names 'api.Reprot', which is no installed model. Did you mean 'api.Report'?",
            ),
            ({"REPORT_MODEL": "Report"}, "REPORT_MODEL names 'Report', which is no installed model."),
            ({"MODIFIER_MODEL": "api.Modifier"}, "MODIFIER_MODEL names 'api.Modifier'"),
            ({"JOB_MODEL": "api.Jobs"}, "Did you mean 'api.Job'?"),
            ({"EVENT_MODELS": {"ring": "api.RingEvnt"}}, "EVENT_MODELS['ring'] names 'api.RingEvnt'"),
            (
                {"REPORT_FIELDS": {"cron": "crn"}},
                "api.Report has no field 'crn' for 'cron'. Did you mean 'cron'? Name it in REPORT_FIELDS",
            ),
            ({"REPORT_FIELDS": {"event_group": "name"}}, "api.Report.name leads to no other model."),
            ({"REPORT_FIELDS": {"timezone": "zone"}}, "api.Report has no field 'zone' for 'timezone'."),
            (
                {"MODIFIER_FIELDS": {"fx_date": "rate_date"}},
                "Name it in MODIFIER_FIELDS, as {'fx_date': '…'}.",
            ),
            (
                {"JOB_FIELDS": {"fireant_jobid": "job_id"}},
                "Name it in JOB_FIELDS, as {'fireant_jobid': '…'}.",
            ),
            ({"EVENT_FIELDS": {"events": "members"}}, "api.EventGroup has no field 'members' of events."),
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
        ],
    )
    def test_e005_a_name_that_a_mapping_does_not_have(
        self, settings: DjangoSettings, setting: str, name: str, meant: str
    ) -> None:
        message, hint = only(found(settings, **{setting: {name: "name"}}), "E005")
        assert message == f"{setting} has no name '{name}'."
        assert hint.startswith("The names are: ")
        assert hint.endswith(f"Did you mean '{meant}'?")

    def test_a_host_without_modifiers_and_jobs_has_nothing_to_correct(self, settings: DjangoSettings) -> None:
        assert found(settings, MODIFIER_MODEL=None, JOB_MODEL=None) == []


class TestRequirements:
    @pytest.mark.parametrize("setting", ["PAYLOAD_BUILDER", "RESULT_STORE"])
    @pytest.mark.parametrize("path", ["nowhere.build", "report_orchestrator.conf.buidl", "builder"])
    def test_e006_a_path_to_nothing(self, settings: DjangoSettings, setting: str, path: str) -> None:
        message, hint = only(found(settings, **{setting: path}), "E006")
        assert message.startswith(f"{setting} names '{path}', which cannot be imported:")
        assert "'project.payloads.build'" in hint
        assert ("RESULT_STORE may also be 'local' or 'onelake'." in hint) == (setting == "RESULT_STORE")

    @pytest.mark.parametrize("setting", ["PAYLOAD_BUILDER", "RESULT_STORE"])
    def test_e006_a_path_to_something_that_cannot_be_called(
        self, settings: DjangoSettings, setting: str
    ) -> None:
        message, _hint = only(found(settings, **{setting: "report_orchestrator.domain.payload"}), "E006")
        assert message.startswith(f"{setting} names 'report_orchestrator.domain.payload'")

    def test_a_builder_of_the_hosts_own_is_accepted(self, settings: DjangoSettings) -> None:
        assert found(settings, PAYLOAD_BUILDER="report_orchestrator.domain.payload.build_payload") == []

    def test_a_project_without_time_zones_is_accepted(self, settings: DjangoSettings) -> None:
        settings.USE_TZ = False
        assert ours() == []

    def test_e009_psycopg2_in_a_project_without_time_zones(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL has these drivers")
        monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
        settings.USE_TZ = True
        assert ours() == []
        settings.USE_TZ = False
        message, hint = only(ours(), "E009")
        assert message.startswith("USE_TZ is False, and psycopg2")
        assert "psycopg 3" in hint

    def test_e007_a_workspace_and_a_lakehouse_named_in_two_ways(self, settings: DjangoSettings) -> None:
        message, _hint = only(found(settings, **{**ONELAKE, "FABRIC_LAKEHOUSE_ID": "Results"}), "E007")
        assert "FABRIC_LAKEHOUSE_ID" in message

    @pytest.mark.parametrize("credential", ["managed_identity", "workload_identity", "default"])
    def test_only_a_client_secret_needs_its_three_settings(
        self, settings: DjangoSettings, credential: str
    ) -> None:
        lake = {name: value for name, value in ONELAKE.items() if not name.startswith("AZURE_")}
        assert found(settings, **lake, AZURE_CREDENTIAL=credential) == []

    @pytest.mark.parametrize("missing", sorted(ONELAKE.keys() - {"RESULT_STORE"}))
    def test_e007_onelake_needs_its_settings(self, settings: DjangoSettings, missing: str) -> None:
        message, hint = only(found(settings, **{**ONELAKE, missing: None}), "E007")
        assert message == f"{missing} is not set, and RESULT_STORE is 'onelake'."
        assert hint.startswith(f"Set {missing} in the environment or in REPORT_ORCHESTRATOR")

    def test_an_identity_of_the_machine_needs_no_secret(self, settings: DjangoSettings) -> None:
        places = {name: value for name, value in ONELAKE.items() if not name.startswith("AZURE_")}
        assert found(settings, **places, AZURE_CREDENTIAL="managed_identity") == []

    @pytest.mark.parametrize("missing", ["FIREANT_API_URL", "FIREANT_API_KEY"])
    def test_e007_production_needs_fireant(self, settings: DjangoSettings, missing: str) -> None:
        message, hint = only(found(settings, **{**PRODUCTION, missing: None}), "E007")
        assert message == f"{missing} is not set, and APP_ENV is 'prod'."
        assert hint.startswith(f"Set {missing} ")

    def test_w103_a_key_in_the_open(self, settings: DjangoSettings) -> None:
        messages = found(settings, **{**PRODUCTION, "FIREANT_API_URL": "http://fireant.example"})
        message, hint = only(messages, "W103")
        assert message.startswith("FIREANT_API_URL begins with http://")
        assert hint == "Use https://."

    def test_this_machine_needs_no_encryption(self, settings: DjangoSettings) -> None:
        assert found(settings, **{**PRODUCTION, "FIREANT_API_URL": "http://[::1]:9000"}) == []

    def test_w104_results_that_stay_on_one_machine(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, **{**PRODUCTION, "RESULT_STORE": "local"}), "W104")
        assert message.startswith("RESULT_STORE is 'local', and APP_ENV is 'prod'")
        assert "'onelake'" in hint
        assert "RESULT_ROOT" in hint

    def test_w106_a_lease_that_ends_before_a_slow_answer_comes(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, LEASE_SECONDS=60), "W106")
        assert message.startswith("LEASE_SECONDS is 60, less than four times TIMEOUT_SECONDS")
        assert hint == "Raise LEASE_SECONDS, or lower TIMEOUT_SECONDS."
        assert only(found(settings, LEASE_SECONDS=60, TIMEOUT_SECONDS=16), "W106")
        assert found(settings, LEASE_SECONDS=60, TIMEOUT_SECONDS=15) == []


class TestQueue:
    def test_e008_django_q_is_not_there(self, settings: DjangoSettings) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_q"]
        message, hint = only(checks.check_queue(None), "E008")
        assert message == "django_q is not installed."
        assert hint == "Add 'django_q' to INSTALLED_APPS, behind 'report_orchestrator'."

    def test_w101_the_apps_stand_in_the_wrong_order(self, settings: DjangoSettings) -> None:
        others = [app for app in settings.INSTALLED_APPS if app != "django_q"]
        settings.INSTALLED_APPS = ["django_q", *others]
        message, hint = only(ours(), "W101")
        assert message == "report_orchestrator stands behind django_q in INSTALLED_APPS."
        assert "Move it before django_q" in hint

    @pytest.mark.parametrize(
        ("changes", "says", "hint_says"),
        [
            ({"ack_failures": False}, "Q_CLUSTER['ack_failures'] is not True", "Set 'ack_failures': True"),
            ({"max_attempts": 0}, "Q_CLUSTER['max_attempts'] is not 1", "Set 'max_attempts': 1"),
            ({"catch_up": None}, "Q_CLUSTER['catch_up'] is not False", "Set 'catch_up': False"),
            ({"orm": None, "redis": None}, "Q_CLUSTER names no broker", "Set 'orm': 'default'"),
            ({"name": None}, "Q_CLUSTER has no 'name'", "Set 'name': 'your-project'"),
            ({"timeout": None}, "timeout None and retry 600", "Set 'retry': 600 with 'timeout': 120"),
            ({"retry": 300}, "timeout 120 and retry 300", "Set 'retry': 600 with 'timeout': 120"),
            ({"retry": None}, "timeout 120 and retry 60", "Set 'retry': 600 with 'timeout': 120"),
        ],
    )
    def test_w102_a_queue_that_would_repeat_or_lose_work(
        self, settings: DjangoSettings, changes: dict[str, object], says: str, hint_says: str
    ) -> None:
        message, hint = only(with_cluster(settings, **changes), "W102")
        assert says in message
        assert hint_says in hint
        assert "Q_CLUSTER" in hint

    def test_w102_an_unconfigured_queue_is_told_everything(self, settings: DjangoSettings) -> None:
        del settings.Q_CLUSTER
        messages = ours()
        assert set(ids(messages)) == {"W102"}
        for key in ("ack_failures", "max_attempts", "catch_up", "name", "retry", "orm"):
            assert [message for message in messages if f"Set '{key}': " in (message.hint or "")]

    def test_w107_sqlite_that_is_fit_for_one_process_only(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
        for name, value in sqlite.items():
            monkeypatch.setitem(settings.DATABASES["default"], name, value)
        message, hint = only(ours(), "W107")
        assert "DATABASES['default']" in message
        assert "'transaction_mode': 'IMMEDIATE'" in hint

    def test_w108_a_cache_that_processes_do_not_share(self, settings: DjangoSettings) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        message, _hint = only(ours(), "W108")
        assert "CACHES['default']" in message

    @pytest.mark.parametrize("setting", ["POLL_INTERVAL_SECONDS", "CRON_SENSOR_INTERVAL_SECONDS"])
    def test_w105_ticks_slower_than_asked_for(self, settings: DjangoSettings, setting: str) -> None:
        assert with_cluster(settings, broker_class=None) == []
        message, hint = only(found(settings, **{setting: 5}), "W105")
        assert setting in message
        assert "is 5, but" in message
        assert "'broker_class': 'report_orchestrator.brokers.ticking_broker'" in hint

    def test_short_ticks_are_kept_by_the_ticking_broker(self, settings: DjangoSettings) -> None:
        assert found(settings, POLL_INTERVAL_SECONDS=1, CRON_SENSOR_INTERVAL_SECONDS=5) == []
