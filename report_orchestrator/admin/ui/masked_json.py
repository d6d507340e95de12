"""JSON for pages, with secrets masked."""

import json
from collections.abc import Callable, Mapping
from io import StringIO
from typing import cast

from report_orchestrator.conf import current_secrets
from report_orchestrator.domain.reports import Json
from report_orchestrator.masking import masked, suggests_secret

HIDDEN = "***"
_NAMING = frozenset({"name", "key", "id", "field", "parameter", "header"})
"""Names whose value may name that of `value`: `{"name": "password", "value": "…"}`."""


def beginning_without_secrets(value: object, length: int) -> tuple[str, bool]:
    """Return indented JSON with secrets masked, and True if it was cut to `length` characters."""
    text = StringIO()
    for part in json.JSONEncoder(indent=2, ensure_ascii=False, default=str).iterencode(_hidden(value)):
        text.write(part)
        if text.tell() > length:
            # Masked once, on the text: a secret is found in JSON as well, and the text after the cut need not be searched.
            return masked(text.getvalue()[:length], current_secrets(), is_cut=True), True
    return masked(text.getvalue(), current_secrets()), False


def json_without_secrets(value: object) -> str:
    """Return a value as JSON in one line, with secrets of the settings masked."""
    return masked(json.dumps(value, ensure_ascii=False, default=str), current_secrets())


def without_named_secrets(value: Json) -> Json:
    """Return the value without all values under names that suggest a secret."""
    return cast("Json", _hidden(value))


def without_secrets(value: object) -> object:
    """Return the value with secrets of the settings masked, and all values under names that suggest a secret."""
    return _hidden(value, lambda text: masked(text, current_secrets()))


def _hidden(value: object, mask: Callable[[str], str] = str) -> object:
    match value:
        case Mapping():
            names_secret = any(
                suggests_secret(str(inner))
                for name, inner in value.items()
                if str(name).lower() in _NAMING and isinstance(inner, str)
            )
            return {
                mask(str(name)): HIDDEN
                if inner and (suggests_secret(str(name)) or (names_secret and str(name).lower() == "value"))
                else _hidden(inner, mask)
                for name, inner in value.items()
            }
        case list() | tuple():
            return [_hidden(inner, mask) for inner in value]
        case str():
            return mask(value)
        case _:
            return value
