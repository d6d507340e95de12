"""A run's one place in the lake, known before its first byte is written."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import quote
from uuid import UUID

_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


def result_path(*, report_key: str, run_date: date, reference: UUID) -> str:
    """`<report>/<run date>/<run>.json`, with forward slashes, relative to the store's results folder.

    The same run has the same path for ever, and no two runs share one. A report's key that is not a plain word is
    percent-encoded, so that text keys can neither leave the folder nor meet each other.
    """
    return f"{_segment(report_key)}/{run_date.isoformat()}/{reference}.json"


def manifest_path(result: str) -> str:
    """Where a result's manifest lies: beside it, hidden by its underscore from readers such as Spark.

    `7/2026-07-01/<run>.json` -> `7/2026-07-01/_<run>.manifest.json`
    """
    folder, _, name = result.rpartition("/")
    return f"{folder}/_{name.removesuffix('.json')}.manifest.json"


def _segment(key: str) -> str:
    if _SAFE.search(key) is None and key.strip("."):
        return key
    return quote(key, safe="").replace(".", "%2E")
