"""A host that is well, with a Fireant of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings as DjangoSettings

from report_orchestrator.models import SharedState, StateName
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from tests.host.api.models import Report
from tests.support.doctor import KEY, change


@pytest.fixture
def fireant() -> Iterator[FireantSandbox]:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        yield sandbox
        assert sandbox.jobs == ()


@pytest.fixture(autouse=True)
def well(fireant: FireantSandbox, settings: DjangoSettings, tmp_path: Path) -> None:
    """A host with one good report, a Fireant, a folder, and a cluster that was heard of."""
    change(settings, FIREANT_API_URL=fireant.url, FIREANT_API_KEY=KEY, RESULT_ROOT=tmp_path / "lake", TIMEOUT_SECONDS=5)
    call_command("seed_reports", stdout=StringIO())
    Report.objects.exclude(name="Windstorm accumulation").delete()
    call_command("discover_reports", stdout=StringIO())
    SharedState.objects.update_or_create(name=StateName.TICK, defaults={"marked_at": datetime.now(UTC)})
