"""Checks of the settings' names and values, and of the table of results."""

from __future__ import annotations

import importlib.util

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING
from tests.support.check_messages import PRODUCTION, found, ids, only, ours

pytestmark = pytest.mark.django_db(databases=["default", "reports"])  # newer Djangos look at the database in a check


def test_the_example_host_has_nothing_to_correct() -> None:
    assert ours() == []


def test_a_whole_configuration_for_production_has_nothing_to_correct(settings: DjangoSettings) -> None:
    assert found(settings, **PRODUCTION) == []


class TestTables:
    def test_e010_the_libraries_are_missing(self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(
            "report_orchestrator.checks.requirements.find_spec", lambda name: None if name == "ijson" else find(name)
        )
        message, hint = only(found(settings, RESULT_TABLES=True), "E010")
        assert message == "RESULT_TABLES is on, but ijson is not installed."
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
        assert hint == "Add REPORT_ORCHESTRATOR = {'REPORT_MODEL': 'api.Report'} to your settings."

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
        assert message == "MAX_RETRIES is invalid: it must be a number. It is 'many'."
        assert hint == "Correct MAX_RETRIES in REPORT_ORCHESTRATOR, or remove it for the default."

    def test_e003_a_variable_of_the_environment(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCHEDULING_APPROACH", "sensors")
        message, _hint = only(found(settings), "E003")
        assert (
            message == "SCHEDULING_APPROACH is invalid: it must be one of sensor, schedule, pipeline. It is 'sensors'."
        )

    def test_an_unreadable_secret_is_not_shown(self, settings: DjangoSettings) -> None:
        messages = found(settings, FIREANT_API_URL="https://ann:hush@fireant.example")
        message, hint = only(messages, "E003")
        assert "FIREANT_API_URL" in message
        assert "hush" not in message + hint

    def test_all_mistakes_are_told_at_once(self, settings: DjangoSettings) -> None:
        messages = found(settings, XYZ=5, MAX_RETRIES="many", REPORT_MODEL="api.Reprot")
        assert sorted(ids(messages)) == ["E002", "E003", "E004"]
