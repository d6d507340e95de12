"""The path of a run's result in the lake, known before its first byte is written."""

import hashlib
import re
import unicodedata
from datetime import date
from urllib.parse import quote
from uuid import UUID

LONGEST = 160
"""Bytes of a folder name used for a report's key: file systems accept 255, OneLake 255 characters."""
SHORTENED = 120
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Windows device names, with or without an extension: a share or a lake that is synchronized there cannot hold them."""


def result_path(*, report_key: str, run_date: date, reference: UUID | str) -> str:
    """Return `<report>/<run date>/<run>.json`, relative to the store's results folder.

    `reference` is the run's; from the second submission on, with its number (`<run>-2.json`). A submission's path never
    changes, and no two share one. A key with other than plain characters, or named like a device of Windows, is
    percent-encoded, so that keys can neither leave the folder nor collide; a very long one is cut and ends in its SHA-256.
    Where a file system ignores case, the keys `A` and `a` share a folder; the references keep their results apart.
    """
    return f"{_segment(report_key)}/{run_date.isoformat()}/{reference}.json"


def manifest_path(result: str) -> str:
    """Return the path of a result's manifest: in the same folder, hidden from readers such as Spark by its underscore.

    `7/2026-07-01/<run>.json` -> `7/2026-07-01/_<run>.manifest.json`
    """
    folder, _, name = result.rpartition("/")
    return f"{folder}/_{name.removesuffix('.json')}.manifest.json"


def is_plain(path: str) -> bool:
    """True for a relative path with forward slashes that every layer up to the store interprets in the same way."""
    printable = not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path)
    return printable and "\\" not in path and all(part.strip(". ") for part in path.split("/"))


def _segment(key: str) -> str:
    plain = _SAFE.search(key) is None and not key.startswith(("_", ".")) and not key.endswith(".")
    quoted = key if plain and not _RESERVED.match(key) else _quoted(key)
    if len(quoted) <= LONGEST:
        return quoted
    # Always longer than LONGEST, so it equals no other key's; its readable beginning is for people.
    beginning = next(part for end in range(LONGEST, 0, -1) if len(part := _quoted(key[:end])) <= SHORTENED)
    return f"{beginning}-{hashlib.sha256(key.encode()).hexdigest()}"


def _quoted(key: str) -> str:
    """Percent-encode a key, including dots, which services strip, and a first letter with a meaning.

    That is an underscore, which readers hide, or the first letter of a device of Windows.
    """
    quoted = quote(key, safe="").replace(".", "%2E")
    return f"%{ord(key[0]):02X}{quoted[1:]}" if key.startswith("_") or _RESERVED.match(key) else quoted
