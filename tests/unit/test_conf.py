"""How settings are read."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import override_settings

from report_orchestrator.conf import (
    OPERATIONAL,
    SPECS,
    Secret,
    get_settings,
    load_settings,
    parse_settings,
    without_comment,
)
from report_orchestrator.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("0 * * * *  # every hour", "0 * * * *"),
        ("60 # seconds", "60"),
        ("60\t# seconds", "60"),
        ("pass#word", "pass#word"),
        ("'kept # whole'  # but not this", "kept # whole"),
        ('"kept # whole"', "kept # whole"),
        ("# nothing but a comment", ""),
        ("   ", ""),
        ("'unclosed", "'unclosed"),
    ],
)
def test_a_comment_behind_a_value_is_not_part_of_it(raw: str, value: str) -> None:
    assert without_comment(raw) == value


def test_the_dict_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"MAX_RETRIES": "7", "POLL_INTERVAL_SECONDS": "5  # fast"}
    settings, problems = parse_settings({"MAX_RETRIES": 1}, environment)
    assert problems == []
    assert settings.max_retries == 1
    assert settings.poll_interval == timedelta(seconds=5)
    assert settings.timeout == timedelta(seconds=30)


def test_an_empty_variable_means_the_default() -> None:
    assert parse_settings({}, {"POLL_INTERVAL_SECONDS": ""})[0].poll_interval == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MAX_RETRIES", "many", "it must be a number"),
        ("MAX_RETRIES", "1.5", "it must be a whole number"),
        ("MAX_RETRIES", "-1", "it must be 0 or more"),
        ("MAX_RETRIES", "inf", "it must be 0 or more"),
        ("SCHEDULING_APPROACH", "sensors", "it must be one of sensor, schedule, pipeline"),
        ("SCHEDULE_CRON_EXPRESSION", "99 * * * *", "is not valid"),
        ("FIREANT_API_URL", "fireant.example", "https://"),
        ("FIREANT_API_URL", "https://me:secret@fireant.example", "user name or password"),
        ("CONFIGURE_LOGGING", "perhaps", "it must be true or false"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_what_it_must_be(name: str, value: str, says: str) -> None:
    _settings, [problem] = parse_settings({}, {name: value})
    assert problem.setting == name
    assert says in problem.message


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("MAX_RETRIES", "many", "'many'"),
        ("SCHEDULING_APPROACH", "sensors", "'sensors'"),
        ("POLL_INTERVAL_SECONDS", "x" * 900, "'" + "x" * 99),
        ("FIREANT_API_URL", "https://me:hunter2@fireant.example", "'https://***@fireant.example'"),
        ("FIREANT_API_URL", "http://me:p@ss@fireant.example", "'http://***@fireant.example'"),
        ("FIREANT_API_URL", 'http://me:p/"ss@fireant.example:x/y', "'http://***@fireant.example:x/y'"),
        ("FIREANT_API_URL", "me:p@ss@fireant.example/y", "'***@fireant.example/y'"),
        ("FIREANT_API_URL", "s3cr3t", "'***'"),
        ("SCHEDULING_APPROACH", "cl13nt", "'***'"),
    ],
)
def test_the_wrong_value_is_shown_unless_it_is_a_secret(name: str, value: str, shown: str) -> None:
    given = {"FIREANT_API_KEY": "s3cr3t", "AZURE_CLIENT_SECRET": "cl13nt", name: value}
    _settings, [problem] = parse_settings(given, {})
    assert f"It is {shown}." in problem.message


def test_all_problems_are_told_at_once() -> None:
    _settings, problems = parse_settings({}, {"MAX_RETRIES": "x", "LEASE_SECONDS": "y"})
    assert {problem.setting for problem in problems} == {"MAX_RETRIES", "LEASE_SECONDS"}


def test_a_misspelt_key_is_refused_with_the_one_that_was_meant() -> None:
    with override_settings(REPORT_ORCHESTRATOR={"REPORT_MODEL": "api.Report", "RESULT_STROE": "local"}):
        _settings, [problem] = load_settings()
        assert problem.message == "REPORT_ORCHESTRATOR has no key 'RESULT_STROE'."
        assert problem.hint == "Did you mean 'RESULT_STORE'?"
        with pytest.raises(ConfigurationError, match="RESULT_STROE"):
            get_settings()


def test_settings_are_read_anew_when_they_change() -> None:
    with override_settings(REPORT_ORCHESTRATOR={"REPORT_MODEL": "api.Report", "MAX_RETRIES": 9}):
        assert get_settings().max_retries == 9
    assert get_settings().max_retries == 3


def test_a_secret_shows_nowhere() -> None:
    settings, _problems = parse_settings({"FIREANT_API_KEY": "s3cr3t"}, {"AZURE_CLIENT_SECRET": "hush"})
    assert "s3cr3t" not in repr(settings)
    assert "hush" not in repr(settings)
    assert f"{Secret('s3cr3t')}" == "Secret('***')"
    assert settings.fireant_api_key.reveal() == "s3cr3t"
    assert settings.masked("key s3cr3t, secret hush") == "key ***, secret ***"


def test_every_setting_of_the_environment_stands_in_the_example_with_its_default() -> None:
    example = Path(__file__).parents[2] / "env.example"
    lines = [line for line in example.read_text().splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    assert values.keys() == set(OPERATIONAL)
    assert parse_settings({}, values) == parse_settings({}, {})


def test_what_a_dict_gives_is_taken_to_the_letter() -> None:
    settings, _problems = parse_settings({"FIREANT_API_KEY": "ab #cd"}, {})
    assert settings.fireant_api_key.reveal() == "ab #cd"


def test_every_setting_stands_in_the_readme_with_its_default() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.*?)` \|", readme, re.MULTILINE))
    defaults = {name: str(spec.default) if spec.default != "" else '""' for name, spec in SPECS.items()}
    assert rows == defaults
