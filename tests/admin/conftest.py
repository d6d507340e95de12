"""People who may see the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.support.dashboard import SignIn


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
