"""Buttons, list actions and their confirmation page: every action needs a question, a permission and a reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from report_orchestrator.admin.actions.base import Action, ConfirmedRequest, Target
from report_orchestrator.admin.actions.rows import RowAction, parse_keys, parse_versions
from report_orchestrator.admin.actions.whole import WholeAction
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.models.operator_actions import actor_name
from report_orchestrator.wiring import get_runtime

M = TypeVar("M", bound=Model)

AT_MOST = 5000
"""Rows of one confirmation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A link to a confirmation, or to the report in the project. The main one is what the advice says."""

    label: str
    address: str
    is_destructive: bool = False
    is_main: bool = False


class ConfirmingAdmin(ReadOnlyAdmin[M]):
    """Read-only pages with actions. Rows change only through services."""

    row_actions: ClassVar[Sequence[RowAction[Any]]] = ()
    whole_actions: ClassVar[Sequence[WholeAction]] = ()
    confirm_columns: ClassVar[Sequence[str]] = ()
    """Columns read for a question about thousands of rows; empty for all."""

    class Media:
        css = {"all": ("report_orchestrator/actions.css",)}

    def get_urls(self) -> list[URLPattern]:
        """Put the confirmations before Django's own patterns, the last of which matches everything."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view(self.action_view)
        wholes = [
            path(f"{action.name}/", view, {"name": action.name}, name=f"{prefix}_{_page(action)}")
            for action in self.whole_actions
        ]
        return [path("act/<slug:name>/", view, name=f"{prefix}_act"), *wholes, *super().get_urls()]

    def may(self, request: HttpRequest, name: str) -> bool:
        """Return True if this user may see the rows and has the action's permission."""
        return self.has_view_permission(request) and self._action(name).is_permitted(request.user)

    def buttons(self, request: HttpRequest, row: M) -> list[Button]:
        """Return the buttons for this user and this row."""
        return [
            Button(
                label=action.label(row),
                address=f"{self.action_address(action)}?{urlencode({'ids': row.pk})}",
                is_destructive=action.is_destructive,
            )
            for action in self.offered_actions(row)
            if action.is_permitted(request.user) and not action.refusal(row)
        ]

    def page_buttons(self, request: HttpRequest, row: M) -> list[Button]:
        """Return the buttons of the row's own page."""
        return self.buttons(request, row)

    def offered_actions(self, row: M) -> Iterable[RowAction[Any]]:
        """Return the actions offered on a row's page."""
        return self.row_actions

    def whole_buttons(self, request: HttpRequest, action: WholeAction) -> list[Button]:
        """Return the button for this user, if permitted."""
        if not self.may(request, action.name):
            return []
        return [
            Button(label=str(action.button), address=self.action_address(action), is_destructive=action.is_destructive)
        ]

    def action_address(self, action: Action[Any]) -> str:
        """Return the address of an action's confirmation."""
        if isinstance(action, WholeAction):
            return self._address(self.model, _page(action))
        return self._address(self.model, "act", action.name)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the buttons to the row's page."""
        row: M = context["original"]
        return super().render_change_form(
            request, {**context, "ro_buttons": self.page_buttons(request, row)}, *args, **kwargs
        )

    def action_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the confirmation on GET, carry out the action on POST."""
        action = self._action(name)
        if not self.may(request, name):
            raise PermissionDenied
        if request.method == "POST":
            return self._perform(request, action)
        return self._confirm_limited(request, action, self.requested_keys(request))

    def requested_keys(self, request: HttpRequest) -> list[int]:
        """Return the rows named by an address, at most one more than a confirmation takes."""
        return parse_keys(request.GET.get("ids", ""), AT_MOST + 1)

    def confirm_selected(self, request: HttpRequest, name: str, chosen: QuerySet[M]) -> HttpResponse:
        """Return the confirmation page for rows chosen in a list."""
        keys = list(chosen.order_by("pk").values_list("pk", flat=True)[: AT_MOST + 1])
        return self._confirm_limited(request, self._action(name), keys, back=request.get_full_path())

    def _confirm_limited(
        self, request: HttpRequest, action: Action[Any], keys: Sequence[int], back: str = ""
    ) -> HttpResponse:
        """Limit the rows to those of one confirmation, and link back to the others."""
        most = _most(action)
        if len(keys) > most:
            text = gettext("Only the first {most} are included. Repeat it for the others.")
            messages.warning(request, text.format(most=most))
            back = back or request.get_full_path()
        return self.confirm_page(request, action, keys[:most], back=back)

    def confirm_page(
        self,
        request: HttpRequest,
        action: Action[Any],
        keys: Sequence[int],
        form: forms.Form | None = None,
        back: str = "",
    ) -> HttpResponse:
        """Render the confirmation page: consequences, and skipped rows with reasons. Changes nothing."""
        wrong = form is not None and bool(form.errors)
        preview = form.cleaned_data if form is not None and form.is_bound and not wrong else None
        rows = self.get_queryset(request)
        target = self._target(request, rows.only(*self.confirm_columns) if self.confirm_columns else rows, keys)
        question = action.ask(target, preview, get_runtime())
        submit = str(action.submit.format(count=question.count))
        return TemplateResponse(
            request,
            "admin/report_orchestrator/confirm.html",
            {
                **self.admin_site.each_context(request),
                "title": gettext("{action}?").format(action=submit) if question.version else gettext("Nothing to do"),
                "opts": self.opts,
                "media": self.media,
                "action": action,
                "question": question,
                "submit": submit,
                "address": self.action_address(action),
                "back": self._back(request, back or request.GET.get("next", ""), keys),
                "previewed": "" if preview is None else _fingerprint(preview),
                "previews_first": action.previews_first and preview is None,
                "form": form or action.form(),
            },
            status=HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK,
        )

    def _perform(self, request: HttpRequest, action: Action[Any]) -> HttpResponse:
        version, back = request.POST.get("rows", ""), request.POST.get("back", "")
        seen = parse_versions(version, _most(action))
        keys, form = list(seen), action.form(request.POST)
        if not form.is_valid():
            return self.confirm_page(request, action, keys, form, back)
        if action.previews_first and request.POST.get("previewed") != _fingerprint(form.cleaned_data):
            return self.confirm_page(request, action, keys, form, back)
        confirmed = ConfirmedRequest(
            user_id=request.user.pk,
            actor=actor_name(request.user.get_username(), request.user.pk),
            answers=form.cleaned_data,
            version=version,
            seen=seen,
            runtime=get_runtime(),
            viewer=Viewer(user=request.user, site_name=self.admin_site.name),
        )
        outcome = action.carry_out(self._target(request, self.get_queryset(request), keys), confirmed)
        if outcome.done:
            messages.success(request, outcome.done)
        for warning in outcome.warnings:
            messages.warning(request, warning)
        if outcome.left:
            return self.confirm_page(request, action, outcome.left, action.form(initial=form.cleaned_data), back)
        return HttpResponseRedirect(self._back(request, back, keys))

    def _target(self, request: HttpRequest, rows: QuerySet[M], keys: Sequence[int]) -> Target[M]:
        return Target(rows=rows, keys=keys, is_visible=partial(self.has_view_permission, request))

    def _action(self, name: str) -> Action[Any]:
        for action in (*self.row_actions, *self.whole_actions):
            if action.name == name:
                return action
        raise Http404

    def _back(self, request: HttpRequest, address: str, keys: Sequence[int]) -> str:
        """Return the address of the previous page if it is on this host; else the row's page or the list."""
        here = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
        if address and here:
            return address
        if len(keys) == 1:
            return self._address(self.model, "change", keys[0])
        return self._address(self.model, "changelist")


def host_buttons(address: str | None, *, is_at_fault: bool) -> list[Button]:
    """Return the link to the report in the project; none where the reader may not open it."""
    if address is None:
        return []
    label = gettext("Correct it in the project ↗") if is_at_fault else gettext("Open in the project ↗")
    return [Button(label=label, address=address, is_main=is_at_fault)]


def _page(action: WholeAction) -> str:
    """Return the name of a whole action's page, as URL names spell it."""
    return action.name.replace("-", "_")


def _most(action: Action[Any]) -> int:
    return AT_MOST if action.at_most is None else min(AT_MOST, action.at_most)


def _fingerprint(answers: dict[str, Any]) -> str:
    """Return the form's values that decide how much happens: a preview holds only for these."""
    return "/".join(str(answer) for name, answer in answers.items() if name != "reason")
