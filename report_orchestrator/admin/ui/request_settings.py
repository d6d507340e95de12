"""The effective settings, read once for each request."""

from django.http import HttpRequest

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.services.timetable.effective_settings import effective_settings

_KEPT = "_report_orchestrator_settings"


def settings_for(request: HttpRequest) -> Settings:
    """Return the effective settings.

    Raises:
        ConfigurationError: a setting cannot be read.
    """
    settings: Settings | None = getattr(request, _KEPT, None)
    if settings is None:
        settings = effective_settings(get_settings())
        setattr(request, _KEPT, settings)
    return settings
