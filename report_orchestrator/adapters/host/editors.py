"""Read in the admin's log who edited the host's reports."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import DatabaseError, router
from django.db.models import Model

from report_orchestrator.adapters.host.changes.watches import savepoint
from report_orchestrator.adapters.host.timestamps import host_stamp, later_than
from report_orchestrator.models.operator_actions import actor_name

NEAR = timedelta(seconds=30)
"""The admin logs an edit in the edit's own transaction, so an entry further away belongs to another edit."""

_logger = logging.getLogger(__name__)


def editors_in_log(model: type[Model], edited_at: Mapping[str, datetime]) -> Mapping[str, str]:
    """Return the users who edited these rows at about these instants, by key, as the log of `django.contrib.admin` names them.

    One query. Without the admin, or where its log cannot be read, nobody is known.
    """
    if not edited_at or not apps.is_installed("django.contrib.admin"):
        return {}
    log: Any = apps.get_model("admin", "LogEntry")
    alias = router.db_for_write(log)  # a replica may not have the entry yet
    entries = log.objects.using(alias).filter(
        content_type__app_label=model._meta.app_label,
        content_type__model__in=_names_of(model),
        object_id__in=list(edited_at),
        action_time__gt=later_than(min(edited_at.values()) - NEAR),
    )
    user_name = f"user__{get_user_model().USERNAME_FIELD}"
    try:
        with savepoint(alias):
            found = list(
                entries.order_by("action_time", "pk").values_list("object_id", "action_time", user_name, "user_id")
            )
    except DatabaseError:
        _logger.exception("The admin's log cannot be read, so it is not recorded who changed reports.")
        return {}
    return dict(_near(found, edited_at))


def _near(
    found: Iterable[tuple[str, datetime, str, object]], edited_at: Mapping[str, datetime]
) -> Iterable[tuple[str, str]]:
    for key, logged_at, name, user_id in found:
        at = host_stamp(logged_at)
        if at is not None and abs(at - edited_at[key]) <= NEAR:
            yield key, actor_name(name, user_id)


def _names_of(model: type[Model]) -> list[str]:
    """Return the names of the model and its proxies: the log has the class of the admin that made the edit."""
    concrete = model._meta.concrete_model
    return [str(other._meta.model_name) for other in apps.get_models() if other._meta.concrete_model is concrete]
