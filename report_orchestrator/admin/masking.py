"""JSON without what looks like a secret, for pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from io import StringIO

from report_orchestrator.log_events import masked, masked_beginning

HIDDEN = "***"
_TELLING = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|authorization|api[_-]?key|private[_-]?key|connection[_-]?string|cookie",
    re.IGNORECASE,
)


def beginning_without_secrets(value: object, length: int) -> tuple[str, bool]:
    """The JSON in lines, without secrets, and whether it was cut: `length` characters at most, so that a page stays quick
    whatever was sent. Letters of any script stay readable."""
    text = StringIO()
    for part in json.JSONEncoder(indent=2, ensure_ascii=False, default=str).iterencode(_hidden(value)):
        text.write(part)
        if text.tell() > length:
            # Masked once, on the text: a secret is found in JSON as well, and nothing has to be looked at behind the cut.
            return masked_beginning(text.getvalue()[:length]), True
    return masked(text.getvalue()), False


def _hidden(value: object) -> object:
    match value:
        case Mapping():
            return {
                name: HIDDEN if _is_telling(str(name)) and inner else _hidden(inner)
                for name, inner in value.items()
            }
        case list() | tuple():
            return [_hidden(inner) for inner in value]
        case _:
            return value


@lru_cache(maxsize=1024)
def _is_telling(name: str) -> bool:
    return _TELLING.search(name) is not None


def without_secrets(value: object) -> object:
    """The same value, with the settings' secrets masked wherever they stand, and whatever stands under a telling name."""
    match value:
        case Mapping():
            return {
                masked(str(name)): HIDDEN if _TELLING.search(str(name)) and inner else without_secrets(inner)
                for name, inner in value.items()
            }
        case list() | tuple():
            return [without_secrets(inner) for inner in value]
        case str():
            return masked(value)
        case _:
            return value
