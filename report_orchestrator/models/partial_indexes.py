"""Models whose indexes and constraints have conditions, which MySQL and MariaDB ignore."""

from typing import Any

from django.core.checks import CheckMessage
from django.db import models

IGNORED_CONDITIONS = frozenset({"models.W036", "models.W037"})
"""Django's warnings. An index without its condition is only larger; migration 0005 enforces the constraint in another way."""


class PartiallyIndexedModel(models.Model):
    """A model without the warnings about conditions that the database ignores."""

    class Meta:
        abstract = True

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        return [message for message in super().check(**kwargs) if message.id not in IGNORED_CONDITIONS]
