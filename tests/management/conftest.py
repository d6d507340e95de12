"""The seeded example host and a local Fireant, at a noon that lasts until the clock is moved."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings as DjangoSettings

from report_orchestrator import wiring
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.testing import FakeClock
from report_orchestrator.wiring import get_ports
from tests.support.seeded_host import change


@pytest.fixture(autouse=True)
def _same_log_afterwards() -> Iterator[None]:
    """A command quietens the console for the rest of its process."""
    loggers = [logging.getLogger(name) for name in ("report_orchestrator", "django-q")]
    handlers = [handler for logger in loggers for handler in logger.handlers]
    levels = [logger.level for logger in loggers], [handler.level for handler in handlers]
    yield
    for logger, level in zip(loggers, levels[0], strict=True):
        logger.setLevel(level)
    for handler, level in zip(handlers, levels[1], strict=True):
        handler.setLevel(level)


@pytest.fixture
def fireant() -> Iterator[FireantSandbox]:
    """A local Fireant whose jobs are finished at once, except for one report's, which fails."""
    options = SandboxOptions(api_key="k3y", fail_names=("Winter storm Central Europe",))
    with FireantSandbox(options) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def clock(
    fireant: FireantSandbox, settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeClock]:
    """The seeded example host, with that Fireant, at a noon that lasts until the clock is moved."""
    clock = FakeClock()
    monkeypatch.setattr(wiring, "database_clock", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    change(
        settings,
        FIREANT_API_URL=fireant.url,
        FIREANT_API_KEY="k3y",
        RESULT_ROOT=tmp_path / "lake",
        MAX_RETRIES=0,
        POLL_INTERVAL_SECONDS=0.1,
    )
    call_command("seed_reports", stdout=io.StringIO())
    yield clock
    get_ports().fireant.close()  # type: ignore[attr-defined]  # the real client has connections
