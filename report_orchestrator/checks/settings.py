"""The keys and values of the settings, and the libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning

from report_orchestrator.adapters.host.fields import likely_report_model
from report_orchestrator.conf import SETTING, SPECS, load_settings
from report_orchestrator.library_versions import untested_versions


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of the settings dict and the environment."""
    configured = getattr(django_settings, SETTING, None)
    if not isinstance(configured, Mapping):
        return [
            Error(
                f"{SETTING} is {'missing' if configured is None else 'not a dict'}.",
                hint=f"Add {SETTING} = {{'REPORT_MODEL': '{likely_report_model()}'}} to your settings.",
                id="report_orchestrator.E001",
            )
        ]
    _settings, problems = load_settings()
    return [
        Error(
            problem.message,
            hint=problem.hint,
            id=f"report_orchestrator.{'E003' if problem.setting in SPECS else 'E002'}",
        )
        for problem in problems
    ]


def check_libraries(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the versions of libraries whose private parts are used."""
    return [
        Warning(
            f"report_orchestrator was tested with {found.library} from {found.lowest} to before {found.ceiling}; "
            f"{found.installed} is installed.",
            hint=f"Install '{found.library}>={found.lowest},<{found.ceiling}', or a report_orchestrator that supports it.",
            id="report_orchestrator.W113",
        )
        for found in untested_versions()
    ]


def has_dict() -> bool:
    """Return True if the settings are a dict; E001 alone reports that they are not."""
    return isinstance(getattr(django_settings, SETTING, None), Mapping)
