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
    """A confirmed wish: by whom, with what the form said, and as what each row was seen (`Act.version_of`)."""

    actor: str
    answers: Mapping[str, Any]
    seen: Mapping[int, int]
    ports: Ports

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.answers["reason"])


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something was not done to a row. `kind` groups reasons of which each names its own row."""

    why: str
    kind: str = ""


@dataclass(slots=True)
class Skipped(Generic[M]):
    """Rows that are left alone for the same reason, said in the words of the first one."""

    why: str
    names_its_row: bool = False
    rows: list[M] = field(default_factory=list)


@dataclass(slots=True)
class Plan(Generic[M]):
    """The rows to which something can be done, and the others by the reason why not."""

    able: list[M] = field(default_factory=list)
    skipped: dict[str, Skipped[M]] = field(default_factory=dict)

    def skip(self, row: M, refused: Refused) -> None:
        """Puts a row aside."""
        group = Skipped[M](refused.why, names_its_row=bool(refused.kind))
        self.skipped.setdefault(refused.kind or refused.why, group).rows.append(row)


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
    at_most: ClassVar[int | None] = None
    """Rows of one confirmation, where each costs so much that fewer than usual are taken."""

    def refusal(self, row: M) -> str:
        """Why this cannot be done to the row as it stands; empty where it can. Without the row's name, so that reasons group."""
        raise NotImplementedError

    def effect(self, row: M) -> str:
        """What will happen to this row."""
        return ""

    def caution(self) -> str:
        """What stands against it at this moment, whatever the rows; empty where nothing does."""
        return ""

    def version_of(self, row: M) -> int:
        """A number that is another once the row is not what the question spoke of; 0 where that cannot be."""
        return 0

    def foreseen(self, row: M, answers: Mapping[str, Any], ports: Ports) -> str:
        """What these answers mean for this row, where the form's answers decide how much happens (`looks_first`)."""
        return self.effect(row)

    def foreseen_in_all(self, rows: Sequence[M], answers: Mapping[str, Any], ports: Ports) -> str:
        """What these answers mean for all rows together; empty where the rows' number says it."""
        return ""

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
                plan.skip(row, Refused(why))
            else:
                plan.able.append(row)
        return plan

    def is_permitted(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Whether this user has the act's own permission."""
        return bool(user.has_perm(f"{APP}.{self.permission}"))  # type: ignore[union-attr]


def versions(act: Act[M], rows: Sequence[M]) -> str:
    """Rows and the versions at which they are shown, as one form field: `12:5,13:7`."""
    return ",".join(f"{row.pk}:{act.version_of(row)}" for row in rows)


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
