"""Store instants as UTC, independent of the host's `USE_TZ` and `TIME_ZONE`, which may change."""

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
    """A `DateTimeField` whose values are aware UTC in Python, with `USE_TZ` on or off.

    Databases with time zones (PostgreSQL) store the instant. Others store the wall clock of UTC, so that the two passes of
    the hour repeated in autumn stay distinct. Naive values are interpreted in the host's `TIME_ZONE`, as Django does.
    """

    def get_prep_value(self, value: Any) -> datetime | None:
        instant: datetime | None = super().get_prep_value(value)
        if instant is None:
            return None
        if timezone.is_naive(instant):
            instant = timezone.make_aware(instant, timezone.get_default_timezone())
        return instant.astimezone(UTC)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> object | None:
        """Return the instant, or the wall clock of UTC for a database without time zones."""
        instant: datetime | None = value if prepared else self.get_prep_value(value)
        if instant is None or connection.features.supports_timezones:
            return instant
        wall_clock: object = connection.ops.adapt_datetimefield_value(instant.replace(tzinfo=None))
        return wall_clock

    def from_db_value(
        self, value: datetime | None, expression: object, connection: BaseDatabaseWrapper
    ) -> datetime | None:
        """Return aware UTC, for columns and for expressions over them."""
        if value is None:
            return None
        if not connection.features.supports_timezones:
            return value.replace(tzinfo=UTC)
        if timezone.is_naive(value):
            value = value.replace(tzinfo=_session_zone(connection))
        return value.astimezone(UTC)


def _session_zone(connection: BaseDatabaseWrapper) -> tzinfo:
    """Return the zone in which the driver read a value.

    With `USE_TZ` off, Django strips the offset from the value that psycopg read in the session's zone. psycopg sets
    `fold`, so the same zone restores the exact instant, also in the repeated hour.
    """
    zone: tzinfo = connection.connection.info.timezone
    return zone
