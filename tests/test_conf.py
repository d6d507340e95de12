"""Settings are read from the dict, the environment and the defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import override_settings

from report_orchestrator.conf import FIELDS, OPERATIONAL, SPECS, get_settings, load_settings, parse_settings
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.masking import masked
from report_orchestrator.setting_values import Secret, without_comment


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


@pytest.mark.parametrize(
    ("value", "secret"),
    [("#abc", "#abc"), (" #a#b ", "#a#b"), ("# a comment", ""), ("#a comment", ""), ("#", ""), ("abc  # new", "abc")],
)
def test_a_secret_may_begin_with_what_begins_a_comment(value: str, secret: str) -> None:
    settings, problems = parse_settings({}, {"FIREANT_API_KEY": value, "FABRIC_WORKSPACE_ID": "#none"})
    assert problems == []
    assert settings.fireant_api_key.reveal() == secret
    assert settings.fabric_workspace_id == ""


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
        ("MAX_RETRIES", "-1", "it must be from 0 to 1000"),
        ("MAX_RETRIES", "inf", "it must be from 0 to 1000"),
        ("TIMEOUT_SECONDS", "0", "it must be from 0.1 to 3600. It is '0'."),
        ("MAX_LOOKBACK_SECONDS", "99999999999", "it must be from 60 to 3153600000. It is '99999999999'."),
        ("KEEP_RUNS_DAYS", "1000000", "it must be from 0 to 36500. It is '1000000'."),
        ("SCHEDULING_APPROACH", "sensors", "it must be one of sensor, schedule, pipeline"),
        ("SCHEDULE_CRON_EXPRESSION", "99 * * * *", "is not valid"),
        ("FIREANT_API_URL", "fireant.example", "https://"),
        ("FIREANT_API_URL", "https://me:secret@fireant.example", "user name or password"),
        ("FIREANT_API_URL", "https://fireant.example/?key=hunter2", "must not contain a query or a fragment"),
        ("FIREANT_API_URL", "https://fireant.example#x", "must not contain a query or a fragment"),
        ("FIREANT_API_URL", "https://fireant.example/api?code=abc", "must not contain a query or a fragment"),
        ("FIREANT_API_URL", "https://fireant.example/a b", "must not contain spaces"),
        ("FIREANT_API_URL", "https://fire\tant.example", "must not contain spaces"),
        ("FABRIC_ACCOUNT_URL", "https://onelake.dfs.fabric.microsoft.com/WS/LH.Lakehouse/Files", "FABRIC_WORKSPACE_ID"),
        ("FABRIC_ACCOUNT_URL", "https://onelake.dfs.fabric.microsoft.com/?x=1", "must not contain a query"),
        ("FABRIC_ACCOUNT_URL", "https://onelake.blob.fabric.microsoft.com", "https://onelake.dfs.fabric.microsoft.com"),
        ("FABRIC_ACCOUNT_URL", "https://westus-onelake.BLOB.fabric.microsoft.com", "DFS endpoint"),
        ("FABRIC_ACCOUNT_URL", "https://app.fabric.microsoft.com", "DFS endpoint"),
        ("FABRIC_ACCOUNT_URL", "abfss://WS@onelake.dfs.fabric.microsoft.com", "https://"),
        ("FABRIC_ACCOUNT_URL", "onelake.dfs.fabric.microsoft.com", "https://"),
        ("AZURE_ACCOUNT_NAME", "onelake.dfs.fabric.microsoft.com", "such as onelake"),
        ("AZURE_ACCOUNT_NAME", "https://onelake.dfs.fabric.microsoft.com", "FABRIC_ACCOUNT_URL"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/contoso.com", "without a path"),
        ("AZURE_AUTHORITY_HOST", "login.microsoftonline.com/contoso.com", "without a path"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com?x=1", "query"),
        ("AZURE_AUTHORITY_HOST", "login microsoft", "spaces"),
        ("RESULT_PAGE_URL", "https://fabric.example/{tenant}", "its placeholders must be of {workspace}, {lakehouse}"),
        ("RESULT_PAGE_URL", "https://fabric.example/{path", "its placeholders"),
        ("RESULT_PAGE_URL", "https://fabric.example/{path!r}", "its placeholders"),
        ("RESULT_PAGE_URL", "https://fabric.example/{path.__class__}", "its placeholders"),
        ("RESULT_PAGE_URL", "javascript:alert(1)", "https://"),
        ("CONFIGURE_LOGGING", "perhaps", "it must be true or false"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_what_it_must_be(name: str, value: str, says: str) -> None:
    _settings, [problem] = parse_settings({}, {name: value})
    assert problem.setting == name
    assert says in problem.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FIREANT_API_URL", "https://fireant.example/api/v1/"),
        ("FIREANT_API_URL", "http://[::1]:8099"),
        ("FABRIC_ACCOUNT_URL", "https://westus-onelake.dfs.fabric.microsoft.com/"),
        ("FABRIC_ACCOUNT_URL", "https://0b1cz.w.dfs.fabric.microsoft.com"),
        ("FABRIC_ACCOUNT_URL", "https://lake.internal:8443"),
        ("FABRIC_ACCOUNT_URL", ""),
        ("RESULT_PAGE_URL", "https://fabric.example/{workspace}/{{x}}?path={path}"),
        ("AZURE_ACCOUNT_NAME", "westus-onelake"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
        ("AZURE_AUTHORITY_HOST", "login.chinacloudapi.cn"),
    ],
)
def test_an_address_that_can_be_is_accepted(name: str, value: str) -> None:
    assert parse_settings({name: value}, {})[1] == []


def test_an_empty_account_name_is_refused_in_the_dict_only() -> None:
    assert parse_settings({"AZURE_ACCOUNT_NAME": ""}, {})[1] != []
    assert parse_settings({}, {"AZURE_ACCOUNT_NAME": ""})[0].azure_account_name == "onelake"


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


@pytest.mark.parametrize("in_environment", [False, True])
def test_a_password_with_a_hash_after_a_blank_is_no_comment(*, in_environment: bool) -> None:
    value = {"FIREANT_API_URL": "https://me:hunter2 # x@fireant.example"}
    _settings, [problem] = parse_settings({} if in_environment else value, value if in_environment else {})
    assert "It is 'https://***@fireant.example'." in problem.message


NUMBERS = [name for name, spec in SPECS.items() if spec.parse.__qualname__.startswith(("integer.", "seconds."))]
ODD_NUMBERS = ["1e20", "1e400", "inf", "-inf", "nan", "9" * 5000, 10**5000, 10**30, -(10**30), timedelta.max, "-1", ""]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ODD_NUMBERS, ids=range(len(ODD_NUMBERS)))
def test_every_number_has_a_range_that_its_error_names(name: str, value: object) -> None:
    settings, [problem] = parse_settings({name: value or " "}, {})
    assert problem.message.startswith(f"{name} is invalid: it must be ")
    assert len(problem.message) < 250
    assert settings == parse_settings({}, {})[0]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_works_at_the_end_of_its_range(name: str) -> None:
    _settings, [problem] = parse_settings({name: "1e30"}, {})
    most = problem.message.partition(" to ")[2].partition(".")[0]
    settings, problems = parse_settings({name: most}, {})
    assert problems == []
    value = getattr(settings, FIELDS[name])
    days = timedelta(days=value) if name.endswith("_DAYS") else value
    if isinstance(days, timedelta):
        assert (datetime.now(UTC) - days).year > 1900


class Unreadable:
    """An object that nothing can be made of."""

    def __str__(self) -> str:
        raise RuntimeError("with s3cr3t")

    __repr__ = __str__


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("value", [Unreadable(), object(), [], {1: 2}, 5, b"\xff", "~nobody/x", "\0", "http://[::1"])
def test_no_value_of_any_setting_ends_in_a_traceback(name: str, value: object) -> None:
    _settings, problems = parse_settings({name: value, "FIREANT_API_KEY": "s3cr3t"} | {name: value}, {})
    assert all(problem.setting == name and "s3cr3t" not in problem.message for problem in problems)


def test_all_problems_are_reported_at_once() -> None:
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
    assert masked("key s3cr3t, secret hush", settings.secrets) == "key ***, secret ***"


def test_every_setting_of_the_environment_stands_in_the_example_with_its_default() -> None:
    example = Path(__file__).parents[1] / "env.example"
    lines = [line for line in example.read_text().splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    assert values.keys() == set(OPERATIONAL)
    assert parse_settings({}, values) == parse_settings({}, {})


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("SCHEDULE_CRON_EXPRESSION", "*/5 * * * *  # every five minutes", "*/5 * * * *"),
        ("MAX_RETRIES", "7 # of one step", 7),
        ("POLL_INTERVAL_SECONDS", "2.5\t# seconds", timedelta(seconds=2.5)),
        ("RESULT_TABLES", "true  # a Delta table too", True),
        ("SCHEDULING_APPROACH", "pipeline # one line each", "pipeline"),
        ("FIREANT_API_URL", "https://fireant.example/api  # ours", "https://fireant.example/api"),
    ],
)
def test_a_comment_that_came_along_into_the_dict_is_cut_off(name: str, value: str, parsed: object) -> None:
    settings, problems = parse_settings({name: value}, {})
    assert problems == []
    assert getattr(settings, FIELDS[name]) == parsed


def test_comments_in_the_example_stand_on_lines_of_their_own() -> None:
    lines = (Path(__file__).parents[1] / "env.example").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and "#" in line] == []


def test_what_a_dict_gives_is_taken_to_the_letter() -> None:
    settings, _problems = parse_settings({"FIREANT_API_KEY": "ab #cd"}, {})
    assert settings.fireant_api_key.reveal() == "ab #cd"


def test_an_invalid_value_of_the_environment_names_the_dict_as_the_way_out() -> None:
    _settings, [problem] = parse_settings({}, {"APP_ENV": "production"})
    assert problem.hint == (
        "Correct the environment variable APP_ENV. If it belongs to another program, set APP_ENV in REPORT_ORCHESTRATOR, "
        "which wins."
    )
