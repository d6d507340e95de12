"""The settings that a page speaks of, read once for each request."""

from __future__ import annotations

from django.http import HttpRequest

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.services.approaches import in_force

_KEPT = "_report_orchestrator_settings"


def settings_for(request: HttpRequest) -> Settings:
    """The settings with the approach in force.

    Raises:
        ConfigurationError: one cannot be read.
    """
    kept: Settings | None = getattr(request, _KEPT, None)
    if kept is None:
        kept = in_force(get_settings())
        setattr(request, _KEPT, kept)
    return kept
