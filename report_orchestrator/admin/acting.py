"""Buttons, list actions and their one confirmation page: nothing is done without a question, a permission and a reason."""

from __future__ import annotations

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
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.acts import Act, Asked, Plan, Skipped, parse_keys, parse_versions, versions
from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.admin.working import Work, work
from report_orchestrator.wiring import get_ports

M = TypeVar("M", bound=Model)

AT_MOST = 5000
"""Rows of one confirmation."""
NAMED = 10
"""Rows that a page names; the others it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A link to a confirmation."""

    label: str
    address: str
    is_grave: bool = False


class ActingAdmin(ReadOnlyAdmin[M]):
    """Read-only pages with acts. The rows change through the services alone, never through a form of theirs."""

    acts: ClassVar[Sequence[Act[Any]]] = ()
    asked_columns: ClassVar[Sequence[str]] = ()
    """The columns that a question about thousands of rows reads; empty for all."""

    class Media:
        css = {"all": ("report_orchestrator/acting.css",)}

    def get_urls(self) -> list[URLPattern]:
        """With the confirmations' address before Django's own, the last of which takes everything."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<slug:name>/", view, name=name), *super().get_urls()]

    def may(self, request: HttpRequest, name: str) -> bool:
        """Whether this user may see the rows, and do this to them."""
        return self.has_view_permission(request) and self._act(name).is_permitted(request.user)

    def buttons(self, request: HttpRequest, row: M) -> list[Button]:
        """What this user may do to this row as it stands."""
        return [
            self._button(act, row)
            for act in self.offered(row)
            if act.is_permitted(request.user) and not act.refusal(row)
        ]

    def offered(self, row: M) -> Iterable[Act[Any]]:
        """The acts that a row's page speaks of."""
        return self.acts

    def _button(self, act: Act[Any], row: M) -> Button:
        address = f"{self._address(self.model, 'act', act.name)}?{urlencode({'ids': row.pk})}"
        return Button(label=str(act.button), address=address, is_grave=act.is_grave)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The row's page, with its buttons."""
        row: M = context["original"]
        return super().render_change_form(
            request, {**context, "ro_buttons": self.buttons(request, row)}, *args, **kwargs
        )

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """GET asks, POST does."""
        act = self._act(name)
        if not self.may(request, name):
            raise PermissionDenied
        if request.method == "POST":
            return self._do(request, act)
        return self._ask_for_some(request, act, self.asked_for(request))

    def asked_for(self, request: HttpRequest) -> list[int]:
        """The rows that an address names; one more than may be taken where there are more."""
        return parse_keys(request.GET.get("ids", ""), AT_MOST + 1)

    def ask_about(self, request: HttpRequest, name: str, chosen: QuerySet[M]) -> HttpResponse:
        """The confirmation for what was chosen in a list."""
        keys = list(chosen.order_by("pk").values_list("pk", flat=True)[: AT_MOST + 1])
        return self._ask_for_some(request, self._act(name), keys, back=request.get_full_path())

    def _ask_for_some(
        self, request: HttpRequest, act: Act[Any], keys: Sequence[int], back: str = ""
    ) -> HttpResponse:
        """Takes as many as one confirmation may, and leads back to where the others are."""
        most = _most(act)
        if len(keys) > most:
            text = gettext("Only the first {most} are taken. Do it again for the others.")
            messages.warning(request, text.format(most=most))
            back = back or request.get_full_path()
        return self.ask(request, act, keys[:most], back=back)

    def ask(
        self,
        request: HttpRequest,
        act: Act[Any],
        keys: Sequence[int],
        form: forms.Form | None = None,
        back: str = "",
    ) -> HttpResponse:
        """Says what will happen to how many, and to which not and why; changes nothing."""
        rows = self.get_queryset(request).filter(pk__in=keys).order_by("pk")
        found = rows.only(*self.asked_columns) if self.asked_columns else rows
        plan: Plan[Any] = act.plan(row for row in found if self.has_view_permission(request, row))
        wrong = form is not None and bool(form.errors)
        looked = form is not None and form.is_bound and not wrong
        return TemplateResponse(
            request,
            "admin/report_orchestrator/confirm.html",
            {
                **self.admin_site.each_context(request),
                "title": self._question(act, plan),
                "opts": self.opts,
                "media": self.media,
                "act": act,
                "caution": act.caution(),
                "address": self._address(self.model, "act", act.name),
                "back": self._back(request, back or request.GET.get("next", ""), keys),
                "named": [
                    (row, self._effect(act, row, form if looked else None)) for row in plan.able[:NAMED]
                ],
                "in_all": act.foreseen_in_all(plan.able, form.cleaned_data, get_ports())
                if form is not None and looked and len(plan.able) > 1
                else "",
                "looked": _fingerprint(form) if form is not None and looked else "",
                "looks_first": act.looks_first and not looked,
                "more": max(0, len(plan.able) - NAMED),
                "skipped": [(group.why, len(group.rows), group.rows[:3]) for group in plan.skipped.values()],
                "rows": versions(act, plan.able),
                "form": form or act.form(),
            },
            status=HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK,
        )

    def _do(self, request: HttpRequest, act: Act[Any]) -> HttpResponse:
        seen = parse_versions(request.POST.get("rows", ""), _most(act))
        back = request.POST.get("back", "")
        form = act.form(request.POST)
        if not form.is_valid():
            return self.ask(request, act, list(seen), form, back)
        if act.looks_first and request.POST.get("looked") != _fingerprint(form):
            return self.ask(request, act, list(seen), form, back)
        asked = Asked(
            actor=request.user.get_username(), answers=form.cleaned_data, seen=seen, ports=get_ports()
        )
        result = work(
            act,
            self.get_queryset(request),
            asked,
            user_id=request.user.pk,
            is_visible=partial(self.has_view_permission, request),
        )
        self._tell(request, act, result)
        if result.left:
            return self.ask(request, act, result.left, act.form(initial=form.cleaned_data), back)
        return HttpResponseRedirect(self._back(request, back, list(seen)))

    def _tell(self, request: HttpRequest, act: Act[Any], result: Work[Any]) -> None:
        if result.done:
            messages.success(request, str(act.done).format(count=len(result.done)))
        skipped = list(result.plan.skipped.values())
        for group in skipped[:NAMED]:
            messages.warning(request, _told(group))
        if others := sum(len(group.rows) for group in skipped[NAMED:]):
            text = ngettext(
                "and {count} other was left alone.", "and {count} others were left alone.", others
            )
            messages.warning(request, text.format(count=others))
        if not result.done and not result.plan.skipped:
            messages.warning(request, gettext("Nothing was chosen, so nothing was done."))
        if result.left:
            text = gettext("{count} are still to be done. Confirm once more to go on.")
            messages.warning(request, text.format(count=len(result.left)))

    def _question(self, act: Act[Any], plan: Plan[Any]) -> str:
        count = len(plan.able)
        if not count:
            return gettext("Nothing to do")
        things = self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural
        return capfirst(str(act.question).format(count=count, things=things))

    def _effect(self, act: Act[Any], row: M, form: forms.Form | None) -> str:
        return act.effect(row) if form is None else act.foreseen(row, form.cleaned_data, get_ports())

    def _act(self, name: str) -> Act[Any]:
        for act in self.acts:
            if act.name == name:
                return act
        raise Http404

    def _back(self, request: HttpRequest, asked: str, keys: Sequence[int]) -> str:
        """Where the person came from, if that is here; else the one row's page, or the list."""
        here = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
        if asked and here:
            return asked
        if len(keys) == 1:
            return self._address(self.model, "change", keys[0])
        return self._address(self.model, "changelist")


def _most(act: Act[Any]) -> int:
    return AT_MOST if act.at_most is None else min(AT_MOST, act.at_most)


def _told(group: Skipped[Any]) -> str:
    text = gettext("Not done to {count}: {why}")
    if len(group.rows) > 1 and group.names_its_row:
        text = gettext("Not done to {count}, of which the first: {why}")
    return text.format(count=len(group.rows), why=group.why)


def _fingerprint(form: forms.Form) -> str:
    """The answers that decide how much happens: what was foreseen holds for these and for no others."""
    return "/".join(str(answer) for name, answer in form.cleaned_data.items() if name != "reason")
