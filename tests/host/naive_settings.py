"""The same host without time zones, with its clocks in New York."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.host.settings import *  # noqa: F403
from tests.host.settings import env

USE_TZ = False
TIME_ZONE = "America/New_York"

SESSION_TIME_ZONE = env.str("SESSION_TIME_ZONE", default="")
"""A zone for PostgreSQL's sessions, set behind Django's back."""


def move_session(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """As a host's own code, a pooler or a trigger may do."""
    if SESSION_TIME_ZONE and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, false)", [SESSION_TIME_ZONE])


connection_created.connect(move_session)
