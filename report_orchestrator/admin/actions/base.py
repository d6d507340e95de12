"""An action of a person: its texts and permission, its confirmation, its outcome and its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model, QuerySet

from report_orchestrator.admin.actions.forms import ReasonForm
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.runtime import Runtime

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Words = _StrPromise | str

M = TypeVar("M", bound=Model)
APP = "report_orchestrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Generic[M]):
    """The rows that a person chose, by key, among those that the person may see. Empty for a `WholeAction`."""

    rows: QuerySet[M]
    keys: Sequence[int]
    is_visible: Callable[[M], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The content of a confirmation page.

    `version` identifies the state that the page shows; without one, nothing can be done, and `refusal` may say why.
    `named` are names with their consequences, `more` counts the others, and `skipped` are reason, count and examples.
    """

    version: str = ""
    refusal: str = ""
    count: int = 0
    consequences: Sequence[str] = ()
    caution: str = ""
    named: Sequence[tuple[str, str]] = ()
    more: int = 0
    total: str = ""
    skipped: Sequence[tuple[str, int, Sequence[Model]]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedRequest:
    """A confirmed request: the person, the form's values, and the version shown on the confirmation page.

    `seen` is the version of each row, if the action is on rows. `opened` takes the keys of the runs that the action opens.
    """

    user_id: Any
    actor: str
    answers: Mapping[str, Any]
    version: str
    seen: Mapping[int, int]
    runtime: Runtime
    viewer: Viewer
    opened: list[int] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return str(self.answers["reason"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The messages after an action. `left` are the rows for which time ran out."""

    done: str = ""
    warnings: Sequence[str] = ()
    left: Sequence[int] = ()


class Action(Generic[M]):
    """An action of a person. Subclasses hold its texts, and call the service that the command calls."""

    name: ClassVar[str]
    permission: ClassVar[str]
    button: ClassVar[Words]
    """The link to the confirmation."""
    submit: ClassVar[Words]
    """The button of the confirmation and, as a question, its title; with `{count}`."""
    record: ClassVar[str]
    """The text in Django's log of actions, in English as all logs."""
    is_destructive: ClassVar[bool] = False
    form: ClassVar[type[forms.Form]] = ReasonForm
    previews_first: ClassVar[bool] = False
    """True if the form's values are previewed before they take effect."""
    at_most: ClassVar[int | None] = None
    """Most rows of one confirmation, if fewer than usual."""

    def ask(self, target: Target[M], answers: Mapping[str, Any] | None, runtime: Runtime) -> Question:
        """Return the confirmation page's content; with `answers`, the preview of these values."""
        raise NotImplementedError

    def carry_out(self, target: Target[M], confirmed: ConfirmedRequest) -> Outcome:
        """Perform the action if the state is still the one shown, and record it in Django's log."""
        raise NotImplementedError

    def is_permitted(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Return True if this user has the action's permission."""
        return bool(user.has_perm(f"{APP}.{self.permission}"))  # type: ignore[union-attr]

    def log(self, rows: Iterable[Model], confirmed: ConfirmedRequest) -> None:
        """Record the action on these rows in Django's log."""
        note = f"{self.record}. Reason: {confirmed.reason}"
        LogEntry.objects.log_actions(confirmed.user_id, rows, CHANGE, change_message=note)
