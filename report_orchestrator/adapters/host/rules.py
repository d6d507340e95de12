"""The rules for the names that settings map to the host's fields: the accepted field types, and which are required."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import (
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    Field,
    FloatField,
    ForeignKey,
    GeneratedField,
    IntegerField,
    ManyToManyField,
    ManyToManyRel,
    ManyToOneRel,
    OneToOneRel,
    TextField,
    UUIDField,
)

from report_orchestrator.domain.reports import EVENT_NUMBERS, EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Types of field. `words` names them in messages; a field of a type in `but_not` is refused."""

    words: str
    types: tuple[type[Field[Any, Any]], ...] = ()
    but_not: tuple[type[Field[Any, Any]], ...] = ()
    relations: tuple[type, ...] = ()

    def takes(self, field: object) -> bool:
        if isinstance(field, self.relations):
            return True
        if not isinstance(field, Field) or field.is_relation:
            return False
        column: Any = field.output_field if isinstance(field, GeneratedField) else field
        # A library's field may subclass none of Django's; its internal type then names the one whose column it has.
        internal = getattr(models, column.get_internal_type(), object)
        kinds = (type(column), internal)
        return any(issubclass(kind, self.types) and not issubclass(kind, self.but_not) for kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """`default` is the host's usual name where it differs from ours; if empty, the field is read only if the settings name it.

    A written field must be the model's own: no path through relations leads to it. A required field that
    `may_be_left_out` is an error if missing, unless the settings give it an empty name. Advice proposes a field whose name
    contains one of the `synonyms`.
    """

    accepted: Accepted
    required: bool = False
    default: str | None = None
    written: bool = False
    may_be_left_out: bool = False
    synonyms: tuple[str, ...] = ()


TEXT = Accepted(words="a CharField or TextField", types=(CharField, TextField))
LABEL = Accepted(
    words="a CharField, TextField, IntegerField or UUIDField", types=(CharField, TextField, IntegerField, UUIDField)
)
RANK = Accepted(words="a CharField, TextField or IntegerField", types=(CharField, TextField, IntegerField))
FLAG = Accepted(words="a BooleanField", types=(BooleanField,))
NUMBER = Accepted(words="a FloatField, DecimalField or IntegerField", types=(FloatField, DecimalField, IntegerField))
DATE = Accepted(words="a DateField", types=(DateField,), but_not=(DateTimeField,))
INSTANT = Accepted(words="a DateTimeField", types=(DateTimeField,))
ONE_ROW = Accepted(words="a ForeignKey or OneToOneField, from either side", relations=(ForeignKey, OneToOneRel))
MANY_ROWS = Accepted(
    words="a ManyToManyField, from either side, or the other end of a ForeignKey of the events",
    relations=(ManyToManyField, ManyToManyRel, ManyToOneRel),
)
MANY_TO_MANY = Accepted(words="a ManyToManyField, from either side", relations=(ManyToManyField, ManyToManyRel))
REFERENCE = Accepted(
    words="a ForeignKey, or a CharField, TextField, IntegerField or UUIDField for its key",
    types=LABEL.types,
    relations=(ForeignKey,),
)

REPORT_FIELDS: Mapping[str, FieldRule] = {
    "name": FieldRule(accepted=LABEL),
    "cron": FieldRule(accepted=TEXT, required=True, synonyms=("schedule", "timing")),
    "event_group": FieldRule(accepted=ONE_ROW, required=True, may_be_left_out=True),
    "enabled": FieldRule(accepted=FLAG, default="is_valid", synonyms=("active",)),
    "priority": FieldRule(accepted=RANK),
    "updated": FieldRule(accepted=INSTANT, synonyms=("modified", "changed")),
    "timezone": FieldRule(accepted=TEXT, default=""),
    "overlap": FieldRule(accepted=TEXT, default=""),
}

GROUP_FIELDS: Mapping[str, FieldRule] = {"events": FieldRule(accepted=MANY_ROWS, required=True, written=True)}
"""The part of `EVENT_FIELDS` that is looked up in the owner of events: the event group, or the report if it has none.

As with a written field, a path through relations is not accepted.
"""

KIND_FIELD = FieldRule(accepted=RANK, required=True)
"""The rule of `EVENT_KIND_FIELD`."""

EVENT_FIELDS: Mapping[str, FieldRule] = {
    "name": FieldRule(accepted=LABEL),
    "description": FieldRule(accepted=TEXT),
    "is_valid": FieldRule(accepted=FLAG),
}

KIND_FIELDS: Mapping[EventKind, Mapping[str, FieldRule]] = {
    EventKind.GEO: {name: FieldRule(accepted=RANK) for name in ("country", "area", "subarea", "subarea2")},
    **{
        kind: {name: FieldRule(accepted=NUMBER, required=True) for name in names}
        for kind, names in EVENT_NUMBERS.items()
    },
}

MODIFIER_FIELDS: Mapping[str, FieldRule] = {
    "as_at_date": FieldRule(accepted=DATE, required=True, written=True),
    "fx_date": FieldRule(accepted=DATE, required=True, written=True),
    "reports": FieldRule(accepted=MANY_TO_MANY, required=True, written=True),
}

JOB_FIELDS: Mapping[str, FieldRule] = {
    "report": FieldRule(accepted=REFERENCE, required=True, written=True),
    "fireant_jobid": FieldRule(accepted=LABEL, required=True, written=True),
    "report_modifier": FieldRule(accepted=REFERENCE, written=True),
    "status": FieldRule(accepted=TEXT, written=True),
    "results_url": FieldRule(accepted=TEXT, written=True),
    "created": FieldRule(accepted=INSTANT, default=""),
}
