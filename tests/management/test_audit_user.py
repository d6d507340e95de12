"""The audit names the process's real user, whatever the environment says."""

from __future__ import annotations

import os
import pwd

import pytest

from report_orchestrator.management.audit_user import command_line_user

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

OWN = pwd.getpwuid(os.getuid()).pw_name


def test_the_users_own_variables_name_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "someone.else")
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert command_line_user() == f"{OWN} (command line)"


@pytest.mark.parametrize(("user", "named"), [(0, "nobody as root"), (1, "daemon")])
def test_sudo_is_named_for_root_alone(monkeypatch: pytest.MonkeyPatch, user: int, named: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam("nobody").pw_uid))
    assert command_line_user() == f"{named} (command line)"


@pytest.mark.parametrize("before", ["", "0", "x", "9" * 30, "-1"])
def test_an_unlikely_user_before_root_is_left_out(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", before)
    assert command_line_user() == "root (command line)"


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert command_line_user() == "user 4000000000 (command line)"
