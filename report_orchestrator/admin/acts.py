"""What people do to rows, said before it is done: to which, what happens, and why not to the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django import forms
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model

from report_orchestrator.admin.act_forms import ReasonForm
from report_orchestrator.ports import Ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Words = _StrPromise | str

M = TypeVar("M", bound=Model)
APP = "report_orchestrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A confirmed wish: by whom, with what the form said, and the version at which each row was seen."""

    actor: str
    answers: Mapping[str, Any]
    seen: Mapping[int, int]
    ports: Ports

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.answers["reason"])


@dataclass(slots=True)
class Plan(Generic[M]):
    """The rows to which something can be done, and the others by the reason why not."""

    able: list[M] = field(default_factory=list)
    skipped: dict[str, list[M]] = field(default_factory=dict)

    def skip(self, row: M, why: str) -> None:
        """Puts a row aside."""
        self.skipped.setdefault(why, []).append(row)


class Act(Generic[M]):
    """One thing that a person may do to rows of a model.

    Subclasses say it in words, and call the service that the command calls. All are tried against the rows as they are,
    before the question and again before the deed.
    """

    name: ClassVar[str]
    permission: ClassVar[str]
    button: ClassVar[Words]
    question: ClassVar[Words]
    """What the page is called, `{count}` and `{things}` filled in."""
    consequence: ClassVar[Words]
    done: ClassVar[Words]
    """What is told afterwards, `{count}` filled in."""
    record: ClassVar[str]
    """What Django's log of actions says, in English as all logs."""
    is_grave: ClassVar[bool] = False
    form: ClassVar[type[forms.Form]] = ReasonForm
    looks_first: ClassVar[bool] = False
    """Whether the answers are shown with what they would do, before they are acted on."""

    def refusal(self, row: M) -> str:
        """Why this cannot be done to the row as it stands; empty where it can. Without the row's name, so that reasons group."""
        raise NotImplementedError

    def effect(self, row: M) -> str:
        """What will happen to this row."""
        return ""

    def foreseen(self, row: M, answers: Mapping[str, Any], ports: Ports) -> str:
        """What these answers mean for this row, where the form's answers decide how much happens (`looks_first`)."""
        return self.effect(row)

    def do(self, row: M, asked: Asked) -> None:
        """Does it.

        Raises:
            OrchestratorError: it was not done; the message says why.
        """
        raise NotImplementedError

    def plan(self, rows: Iterable[M]) -> Plan[M]:
        """Which rows it can be done to now."""
        plan = Plan[M]()
        for row in rows:
            why = self.refusal(row)
            if why:
                plan.skip(row, why)
            else:
                plan.able.append(row)
        return plan

    def is_permitted(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Whether this user has the act's own permission."""
        return bool(user.has_perm(f"{APP}.{self.permission}"))  # type: ignore[union-attr]


def versions(rows: Sequence[Model]) -> str:
    """Rows and the versions at which they are shown, as one form field: `12:5,13:7`. Rows without a version have 0."""
    return ",".join(f"{row.pk}:{getattr(row, 'version', 0)}" for row in rows)


def parse_versions(text: str, most: int) -> dict[int, int]:
    """What `versions` wrote; anything else in it is left out, and so is what goes beyond `most`."""
    found: dict[int, int] = {}
    for part in text.split(","):
        key, _colon, version = part.partition(":")
        if is_key(key) and is_key(version) and len(found) < most:
            found[int(key)] = int(version)
    return found


def parse_keys(text: str, most: int) -> list[int]:
    """Keys out of an address: `12,13`."""
    keys = dict.fromkeys(int(part) for part in text.split(",") if is_key(part))
    return list(keys)[:most]


def is_key(text: str) -> bool:
    """Whether a text is a number that a 64-bit column can hold."""
    return text.isascii() and text.isdecimal() and len(text) < 19
