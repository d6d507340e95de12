"""The signs of the dashboard, and the worst of several."""

from collections.abc import Iterable

from report_orchestrator.admin.ui.format import Sign

GOOD, WARN, BAD = Sign("✓", "good"), Sign("!", "warn"), Sign("✗", "bad")
UNKNOWN = Sign("?", "quiet")


def worst(signs: Iterable[Sign]) -> Sign:
    """Return BAD or WARN if one of the signs is; an unknown state is no warning."""
    present = set(signs)
    return BAD if BAD in present else WARN if WARN in present else GOOD
