"""A report's zone by its name."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.services.timetable.cron_zone import named_zone


@pytest.mark.parametrize("name", ["Europe/Kiev", "US/Pacific", "Asia/Calcutta", "PST8PDT", "EST", "Etc/GMT+3", "UTC"])
def test_old_and_current_names_are_zones(name: str) -> None:
    assert named_zone(name, "report 1") == ZoneInfo(name)


@pytest.mark.parametrize("name", ["", " ", "\u00a0\t"])
def test_a_blank_name_is_the_projects_zone(name: str) -> None:
    assert named_zone(name, "report 1") == timezone.get_default_timezone()


def test_blanks_around_a_name_do_not_count() -> None:
    assert named_zone(" Europe/Amsterdam\u00a0", "report 1") == ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("right/Europe/Amsterdam", "Use Europe/Amsterdam, or leave it empty"),
        ("posix/Europe/Amsterdam", "Use Europe/Amsterdam, or leave it empty"),
        ("localtime", "Use a name such as Europe/Amsterdam"),
        ("posixrules", "Use a name such as Europe/Amsterdam"),
        ("Factory", "Use a name such as Europe/Amsterdam"),
        ("Mars/Olympus", "'Mars/Olympus', which does not exist. Use a name such as Europe/Amsterdam"),
        ("\ufeffUTC", "(U+FEFF before 'UTC'), which does not exist"),
        ("Europe/Amster\u200bdam", "(U+200B before 'dam'), which does not exist"),
    ],
)
def test_a_file_that_is_no_zone_is_refused_with_advice(name: str, advice: str) -> None:
    with pytest.raises(InvalidReportError) as refused:
        named_zone(name, "report 1")
    assert advice in refused.value.message
    assert refused.value.code == "invalid_timezone"
