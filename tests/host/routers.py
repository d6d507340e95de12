from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Model


def home_of(app_label: str) -> str:
    """The alias of the one database that holds an app's tables."""
    return "reports" if app_label == "api" else "default"


class ReportsRouter:
    """The host's reports live in a database of their own, and everything else in `default`."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return home_of(model._meta.app_label)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return home_of(model._meta.app_label)

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return home_of(one._meta.app_label) == home_of(other._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == home_of(app_label)


class ReplicaReads(ReportsRouter):
    """Everything is read from the replica of its database."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return f"{home_of(model._meta.app_label)}_replica"
