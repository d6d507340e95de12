"""Primary keys of other kinds."""

from __future__ import annotations

import uuid

from django.core.validators import RegexValidator
from django.db import models

from tests.hosts.base import Grouped, Report


class SlugReport(Grouped):
    """Its table may hold keys that a form would refuse."""

    code = models.SlugField(primary_key=True, max_length=250, validators=[RegexValidator("^[a-z]+$")])


class PairReport(Grouped):
    pk = models.CompositePrimaryKey("tenant", "no")
    tenant = models.IntegerField()
    no = models.IntegerField()


class UuidReport(Grouped):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class BytesReport(Grouped):
    """A key that has no text of its own."""

    id = models.BinaryField(primary_key=True, max_length=20)


class ChildReport(Report):
    """Its key is a relation to its parent."""
