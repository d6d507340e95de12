"""Turn a model's primary keys into text and back. Our tables and commands hold keys as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, router
from django.db.models import Field, IntegerField, Model

_WIDEST = (-(2**63), 2**63 - 1)
"""Drivers refuse larger integers, also where the database sets no limit."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The primary keys of one model.

    A key is converted, never validated: validators guard forms, and the table may hold what they refuse today.
    """

    model: type[Model]

    def value(self, text: str) -> object | None:
        """Return the key that a text names; None if no row of this model can have it."""
        try:
            value: object = self._column.to_python(text)
            text.encode()
        except (ValidationError, ValueError, TypeError, OverflowError):
            return None
        if "\0" in text or (isinstance(value, int) and not self._range[0] <= value <= self._range[1]):
            return None
        return value

    def values(self, texts: Iterable[str]) -> list[object]:
        """Return those keys that a row of this model can have."""
        return [value for text in texts if (value := self.value(text)) is not None]

    def problem(self, key: object) -> str:
        """Return the reason why this key is unusable, or an empty text: it is empty, or cannot be found again by its text."""
        if key == "":
            return "The key is empty, so the report's results would have no folder. Give the report another key."
        if self.value(str(key)) == key:
            return ""
        field = f"{type(self._column).__name__} {self.model._meta.label}.{self.model._meta.pk.name}"
        return f"The key {str(key)!r} of the {field} cannot be converted to text and back. Give the report another key."

    @cached_property
    def _column(self) -> Field[Any, Any]:
        """The field that holds the key, which for a child model or a one-to-one key belongs to the other model."""
        field: Any = self.model._meta.pk
        while field.remote_field is not None:
            field = field.target_field
        return field  # type: ignore[no-any-return]

    @cached_property
    def _range(self) -> tuple[int, int]:
        if not isinstance(self._column, IntegerField):
            return _WIDEST
        operations = connections[router.db_for_read(self.model)].ops
        limits: Sequence[int | None] = operations.integer_field_range(self._column.get_internal_type())
        low, high = (limit if own is None else own for own, limit in zip(limits, _WIDEST, strict=True))
        return max(low, _WIDEST[0]), min(high, _WIDEST[1])
