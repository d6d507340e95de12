"""Actions without selected rows, such as on all reports. They take effect only on the state that the page showed."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext

from report_orchestrator.admin.actions.base import Action, ConfirmedRequest, Outcome, Question, Target
from report_orchestrator.admin.ui.phrases import refusal_message
from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.exceptions import NotPossibleError, OrchestratorError
from report_orchestrator.runtime import Runtime


class WholeAction(Action[Any]):
    """An action without selected rows. Its page is `<name>/` below the model's list."""

    def question(self, runtime: Runtime) -> Question:
        """Return the page for the present state. Its version must change whenever the consequences do."""
        raise NotImplementedError

    def perform(self, confirmed: ConfirmedRequest) -> tuple[str, Iterable[Model]]:
        """Carry out the action; return the message of success and the rows to record in Django's log.

        Raises:
            OrchestratorError: it was not done; the message gives the reason.
        """
        raise NotImplementedError

    def ask(self, target: Target[Any], answers: Mapping[str, Any] | None, runtime: Runtime) -> Question:
        return self.question(runtime)

    def carry_out(self, target: Target[Any], confirmed: ConfirmedRequest) -> Outcome:
        """Perform the action if the state is still the confirmed one."""
        current = self.question(confirmed.runtime)
        if not current.version:
            return Outcome(warnings=[f"{current.refusal} {gettext('Nothing was changed.')}"])
        try:
            if current.version != confirmed.version:
                raise NotPossibleError("The reports have changed.", code=RefusalCode.REPORTS_CHANGED)
            done, rows = self.perform(confirmed)
        except OrchestratorError as error:
            return Outcome(warnings=[refusal_message(error)])
        self.log(rows, confirmed)
        return Outcome(done=done)
