"""Choose the reader of events by the settings that describe the host's events."""

from django.db.models import Model

from report_orchestrator.adapters.host.events.kinds import find_relations
from report_orchestrator.adapters.host.events.reader import EventReader
from report_orchestrator.adapters.host.events.related import RelatedEvents
from report_orchestrator.adapters.host.events.source import SourcedEvents
from report_orchestrator.adapters.host.fields import field_named, refuse_composite_key
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError

_EXCLUSIVE = ("EVENT_MODELS", "EVENT_KIND_FIELD", "EVENT_RELATIONS", "EVENT_SOURCE")
"""Each describes a different way to store events, so only one of them may be set."""


def event_reader(report: type[Model], group_path: str, settings: Settings) -> EventReader:
    """Return the reader of a report model's events. `group_path` is empty where reports have no event group.

    Raises:
        ConfigurationError: settings contradict each other, or name a missing or unsuitable model or field.
    """
    _refuse_contradictions(settings)
    if settings.event_source:
        return SourcedEvents(report=report, function=settings.event_source)
    if not group_path:
        return RelatedEvents(owner="pk", relations=find_relations(report, settings))
    group: type[Model] = field_named(report, group_path).related_model  # type: ignore[assignment]  # the rule proves it
    refuse_composite_key(group, "REPORT_FIELDS, as {'event_group': '…'}")
    return RelatedEvents(owner="event_group", relations=find_relations(group, settings))


def _refuse_contradictions(settings: Settings) -> None:
    given = [name for name in _EXCLUSIVE if getattr(settings, name.lower())]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} describe different shapes of events. Keep one of them.")
    if settings.event_kinds and not settings.event_kind_field:
        raise ConfigurationError("EVENT_KINDS is set without EVENT_KIND_FIELD. Name the column that holds the kind.")
