"""The log as it was before a check reinstalled apps."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _same_logger_afterwards() -> Iterator[None]:
    """Restore the logger: reinstalled apps configure it again, with the test's own standard error."""
    logger = logging.getLogger("report_orchestrator")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before
