"""Addresses of admin pages, in whichever AdminSite the reader is; None where that site does not have the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads, and in which AdminSite: a link that would be refused is no link."""

    user: Any
    site_name: str

    def may(self, permission: str) -> bool:
        """Whether the reader has one of our permissions."""
        return bool(self.user.has_perm(f"report_orchestrator.{permission}"))

    def may_view(self, model: type[Model]) -> bool:
        """Whether the reader may see the rows of one of our models."""
        return self.may(f"view_{model._meta.model_name}")

    def list_address(self, model: type[Model], **filters: object) -> str | None:
        """A list, filtered; None for whoever may not see it."""
        if not self.may_view(model):
            return None
        return list_address(model, self.site_name, **filters)

    def page_address(self, model: type[Model], pk: object) -> str | None:
        """One row's page; None for whoever may not see it."""
        return page_address(model, self.site_name, pk) if self.may_view(model) else None

    def retry_address(self, **filters: object) -> str | None:
        """Where runs are retried together; None for whoever may not."""
        if not self.may("retry_runs"):
            return None
        address = _reverse("admin:report_orchestrator_reportrun_act", self.site_name, "retry")
        return address and f"{address}?{urlencode(filters)}"

    def all_address(self, act: str) -> str | None:
        """Where all reports are paused (`pause_all`) or resumed (`resume_all`); None for whoever may not."""
        if not (self.may("view_reportschedule") and self.may("pause_reports")):
            return None
        return _reverse(f"admin:report_orchestrator_reportschedule_{act}", self.site_name)


def may_view_runs(request: HttpRequest) -> bool:
    """Whether what a page tells of runs is for this reader: to see the reports alone is no permission to see how they went."""
    return Reader(user=request.user, site_name="").may("view_reportrun")


def list_address(model: type[Model], site_name: str, **filters: object) -> str | None:
    """A list, filtered."""
    address = _address(model, "changelist", site_name)
    return address and (f"{address}?{urlencode(filters)}" if filters else address)


def page_address(model: type[Model], site_name: str, pk: object) -> str | None:
    """One row's page."""
    return _address(model, "change", site_name, pk)


def host_address(site: AdminSite, model: type[Model], key: str, request: HttpRequest) -> str | None:
    """The page of a row of the host's own, where its model is in this admin and the reader may see it."""
    if not site.is_registered(model) or not site.get_model_admin(model).has_view_permission(request):
        return None
    return page_address(model, site.name, quote(key))


def _address(model: type[Model], page: str, site_name: str, *args: object) -> str | None:
    return _reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", site_name, *args)


def _reverse(name: str, site_name: str, *args: object) -> str | None:
    try:
        return reverse(name, args=args, current_app=site_name)
    except NoReverseMatch:
        return None
