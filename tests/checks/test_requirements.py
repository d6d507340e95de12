"""Checks of settings that require others, and of the databases."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.db import connection
from django_q.models import Task
from pytest_django import Settings as DjangoSettings

from report_orchestrator import checks
from report_orchestrator.checks import database
from tests.support.check_messages import ONELAKE, PRODUCTION, found, on_mysql, only, ours

pytestmark = pytest.mark.django_db(databases=["default", "reports"])  # newer Djangos look at the database in a check


class TestRequirements:
    @pytest.mark.parametrize("setting", ["PAYLOAD_BUILDER", "EVENT_SOURCE", "RESULT_STORE"])
    @pytest.mark.parametrize("path", ["nowhere.build", "report_orchestrator.conf.buidl", "builder"])
    def test_e006_a_path_to_nothing(self, settings: DjangoSettings, setting: str, path: str) -> None:
        message, hint = only(found(settings, **{setting: path}), "E006")
        assert message.startswith(f"{setting} is '{path}', which cannot be imported:")
        assert "'project.module.name'" in hint
        assert ("RESULT_STORE may also be 'local' or 'onelake'." in hint) == (setting == "RESULT_STORE")

    @pytest.mark.parametrize(("store", "meant"), [("onelak", "onelake"), ("Local", "local"), ("one_lake", "onelake")])
    def test_e006_a_misspelt_store(self, settings: DjangoSettings, store: str, meant: str) -> None:
        _message, hint = only(found(settings, RESULT_STORE=store), "E006")
        assert hint.endswith(f"Did you mean '{meant}'?")

    @pytest.mark.parametrize("setting", ["PAYLOAD_BUILDER", "EVENT_SOURCE", "RESULT_STORE"])
    def test_e006_a_path_to_something_that_cannot_be_called(self, settings: DjangoSettings, setting: str) -> None:
        message, _hint = only(found(settings, **{setting: "report_orchestrator.domain.payload"}), "E006")
        assert message.startswith(f"{setting} is 'report_orchestrator.domain.payload'")

    @pytest.mark.parametrize(
        "path", ["../escape", "..", "/etc", "a/../../b", "_report_orchestrator/tmp", "Tables/x", "a\\b"]
    )
    def test_e007_a_results_path_outside_the_root(self, settings: DjangoSettings, path: str) -> None:
        message, hint = only(found(settings, FABRIC_RESULTS_PATH=path), "E007")
        assert message.startswith(f"FABRIC_RESULTS_PATH is {path!r}. Set it to a folder below RESULT_ROOT")
        assert hint == "Correct FABRIC_RESULTS_PATH."

    @pytest.mark.parametrize("name", ["FIREANT_API_KEY", "AZURE_CLIENT_SECRET"])
    def test_w119_a_secret_that_is_too_short_to_be_masked(self, settings: DjangoSettings, name: str) -> None:
        message, hint = only(found(settings, **{**PRODUCTION, name: "s3cret7"}), "W119")
        assert message.startswith(f"{name} has fewer than 8 characters")
        assert "s3cret7" not in message + hint
        assert found(settings, **{name: "s3cret78"}) == []

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
        assert message.startswith("USE_TZ is False, but psycopg2")
        assert "psycopg 3" in hint

    @on_mysql
    @pytest.mark.parametrize("level", ["repeatable read", None])
    def test_e011_an_isolation_level_that_reads_outdated_rows(
        self, monkeypatch: pytest.MonkeyPatch, level: str | None
    ) -> None:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
        message, hint = only(ours(), "E011")
        assert message.startswith(f"DATABASES['default'] has the isolation level {level!r}")
        assert "read committed" in hint

    @pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
    def test_w120_an_isolation_level_with_frequent_conflicts(self, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL ends a transaction that would wait for another")
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", IsolationLevel[level])
        message, hint = only(ours(), "W120")
        assert message.startswith(f"DATABASES['default'] has the isolation level {level}")
        assert "READ_COMMITTED" in hint
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", IsolationLevel.READ_COMMITTED)
        assert ours() == []

    @on_mysql
    def test_e012_a_server_that_is_too_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "OLDEST_MARIADB", (99, 1))
        assert checks.check_server(None, databases=["reports"]) == []
        message, _hint = only(checks.check_server(None, databases=["default"]), "E012")
        assert message.startswith("DATABASES['default'] is MariaDB 1")
        assert message.endswith("and this app needs 99.1.")

    @on_mysql
    def test_w110_a_database_that_cannot_hold_all_characters(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE CHARACTER SET latin1")
            try:
                message, hint = only(checks.check_server(None, databases=["default"]), "W110")
            finally:
                cursor.execute("ALTER DATABASE CHARACTER SET utf8mb4")
        assert "has the character set latin1" in message
        assert hint.endswith(f"ALTER DATABASE {connection.settings_dict['NAME']} CHARACTER SET utf8mb4")

    @on_mysql
    def test_a_current_server_is_accepted(self) -> None:
        assert checks.check_server(None, databases=["default"]) == []
        messages = [message for message in run_checks(databases=["default"]) if message.obj is not Task]
        assert messages == []  # Django-Q's own table has an index with a condition

    def test_e007_a_workspace_and_a_lakehouse_named_in_two_ways(self, settings: DjangoSettings) -> None:
        message, _hint = only(found(settings, **{**ONELAKE, "FABRIC_LAKEHOUSE_ID": "Results"}), "E007")
        assert "FABRIC_LAKEHOUSE_ID" in message

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({**ONELAKE, "FABRIC_WORKSPACE_ID": "GRM BI", "FABRIC_LAKEHOUSE_ID": "Results"}, "GUIDs"),
            ({"RESULT_ROOT": "/srv/lake [prod]"}, "RESULT_ROOT"),
            ({"RESULT_TABLE": "a/b/c"}, "RESULT_TABLE"),
            ({**ONELAKE, "RESULT_TABLE": "Tables/x"}, "RESULT_TABLE"),
        ],
    )
    def test_e007_a_table_that_cannot_be_reached(
        self, settings: DjangoSettings, given: dict[str, object], says: str
    ) -> None:
        message, _hint = only(found(settings, **given, RESULT_TABLES=True), "E007")
        assert says in message
        assert found(settings, **given, RESULT_TABLES=False) == []

    def test_e007_a_lake_without_encryption(self, settings: DjangoSettings) -> None:
        message, _hint = only(found(settings, **ONELAKE, FABRIC_ACCOUNT_URL="http://lake.example"), "E007")
        assert "Use https://" in message

    @pytest.mark.parametrize("path", ["Files/report_results", "/files/report_results/", "Tables/report_results"])
    def test_w117_the_files_folder_within_itself(self, settings: DjangoSettings, path: str) -> None:
        _message, hint = only(found(settings, **ONELAKE, FABRIC_RESULTS_PATH=path), "W117")
        assert "'report_results'" in hint

    @pytest.mark.parametrize("credential", ["managed_identity", "workload_identity", "default"])
    def test_only_a_client_secret_needs_its_three_settings(self, settings: DjangoSettings, credential: str) -> None:
        lake = {name: value for name, value in ONELAKE.items() if not name.startswith("AZURE_")}
        assert found(settings, **lake, AZURE_CREDENTIAL=credential) == []

    @pytest.mark.parametrize("missing", sorted(ONELAKE.keys() - {"RESULT_STORE"}))
    def test_e007_onelake_needs_its_settings(self, settings: DjangoSettings, missing: str) -> None:
        message, hint = only(found(settings, **{**ONELAKE, missing: None}), "E007")
        assert message == f"{missing} is not set, but RESULT_STORE is 'onelake'."
        assert hint.startswith(f"Set {missing} in the environment or in REPORT_ORCHESTRATOR")

    def test_an_identity_of_the_machine_needs_no_secret(self, settings: DjangoSettings) -> None:
        places = {name: value for name, value in ONELAKE.items() if not name.startswith("AZURE_")}
        assert found(settings, **places, AZURE_CREDENTIAL="managed_identity") == []

    @pytest.mark.parametrize(
        ("missing", "state"),
        [
            ("FIREANT_API_URL", "FIREANT_API_URL is http://127.0.0.1:8099, the local sandbox"),
            ("FIREANT_API_KEY", "FIREANT_API_KEY is not set"),
        ],
    )
    def test_e007_production_needs_fireant(self, settings: DjangoSettings, missing: str, state: str) -> None:
        message, hint = only(found(settings, **{**PRODUCTION, missing: None}), "E007")
        assert message == f"{state}, but APP_ENV is 'prod'."
        assert hint.startswith(f"Set {missing} ")

    @pytest.mark.parametrize("environment", ["dev", "prod"])
    def test_e007_a_key_in_the_open(self, settings: DjangoSettings, environment: str) -> None:
        given = {**PRODUCTION, "APP_ENV": environment, "FIREANT_API_URL": "http://fireant.example"}
        message, hint = only(found(settings, **given), "E007")
        assert message.startswith("FIREANT_API_URL begins with http://")
        assert hint == "Use https://."
        assert "report_orchestrator.E007" in {each.id for each in run_checks(include_deployment_checks=True)}

    def test_w103_reports_in_the_open(self, settings: DjangoSettings) -> None:
        given = {"FIREANT_API_URL": "http://fireant.example", "FIREANT_API_KEY": None}
        message, _hint = only(found(settings, **given), "W103")
        assert message.startswith("FIREANT_API_URL begins with http://")

    def test_w103_a_key_without_an_address(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, FIREANT_API_URL=None, FIREANT_API_KEY="a-long-k3y"), "W103")
        assert message.startswith("FIREANT_API_KEY is set, but FIREANT_API_URL is not")
        assert "a-long-k3y" not in message + hint

    def test_this_machine_needs_no_encryption(self, settings: DjangoSettings) -> None:
        assert found(settings, **{**PRODUCTION, "FIREANT_API_URL": "http://[::1]:9000"}) == []

    def test_w104_results_that_stay_on_one_machine(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, **{**PRODUCTION, "RESULT_STORE": "local"}), "W104")
        assert message.startswith("RESULT_STORE is 'local', and APP_ENV is 'prod'")
        assert "'onelake'" in hint
        assert "RESULT_ROOT" in hint

    def test_w104_onelake_is_configured_and_not_used(self, settings: DjangoSettings) -> None:
        assert found(settings, RESULT_STORE="local") == []
        message, _hint = only(found(settings, AZURE_TENANT_ID="a-tenant"), "W104")
        assert message.startswith("RESULT_STORE is 'local', and AZURE_TENANT_ID is set: results stay")

    @pytest.mark.parametrize("name", ["DJANGO_API_URL", "DJANGO_JWT_TOKEN"])
    def test_w116_variables_of_the_replaced_system(
        self, name: str, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "s3cret-value")
        message, hint = only(found(settings), "W116")
        assert message.startswith(f"The environment variable {name} is set, but it is not used: the app runs within")
        assert hint == f"Remove {name} once the system that it was for is stopped."
        assert "s3cret-value" not in message + hint

    def test_w106_a_lease_that_ends_before_a_slow_answer_comes(self, settings: DjangoSettings) -> None:
        message, hint = only(found(settings, LEASE_SECONDS=60), "W106")
        assert message.startswith("LEASE_SECONDS is 60, less than four times TIMEOUT_SECONDS")
        assert hint == "Raise LEASE_SECONDS, or lower TIMEOUT_SECONDS."
        assert only(found(settings, LEASE_SECONDS=60, TIMEOUT_SECONDS=16), "W106")
        assert found(settings, LEASE_SECONDS=60, TIMEOUT_SECONDS=15) == []

    def test_w114_a_window_that_is_not_shorter_than_the_lookback(self, settings: DjangoSettings) -> None:
        windows = {"SCHEDULING_APPROACH": "schedule", "SCHEDULE_CRON_EXPRESSION": "0 6 * * *"}
        message, hint = only(found(settings, **windows, SCHEDULE_INTERVAL_SECONDS=86400), "W114")
        assert message.startswith("SCHEDULE_INTERVAL_SECONDS is 86400, and MAX_LOOKBACK_SECONDS 86400: ")
        assert hint == "Raise MAX_LOOKBACK_SECONDS to at least twice SCHEDULE_INTERVAL_SECONDS."
        assert found(settings, MAX_LOOKBACK_SECONDS=172800) == []
        assert found(settings, MAX_LOOKBACK_SECONDS=86400, SCHEDULING_APPROACH="sensor") == []

    @pytest.mark.parametrize(
        ("cron", "gap"),
        [("0 6 * * 1-5", 259200), ("*/7 * * * *", 420), ("0 0 29 2 *", 126230400), ("0 8,9 * * *", 82800)],
    )
    def test_w115_a_window_that_is_shorter_than_a_gap_of_its_cron(
        self, settings: DjangoSettings, cron: str, gap: int
    ) -> None:
        windows = {"SCHEDULING_APPROACH": "schedule", "SCHEDULE_CRON_EXPRESSION": cron, "MAX_LOOKBACK_SECONDS": 10**9}
        message, _hint = only(found(settings, **windows, SCHEDULE_INTERVAL_SECONDS=gap - 1), "W115")
        assert f"SCHEDULE_CRON_EXPRESSION ({cron}) has up to {gap} seconds between two windows" in message
        assert message.startswith("SCHEDULE_INTERVAL_SECONDS is ")
        assert found(settings, SCHEDULE_INTERVAL_SECONDS=gap) == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RESULT_ROOT", "var/lake  # the folder"),
            ("RESULT_ROOT", "var/lake\t# below it"),
            ("FIREANT_API_KEY", "s3cr3t # from the vault"),
        ],
    )
    def test_w111_a_comment_that_became_part_of_a_text(self, settings: DjangoSettings, name: str, value: str) -> None:
        message, hint = only(found(settings, **{"FIREANT_API_URL": "https://fireant.example", name: value}), "W111")
        assert message.startswith(f"{name} contains a '#' after a space")
        assert "its own line" in hint
        assert "s3cr3t" not in message + hint

    def test_a_hash_within_a_path_is_no_comment(self, settings: DjangoSettings) -> None:
        assert found(settings, RESULT_ROOT="var/lake#2") == []
