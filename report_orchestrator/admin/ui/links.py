"""Addresses of admin pages in the reader's AdminSite; None for pages that the site lacks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.sites import all_sites
from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState

M = TypeVar("M", bound=Model)

INTERVAL_FORMAT = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The reader and the AdminSite: links are given only to pages that the reader may open."""

    user: Any
    site_name: str
    request: HttpRequest | None = None

    def may(self, permission: str) -> bool:
        """Return True if the reader has one of our permissions."""
        return bool(self.user.has_perm(f"report_orchestrator.{permission}"))

    def may_view(self, model: type[Model]) -> bool:
        """Return True if the reader may view one of our models."""
        return self.may(f"view_{model._meta.model_name}")

    def list_address(self, model: type[Model], **filters: object) -> str | None:
        """Return a filtered list's address; None without permission."""
        if not self.may_view(model):
            return None
        return list_address(model, self.site_name, **filters)

    def page_address(self, model: type[Model], pk: object) -> str | None:
        """Return a row's page address; None without permission."""
        return page_address(model, self.site_name, pk) if self.may_view(model) else None

    def run_address(self, schedule: int) -> str | None:
        """Return the address to run a report now; None without permission."""
        if not (self.may("run_reports") and self.may_view(ReportSchedule)):
            return None
        address = _reverse("admin:report_orchestrator_reportschedule_act", self.site_name, "run")
        return address and f"{address}?{urlencode({'ids': schedule})}"

    def project_address(self, report_model: str, key: str) -> str | None:
        """Return a report's page in the project, on the same terms as `host_address`."""
        site = next((site for site in all_sites if site.name == self.site_name), None)
        if site is None or self.request is None:
            return None
        return _host_address(site, report_model, key, self.request)

    def timeline_address(self) -> str | None:
        """Return the address of the timeline; None without permission."""
        if not self.may_view(ReportSchedule):
            return None
        return _reverse("admin:report_orchestrator_reportschedule_timeline", self.site_name)

    def retry_address(self, **filters: object) -> str | None:
        """Return the address to retry runs together; None without permission."""
        if not self.may("retry_runs"):
            return None
        address = _reverse("admin:report_orchestrator_reportrun_act", self.site_name, "retry")
        return address and f"{address}?{urlencode(filters)}"

    def live_address(self) -> str | None:
        """Return the address that says whether runs changed; None without permission."""
        return (
            _reverse("admin:report_orchestrator_reportrun_live", self.site_name) if self.may_view(ReportRun) else None
        )

    def all_address(self, action: str) -> str | None:
        """Return the address to pause (`pause_all`) or resume (`resume_all`) all reports; None without permission."""
        if not (self.may("view_reportschedule") and self.may("pause_reports")):
            return None
        return _reverse(f"admin:report_orchestrator_reportschedule_{action}", self.site_name)


def interval(start: datetime, end: datetime) -> str:
    """Return the value of the filters by due time: from `start` until before `end`."""
    return "/".join(at.astimezone(UTC).strftime(INTERVAL_FORMAT) for at in (start, end))


def visible_rows(site: AdminSite, model: type[M], request: HttpRequest) -> QuerySet[M]:
    """Return the rows of one of our models that the site shows to the reader: none without its page or the permission.

    A project may narrow the rows, to those of a tenant for example, by the `get_queryset` of its own ModelAdmin.
    """
    ours = _model_admin(site, model)
    if ours is None or not ours.has_view_permission(request):
        return model._default_manager.none()
    rows: QuerySet[M] = ours.get_queryset(request)
    return rows


def is_narrowed(site: AdminSite, model: type[Model], request: HttpRequest) -> bool:
    """Return True if the site hides rows of one of our models from the reader."""
    ours = _model_admin(site, model)
    return ours is not None and bool(ours.get_queryset(request).query.where)


def _model_admin(site: AdminSite, model: type[Model]) -> Any:
    return site._registry.get(model)  # noqa: SLF001 - Django 5.2 has no lookup that does not raise


def may_view_runs(request: HttpRequest) -> bool:
    """Return True if pages of reports may show their runs: permission to view reports alone is not enough."""
    return Viewer(user=request.user, site_name="").may("view_reportrun")


def list_address(model: type[Model], site_name: str, **filters: object) -> str | None:
    """Return a filtered list's address."""
    address = _address(model, "changelist", site_name)
    return address and (f"{address}?{urlencode(filters)}" if filters else address)


def page_address(model: type[Model], site_name: str, pk: object) -> str | None:
    """Return a row's page address."""
    return _address(model, "change", site_name, pk)


def host_address(site: AdminSite, model: type[Model], key: str, request: HttpRequest) -> str | None:
    """Return the page of the host's own row, if its model is in this admin and the reader may view it."""
    if not site.is_registered(model) or not site.get_model_admin(model).has_view_permission(request):
        return None
    return page_address(model, site.name, quote(key))


def host_report_address(site: AdminSite, schedule: ReportSchedule, request: HttpRequest) -> str | None:
    """Return the page of a report in the project, on the same terms as `host_address`; None for a removed report."""
    if schedule.state == ScheduleState.REMOVED:
        return None
    return _host_address(site, schedule.report_model, schedule.report_key, request)


def _host_address(site: AdminSite, model_label: str, key: str, request: HttpRequest) -> str | None:
    try:
        model = apps.get_model(model_label)
    except (LookupError, ValueError):  # the project no longer has this model
        return None
    return host_address(site, model, key, request)


def _address(model: type[Model], page: str, site_name: str, *args: object) -> str | None:
    return _reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", site_name, *args)


def _reverse(name: str, site_name: str, *args: object) -> str | None:
    try:
        return reverse(name, args=args, current_app=site_name)
    except NoReverseMatch:
        return None
