"""Addresses of the live services that tests use, and the rule for a missing one."""

from __future__ import annotations

import os

import pytest

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")


MARIADB = os.environ.get("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306")


REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


REDIS_DB = int(os.environ.get("TEST_REDIS_DB", "9")) + WORKER
"""The database that tests empty. Two runs of the tests at once need two, and so do two workers of one run."""


def missing(service: str, error: Exception) -> None:
    """Skip the test if the service is missing; fail in CI."""
    message = f"{service} is not reachable: {error}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
