"""People who may see the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from report_orchestrator.admin.dashboard import board
from report_orchestrator.services.monitoring import live_reads
from report_orchestrator.services.monitoring.live_reads import SharedReads
from tests.support.dashboard import SignIn


@pytest.fixture(autouse=True)
def _reads_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page of a test reads for itself, however soon it follows another one."""
    monkeypatch.setattr(live_reads, "STAMPS", SharedReads(seconds=0))
    monkeypatch.setattr(board, "DASHBOARDS", SharedReads(seconds=0))


@pytest.fixture
def sign_in(client: Client) -> SignIn:
    def as_staff(*codenames: str, **given: Any) -> Client:
        user = User.objects.create_user(f"person {User.objects.count()}", **{"is_staff": True} | given)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return as_staff


@pytest.fixture
def boss(sign_in: SignIn) -> Client:
    return sign_in(is_superuser=True)


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in("view_reportschedule", "view_reportrun", "view_reportchange")
