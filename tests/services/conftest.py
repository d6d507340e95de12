"""Fixtures of the services' tests."""

from __future__ import annotations

import pytest

from report_orchestrator.models import SharedState, StateName
from report_orchestrator.testing import START


@pytest.fixture
def started(db: None) -> None:
    """Let scheduling have started."""
    SharedState.objects.record(StateName.SCHEDULING, now=START)
