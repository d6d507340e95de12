"""A project that also has django-celery-beat, which needs an old cron-descriptor. Runs in `make floors`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.demo.environment import Environment

pytest.importorskip("django_celery_beat", reason="installed by `make floors` only: it needs cron-descriptor below 2")

PAGES = """
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_superuser("boss", password="x")
client = Client(SERVER_NAME="localhost")
client.force_login(User.objects.get())
for page in ("", "report_orchestrator/reportschedule/", "report_orchestrator/reportrun/", "django_celery_beat/"):
    print(client.get(f"/admin/{page}").status_code)
"""


def test_a_project_with_django_celery_beat_works(tmp_path: Path) -> None:
    environment = Environment(folder=tmp_path, overrides={"DJANGO_SETTINGS_MODULE": "tests.host.celery_beat_settings"})
    environment.manage("check", "--fail-level", "WARNING")
    for database in ("default", "reports"):
        environment.manage("migrate", "-v0", "--database", database)
    assert environment.manage("shell", "-v0", "-c", PAGES).split() == ["200"] * 4
    explained = json.loads(environment.manage("explain_cron", "0 2 1 * 1", "--format", "json"))
    assert explained["words"] == "At 02:00, on day 1 of the month; at 02:00, only on Monday"
