"""What all our admin pages share: nobody writes here, and lists stay fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from report_orchestrator.admin.addresses import list_address, page_address
from report_orchestrator.admin.display import NOTHING
from report_orchestrator.admin.paging import CappedPaginator

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin, Generic[M]):
        """Django's ModelAdmin is generic for the type checker only."""


class ReadOnlyAdmin(ModelAdmin[M]):
    """Pages that whoever has the view permission may read, and nobody may write."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    empty_value_display = NOTHING

    class Media:
        css = {"all": ("report_orchestrator/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: rows come from the scheduler."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: history is not rewritten."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: history ends by retention, not by hand."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The view permission itself: one to change, which means nothing here, does not stand in for it."""
        opts = self.opts
        return request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}")

    def _refuse_strangers(self, request: HttpRequest) -> None:
        """For pages of our own, which Django does not guard."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def link_to_page(self, model: type[Model], pk: object, text: object) -> SafeString:
        """A link to one row's page; the text alone where this AdminSite has no such page."""
        return linked(page_address(model, self.admin_site.name, pk), text)

    def link_to_list(self, model: type[Model], text: object, **filters: object) -> SafeString:
        """A link to a filtered list; the text alone where this AdminSite has no such list."""
        return linked(list_address(model, self.admin_site.name, **filters), text)

    def _address(self, model: type[Model], page: str, *args: Any) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def linked(address: str | None, text: object) -> SafeString:
    """A link, or the text alone where there is no address."""
    return format_html("{}", text) if address is None else format_html('<a href="{}">{}</a>', address, text)
