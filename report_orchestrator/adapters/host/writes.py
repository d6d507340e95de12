"""Write into the host's tables, and name the setting where they refuse a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, InternalError, ProgrammingError, router
from django.db.models import ForeignKey, ForeignObjectRel, Model

from report_orchestrator.adapters.host.fields import field_named
from report_orchestrator.adapters.host.keys import Keys
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, LedgerError
from report_orchestrator.models.database_errors import is_transient

REFUSALS = (IntegrityError, DataError, InternalError, ProgrammingError, ValidationError, ValueError, TypeError)
"""Errors of a database, or of a model's own code, that another try does not cure unless they are transient."""


@contextmanager
def refusals_of(model: type[Model], row: str, remedy: str, *, code: str = ErrorCode.JOB_RECORD) -> Iterator[None]:
    """Turn a refused row into a `LedgerError`. A transient error of the database passes as it is.

    Raises:
        LedgerError: the host's table refused the row.
    """
    try:
        yield
    except REFUSALS as error:  # a broken reference may surface only at the commit
        if is_transient(error):
            raise
        reason = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        message = f"{model._meta.label} rejected {row}: {reason.rstrip('.')}. {remedy}"
        raise LedgerError(message, code=code) from error


def reference(model: type[Model], path: str, target: type[Model], key: str) -> dict[str, Any]:
    """Return the column and the value by which a row of `model` refers to the row of `target` with this key.

    A foreign key may hold another column than the primary key. A field that is no relation holds the key itself.

    Raises:
        LedgerError: there is no such row, or its column is empty.
    """
    field = field_named(model, path)
    value = Keys(model=target).value(key)
    if isinstance(field, ForeignKey) and field.target_field.name != target._meta.pk.name:
        rows = target._base_manager.using(router.db_for_write(target)).filter(pk=value)
        value = rows.values_list(field.target_field.name, flat=True).first()
    if value is None:
        raise LedgerError(
            f"{model._meta.label}.{field.name} cannot refer to {key} of {target._meta.label}: there is no such row, or its "
            "column for references is empty. If it was deleted meanwhile, start a new run."
        )
    return {field.attname: value}


def refuse_other_target(model: type[Model], path: str, target: type[Model], setting: str) -> None:
    """Raise `ConfigurationError` if the field is a relation that leads to other rows than those of `target`."""
    related = field_named(model, path).related_model
    if isinstance(related, type) and not issubclass(target, related._meta.concrete_model or related):
        raise ConfigurationError(
            f"{model._meta.label}.{path} leads to {related._meta.label}, not to {target._meta.label}. "
            f"Name another field in {setting}."
        )


def accessor(model: type[Model], name: str) -> str:
    """Return the attribute of a many-to-many field. The other end of one has its own name in queries."""
    field: Any = field_named(model, name)
    return str(field.get_accessor_name()) if isinstance(field, ForeignObjectRel) else name
