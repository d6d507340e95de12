"""The foreign hosts of `tests.hosts`, alone and with a local Fireant."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection
from django.db.models import BinaryField, Model
from django.test import override_settings
from pytest_django import DjangoDbBlocker
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from tests.support.event_shapes import Host


def _has_a_table(model: type[Model]) -> bool:
    """Return False for proxies, and on MySQL for a key of bytes, which it cannot index."""
    is_unindexable = connection.vendor == "mysql" and isinstance(model._meta.pk, BinaryField)
    return not model._meta.proxy and not is_unindexable


@pytest.fixture(scope="module")
def hosts(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Install the app of the foreign hosts, with its tables, for a module of tests."""
    logger = logging.getLogger("report_orchestrator")
    before = logger.handlers[:], logger.level, logger.propagate
    with (
        django_db_blocker.unblock(),
        override_settings(INSTALLED_APPS=[*django_settings.INSTALLED_APPS, "tests.hosts"]),
    ):
        models = [model for model in apps.get_app_config("hosts").get_models() if _has_a_table(model)]
        with connection.schema_editor() as editor:
            for model in models:
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in reversed(models):
                editor.delete_model(model)
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def host(request: pytest.FixtureRequest, settings: DjangoSettings, tmp_path: Path) -> Iterator[Host]:
    """Yield a host with the settings of the parameter, and a local Fireant."""
    with FireantSandbox(SandboxOptions(api_key="sandbox-key")) as fireant:
        ours = {"RESULT_ROOT": str(tmp_path), "FIREANT_API_URL": fireant.url, "FIREANT_API_KEY": "sandbox-key"}
        setattr(settings, SETTING, {**request.param, **ours})
        yield Host(fireant)
