"""JSON without what looks like a secret, for pages."""

from __future__ import annotations

import re
from collections.abc import Mapping

from report_orchestrator.log_events import masked

HIDDEN = "***"
_TELLING = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|authorization|api[_-]?key|private[_-]?key|connection[_-]?string|cookie",
    re.IGNORECASE,
)


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
