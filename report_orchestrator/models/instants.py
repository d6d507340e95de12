"""Instants in the database: UTC, whatever the host's `USE_TZ` and `TIME_ZONE` are, and whether or not it changes them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

_ST = TypeVar("_ST", contravariant=True)
_GT = TypeVar("_GT", covariant=True)

if TYPE_CHECKING:
    DateTimeField = models.DateTimeField
else:

    class DateTimeField(models.DateTimeField, Generic[_ST, _GT]):
        """Django's DateTimeField is generic for the type checker only."""


class InstantField(DateTimeField[_ST, _GT]):
    """A `DateTimeField` whose values are aware UTC in Python, with time zones on (`USE_TZ`) or off.

    Databases that know time zones (PostgreSQL) keep the instant. The others keep a wall clock, which is always that of
    UTC, so that the hour which the host's clocks repeat in autumn stays two hours.

    A naive value that is assigned or looked up is taken for one of the host's `TIME_ZONE`, as Django takes it.
    """

    def get_prep_value(self, value: Any) -> datetime | None:
        """The instant as aware UTC."""
        instant: datetime | None = super().get_prep_value(value)
        if instant is None:
            return None
        if timezone.is_naive(instant):
            instant = timezone.make_aware(instant, timezone.get_default_timezone())
        return instant.astimezone(UTC)

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> object | None:
        """The instant itself, or the wall clock of UTC where the database knows no time zones."""
        instant: datetime | None = value if prepared else self.get_prep_value(value)
        if instant is None or connection.features.supports_timezones:
            return instant
        wall_clock: object = connection.ops.adapt_datetimefield_value(instant.replace(tzinfo=None))
        return wall_clock

    def from_db_value(
        self, value: datetime | None, expression: object, connection: BaseDatabaseWrapper
    ) -> datetime | None:
        """Aware UTC, of a column and of an expression over one alike."""
        if value is None:
            return None
        if not connection.features.supports_timezones:
            return value.replace(tzinfo=UTC)
        if timezone.is_naive(value):
            value = value.replace(tzinfo=_session_zone(connection))
        return value.astimezone(UTC)


def _session_zone(connection: BaseDatabaseWrapper) -> tzinfo:
    """The zone in which the driver has just read.

    With time zones off Django cuts the offset from what psycopg read in the session's zone. psycopg set `fold`, so with
    the same zone the instant comes back exactly, in the repeated hour too.
    """
    zone: tzinfo = connection.connection.info.timezone
    return zone
