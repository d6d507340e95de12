"""Actions on rows of a model: each row is checked before the question and again before the action."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.db import Error as AnyDatabaseError
from django.db.models import Model
from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.actions.base import Action, ConfirmedRequest, Outcome, Question, Target
from report_orchestrator.admin.actions.bulk import Refused, Skipped, SortedRows, run_bulk
from report_orchestrator.admin.ui.phrases import refusal_message
from report_orchestrator.exceptions import NotPossibleError, OrchestratorError
from report_orchestrator.runtime import Runtime

if TYPE_CHECKING:
    from report_orchestrator.admin.actions.base import Words

M = TypeVar("M", bound=Model)

logger = logging.getLogger("report_orchestrator.admin")

NAMED = 10
"""Rows, and reasons, named on a page; the others are counted."""


class RowAction(Action[M]):
    """An action on rows of a model."""

    consequence: ClassVar[Words]
    done: ClassVar[Words]
    """The message of success, with `{count}`."""

    def refusal(self, row: M) -> str:
        """Return the reason why the action is impossible for the row, without the row's name; empty if it is
        possible.
        """
        raise NotImplementedError

    def label(self, row: M) -> str:
        """Return the text of the button on the row's page."""
        return str(self.button)

    def effect(self, row: M) -> str:
        """Return the consequence for this row."""
        return ""

    def consequences(self, runtime: Runtime) -> list[str]:
        """Return the consequences for all rows."""
        return [str(self.consequence)]

    def caution(self, rows: Sequence[M]) -> str:
        """Return a warning about these rows; empty without one."""
        return ""

    def version_of(self, row: M) -> int:
        """Return the version of the row shown on the confirmation page; 0 if the row cannot change meanwhile."""
        return 0

    def preview(self, row: M, answers: Mapping[str, Any], runtime: Runtime) -> str:
        """Return the consequence of the form's values for this row, if `previews_first`."""
        return self.effect(row)

    def preview_all(self, rows: Sequence[M], answers: Mapping[str, Any], runtime: Runtime) -> str:
        """Return the consequence of the form's values for all rows; empty if their number is enough."""
        return ""

    def perform(self, row: M, confirmed: ConfirmedRequest) -> None:
        """Carry out the action on a row.

        Raises:
            OrchestratorError: it was not done; the message gives the reason.
        """
        raise NotImplementedError

    def message(self, rows: Sequence[M], confirmed: ConfirmedRequest) -> str:
        """Return the message of success for these rows."""
        return str(self.done).format(count=len(rows))

    def ask(self, target: Target[M], answers: Mapping[str, Any] | None, runtime: Runtime) -> Question:
        """Name the rows with their consequences, and the skipped ones with reasons."""
        plan = SortedRows[M]()
        for row in filter(target.is_visible, target.rows.filter(pk__in=target.keys).order_by("pk")):
            plan.add(row, self._refused(row))
        rows = plan.able
        nothing = gettext("Nothing left to do. Someone else may already have done it.")
        return Question(
            version=versions(self, rows),
            refusal="" if rows or plan.skipped else nothing,
            count=len(rows),
            consequences=self.consequences(runtime) if rows else [],
            caution=self.caution(rows) if rows else "",
            named=[
                (str(row), self.effect(row) if answers is None else self.preview(row, answers, runtime))
                for row in rows[:NAMED]
            ],
            more=max(0, len(rows) - NAMED),
            total=self.preview_all(rows, answers, runtime) if answers is not None and len(rows) > 1 else "",
            skipped=[(group.why, len(group.rows), group.rows[:3]) for group in plan.skipped.values()],
        )

    def carry_out(self, target: Target[M], confirmed: ConfirmedRequest) -> Outcome:
        """Perform the action row by row. Each row is committed and logged before the next one begins."""
        result = run_bulk(target, partial(self._carry_out_on, confirmed=confirmed))
        done = self.message(result.able, confirmed) if result.able else ""
        return Outcome(done=done, warnings=_warnings(result), left=result.left)

    def _refused(self, row: M) -> Refused | None:
        why = self.refusal(row)
        return Refused(why) if why else None

    def _carry_out_on(self, row: M, confirmed: ConfirmedRequest) -> Refused | None:
        refused = self._refused(row) or self._attempt(row, confirmed)
        if refused is None:
            self.log([row], confirmed)
        return refused

    def _attempt(self, row: M, confirmed: ConfirmedRequest) -> Refused | None:
        """Return the reason why it could not be done; None if it was done."""
        try:
            self.perform(row, confirmed)
        except NotPossibleError as error:
            return Refused(refusal_message(error))
        except OrchestratorError as error:
            return Refused(error.message, kind=f"{type(error).__name__} {error.code}")
        except AnyDatabaseError as error:  # this row was rolled back; the next ones may succeed
            logger.exception("action failed", extra={"event": "act_failed", "act": self.name, "row": row.pk})
            text = gettext("The database rejected the change ({kind}). Nothing was changed. Try again, or see the log.")
            return Refused(text.format(kind=type(error).__name__))
        return None


def _warnings(result: SortedRows[Any]) -> list[str]:
    skipped = list(result.skipped.values())
    warnings = [_describe(group) for group in skipped[:NAMED]]
    if others := sum(len(group.rows) for group in skipped[NAMED:]):
        text = ngettext("and {count} other was skipped.", "and {count} others were skipped.", others)
        warnings.append(text.format(count=others))
    if not result.able and not skipped:
        warnings.append(gettext("Nothing was selected. Nothing was changed."))
    if left := len(result.left):
        text = ngettext(
            "{count} is still to do. Confirm again to continue.",
            "{count} are still to do. Confirm again to continue.",
            left,
        )
        warnings.append(text.format(count=left))
    return warnings


def _describe(group: Skipped[Any]) -> str:
    text = gettext("{count} skipped: {why}")
    if len(group.rows) > 1 and group.names_its_row:
        text = gettext("{count} skipped, the first: {why}")
    return text.format(count=len(group.rows), why=group.why)


def versions(action: RowAction[M], rows: Sequence[M]) -> str:
    """Return rows and their versions as one form field: `12:5,13:7`."""
    return ",".join(f"{row.pk}:{action.version_of(row)}" for row in rows)


def parse_versions(text: str, most: int) -> dict[int, int]:
    """Parse the field written by `versions`; drop anything else, and rows beyond `most`."""
    found: dict[int, int] = {}
    for part in text.split(","):
        key, _colon, version = part.partition(":")
        if is_key(key) and is_key(version) and len(found) < most:
            found[int(key)] = int(version)
    return found


def parse_keys(text: str, most: int) -> list[int]:
    """Parse keys in an address: `12,13`."""
    keys = dict.fromkeys(int(part) for part in text.split(",") if is_key(part))
    return list(keys)[:most]


def is_key(text: str) -> bool:
    """Return True if the text is a number that fits a 64-bit column."""
    return text.isascii() and text.isdecimal() and len(text) < 19
