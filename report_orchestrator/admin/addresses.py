"""Addresses of admin pages, in whichever AdminSite the reader is; None where that site does not have the page."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


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
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    try:
        return reverse(name, args=args, current_app=site_name)
    except NoReverseMatch:
        return None
