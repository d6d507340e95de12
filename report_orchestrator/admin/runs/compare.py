"""The page that compares a run with another one, by default with the report's last success before it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import Truncator
from django.utils.translation import gettext

from report_orchestrator.admin.actions.rows import is_key
from report_orchestrator.admin.ui.format import NOTHING, STATUS_SIGNS, code, duration, instant, signed
from report_orchestrator.admin.ui.masked_json import json_without_secrets, without_named_secrets
from report_orchestrator.admin.ui.phrases import error_title, number
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.domain.json_diff import ABSENT, json_differences
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.reports.run_comparison import (
    RunFacts,
    last_success,
    next_run,
    previous_run,
    read_facts,
)

DIFFERENCES_SHOWN = 50
VALUE_SHOWN = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """A value of both runs, as text."""

    name: str
    this: object
    other: object

    @property
    def differs(self) -> bool:
        return str(self.this) != str(self.other)


class CompareAdmin(ReadOnlyAdmin[ReportRun]):
    """Adds the page, and the links to the runs before and after, for people who may see these runs."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_compare"
        return [path("<int:pk>/compare/", view, name=name), *super().get_urls()]

    def neighbors(self, request: HttpRequest, run: ReportRun) -> list[tuple[str, str]]:
        """Return the links to the report's other runs, with their texts. Two queries."""
        visible = self.get_queryset(request)
        found = ((gettext("Previous run"), previous_run(run, visible)), (gettext("Next run"), next_run(run, visible)))
        links = [
            (text, self._address(ReportRun, "change", other.pk))
            for text, other in found
            if other is not None and self.has_view_permission(request, other)
        ]
        return [*links, (gettext("Compare with the last success"), self._address(ReportRun, "compare", run.pk))]

    def compare_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._refuse_strangers(request)
        run = self._visible_run(request, pk)
        other = self._other_run(request, run)
        return TemplateResponse(
            request,
            "admin/report_orchestrator/compare.html",
            {
                **self.admin_site.each_context(request),
                "title": gettext("Compare run {number}").format(number=run.pk),
                "opts": self.opts,
                "media": self.media,
                "run": run,
                "other": other,
                "asked": request.GET.get("with", ""),
                "report": self.link_to_page(ReportSchedule, run.schedule_id, run.report),
                "back": self._address(ReportRun, "change", run.pk),
                "other_address": other and self._address(ReportRun, "change", other.pk),
                **({} if other is None else _comparison(*read_facts(run, other))),
            },
        )

    def _visible_run(self, request: HttpRequest, pk: int) -> ReportRun:
        run = self.get_queryset(request).filter(pk=pk).first()
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return run

    def _other_run(self, request: HttpRequest, run: ReportRun) -> ReportRun | None:
        """Return the run of the address, or else the last success; None if there is none that the reader may see."""
        visible, asked = self.get_queryset(request), request.GET.get("with", "").strip()
        if not asked:
            other = last_success(run, visible)
        else:
            other = visible.filter(pk=int(asked)).first() if is_key(asked) else None
            if other is None:
                messages.warning(request, gettext("There is no run “{number}”.").format(number=asked[:20]))
        return other if other is not None and self.has_view_permission(request, other) else None


def _comparison(this: RunFacts, other: RunFacts) -> dict[str, Any]:
    found = _payload_differences(this, other)
    shown = list(islice(found, DIFFERENCES_SHOWN))
    return {
        "rows": list(_rows(this, other)),
        "payload_differences": shown,
        "more_differences": sum(1 for _difference in found),
        "missing_payloads": [facts.run.pk for facts in (this, other) if facts.payload is None],
    }


def _rows(this: RunFacts, other: RunFacts) -> Iterator[ComparedRow]:
    for (name, own), (_name, others) in zip(_values(this), _values(other), strict=True):
        yield ComparedRow(name=name, this=own, other=others)


def _values(facts: RunFacts) -> Iterable[tuple[str, object]]:
    run = facts.run
    span, size = facts.duration, run.result_size
    return (
        (gettext("Status"), signed(STATUS_SIGNS, run.status, run.get_status_display())),
        (gettext("Error"), error_title(run.error_code) if run.error_code else NOTHING),
        (gettext("Trigger"), run.get_trigger_display()),
        (gettext("Scheduled for"), instant(run.scheduled_for)),
        (gettext("Duration"), NOTHING if span is None else duration(span)),
        (gettext("Job kind"), run.job_kind or NOTHING),
        (gettext("Events"), _count(facts.data.get("events"))),
        (
            gettext("Modifier's dates"),
            " / ".join(str(facts.data.get(name, NOTHING)) for name in ("as_at_date", "fx_date")),
        ),
        (gettext("SHA-256 of the payload"), code(run.payload_digest[:12])),
        (gettext("Size of the result"), NOTHING if size is None else filesizeformat(size)),
        (gettext("Rows added to the table"), _count(facts.stored.get("rows"))),
        (gettext("SHA-256 of the result"), code(run.result_sha256[:12])),
    )


def _count(value: object) -> str:
    return number(value) if isinstance(value, int) else NOTHING


def _payload_differences(this: RunFacts, other: RunFacts) -> Iterator[ComparedRow]:
    """Yield the fields of the payload that differ, without secrets; nothing unless both payloads are kept."""
    if this.payload is None or other.payload is None:
        return
    for each in json_differences(without_named_secrets(this.payload), without_named_secrets(other.payload)):
        yield ComparedRow(name=each.path, this=_shown(each.before), other=_shown(each.after))


def _shown(value: object) -> str:
    return NOTHING if value is ABSENT else Truncator(json_without_secrets(value)).chars(VALUE_SHOWN)
