"""The host's models and fields that the settings name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning

from report_orchestrator.adapters.host.fields import resolve_model
from report_orchestrator.adapters.host.jobs import HostJobs
from report_orchestrator.adapters.host.modifiers import HostModifiers
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.adapters.host.rules import JOB_FIELDS, MODIFIER_FIELDS, REPORT_FIELDS
from report_orchestrator.checks.settings import has_dict
from report_orchestrator.conf import SETTING, Settings, did_you_mean, load_settings
from report_orchestrator.domain.reports import EVENT_TYPES, EventKind
from report_orchestrator.exceptions import ConfigurationError


def check_models(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the models and fields that the settings name."""
    if not has_dict():
        return []
    settings, _problems = load_settings()
    return [*_unknown_names(settings), *_unusable_models(settings)]


def _unknown_names(settings: Settings) -> Iterator[CheckMessage]:
    event_names = {name for shape in EVENT_TYPES.values() for name in shape.__dataclass_fields__}
    mappings: tuple[tuple[str, Mapping[str, str], set[str]], ...] = (
        ("REPORT_FIELDS", settings.report_fields, set(REPORT_FIELDS)),
        ("MODIFIER_FIELDS", settings.modifier_fields, set(MODIFIER_FIELDS)),
        ("JOB_FIELDS", settings.job_fields, set(JOB_FIELDS)),
        ("EVENT_FIELDS", settings.event_fields, (event_names | {"events"}) - {"id"}),
        ("EVENT_MODELS", settings.event_models, {kind.value for kind in EventKind}),
        ("EVENT_RELATIONS", settings.event_relations, {kind.value for kind in EventKind}),
    )
    for setting, mapping, known in mappings:
        for name in mapping.keys() - known:
            yield Error(
                f"{setting} has an unknown key '{name}'.",
                hint=f"The keys are: {', '.join(sorted(known))}.{did_you_mean(name, known)}",
                id="report_orchestrator.E005",
            )


def _unusable_models(settings: Settings) -> Iterator[CheckMessage]:
    attempts: list[Callable[[], object]] = [HostReports(settings).verify]
    if settings.modifier_model:
        attempts.append(lambda: HostModifiers.of(resolve_model(settings.report_model, "REPORT_MODEL"), settings))
    if settings.job_model:
        attempts.append(HostJobs(settings).verify)
    messages = [message for attempt in attempts if (message := _refusal(attempt))]
    for message in dict.fromkeys(messages):  # a missing report model fails all of them alike
        yield Error(message, hint=f"Correct {SETTING} in your settings.", id="report_orchestrator.E004")
    if not messages:
        yield from _overwritten_fields(settings)


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except ConfigurationError as error:
        return error.message
    return ""


def _overwritten_fields(settings: Settings) -> Iterator[CheckMessage]:
    fields = HostReports(settings).overwritten_fields()
    if fields and not settings.payload_builder:
        names = ", ".join(f"'{name}'" for name in fields)
        yield Warning(
            f"Fireant does not receive these fields of {settings.report_model}: {names}. The payload sets these names "
            "itself.",
            hint="Send them under other names with a PAYLOAD_BUILDER, or silence this check.",
            id="report_orchestrator.W112",
        )
