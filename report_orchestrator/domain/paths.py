"""A run's one place in the lake, known before its first byte is written."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import date
from urllib.parse import quote
from uuid import UUID

LONGEST = 160
"""Bytes of a folder's name that are given to a report's key: file systems take 255, OneLake as many letters."""
SHORTENED = 120
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


def result_path(*, report_key: str, run_date: date, reference: UUID) -> str:
    """`<report>/<run date>/<run>.json`, with forward slashes, relative to the store's results folder.

    The same run has the same path for ever, and no two runs share one. A report's key that is not a plain word is
    percent-encoded, so that text keys can neither leave the folder nor meet each other; a very long one ends in its SHA-256.
    """
    return f"{_segment(report_key)}/{run_date.isoformat()}/{reference}.json"


def manifest_path(result: str) -> str:
    """Where a result's manifest lies: beside it, hidden by its underscore from readers such as Spark.

    `7/2026-07-01/<run>.json` -> `7/2026-07-01/_<run>.manifest.json`
    """
    folder, _, name = result.rpartition("/")
    return f"{folder}/_{name.removesuffix('.json')}.manifest.json"


def is_plain(path: str) -> bool:
    """Whether it is a relative path, with forward slashes, that every layer on the way to a store reads in the same way."""
    printable = not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path)
    return printable and "\\" not in path and all(part.strip(". ") for part in path.split("/"))


def _segment(key: str) -> str:
    plain = _SAFE.search(key) is None and not key.startswith(("_", ".")) and not key.endswith(".")
    quoted = key if plain else _quoted(key)
    if len(quoted) <= LONGEST:
        return quoted
    # Always longer than LONGEST, so it meets no other key's; its beginning is for a person.
    beginning = next(part for end in range(LONGEST, 0, -1) if len(part := _quoted(key[:end])) <= SHORTENED)
    return f"{beginning}-{hashlib.sha256(key.encode()).hexdigest()}"


def _quoted(key: str) -> str:
    """Percent-encoded, and so that no reader hides it and no service takes its dots away."""
    quoted = quote(key, safe="").replace(".", "%2E")
    return f"%5F{quoted[1:]}" if quoted.startswith("_") else quoted
