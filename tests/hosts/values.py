"""Fields whose values need care on their way to Fireant."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models

from tests.hosts.base import Grouped


class Money:
    """An amount that is written for people, in their language."""

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount

    def __str__(self) -> str:
        return f"€{self.amount:,.2f}"


class MoneyField(models.DecimalField):  # type: ignore[type-arg]  # Django has no type arguments at run time
    """A number in its column, money in Python."""

    def from_db_value(self, value: Decimal | None, *_args: object) -> Money | None:
        return None if value is None else Money(value)

    def to_python(self, value: Any) -> Any:
        return super().to_python(value.amount if isinstance(value, Money) else value)


class Colour:
    """A value without any known form."""


class ColourField(models.TextField):  # type: ignore[type-arg]
    """Gives its column's value neither as text nor as a number."""

    def from_db_value(self, value: str | None, *_args: object) -> Colour | None:
        return None if value is None else Colour()

    def get_prep_value(self, value: Any) -> Any:
        return value if isinstance(value, Colour) else super().get_prep_value(value)


class SealedField(models.TextField):  # type: ignore[type-arg]
    """Cannot be read, as if its key were lost."""

    def from_db_value(self, value: str | None, *_args: object) -> None:
        if value is not None:
            raise LookupError(f"no key opens {value}")


class ValueReport(Grouped):
    threshold = MoneyField(max_digits=14, decimal_places=2, null=True)
    thumbnail = models.BinaryField(null=True)
    colour = ColourField(null=True)
    sealed = SealedField(null=True)
    ratio = models.FloatField(null=True)


class OverwrittenReport(Grouped):
    """Bears names of the payload's own."""

    meta = models.JSONField(default=dict)
    as_at_date = models.DateField(null=True)
    rings = models.IntegerField(default=0)
