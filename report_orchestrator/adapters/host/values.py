"""Convert values of the host's columns to those that JSON carries, as far as their types allow it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models import Field, Model
from django.utils import timezone

from report_orchestrator.domain.reports import Unreadable

_KNOWN = (
    type(None), bool, int, float, str, date, time, timedelta, Decimal, UUID, IPv4Address, IPv6Address, dict, list, tuple,
    bytes, bytearray, memoryview,
)  # fmt: skip


def field_value(field: Field[Any, Any], instance: Model) -> object:
    """Return an instance's field as JSON; the value itself if it has no such form, and `Unreadable` if it cannot be read."""
    try:
        value = field.value_from_object(instance)
        if isinstance(value, _KNOWN):
            return json_value(value)
        stored = column_value(field, value)
        if isinstance(stored, _KNOWN) or type(field).value_to_string is Field.value_to_string:
            return json_value(stored)
        return field.value_to_string(instance)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a field of any library; the payload's error names field and type
        return Unreadable(error=type(error).__name__)


def column_value(field: Field[Any, Any], value: object) -> object:
    """Return the value that the field's column holds, for a value of a type of its own, such as an amount of money.

    The text of such a value is made for people, and changes with the language.
    """
    return value if isinstance(value, _KNOWN) else field.get_prep_value(value)


def json_value(value: object) -> object:
    """Return a value as JSON: ISO 8601 dates and times, decimals as numbers, UUIDs as text.

    A value of another type is returned as it is: a `PAYLOAD_BUILDER` may convert or remove it before it is refused.
    """
    match value:
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case datetime():
            # Not in the zone that a task of the host may have activated in this process.
            zone = timezone.get_default_timezone()
            return (timezone.make_aware(value, zone) if timezone.is_naive(value) else value).isoformat()
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case timedelta():
            return value.total_seconds()
        case UUID() | IPv4Address() | IPv6Address():
            return str(value)
        case _:
            return value


def json_key(key: object) -> int | str:
    """Return a primary key as JSON carries it: integers as numbers, everything else as text."""
    return key if isinstance(key, int) else str(key)


def text_of(field: Field[Any, Any], value: object) -> str:
    """Return a column's value as text; an empty one for null."""
    if value is None or isinstance(value, str):
        return value or ""
    stored = column_value(field, value)
    return "" if stored is None else str(stored)
