"""The base of all our admin pages: read-only, with lists that count a million rows only up to a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from report_orchestrator.admin.ui.format import NOTHING, code, instant
from report_orchestrator.admin.ui.links import list_address, page_address
from report_orchestrator.admin.ui.phrases import isolated

M = TypeVar("M", bound=Model)

COUNTED_AT_MOST = 10_000
LONGEST_SEARCH = 200
"""Characters. A report's name may have more, and any part of it is found."""
PLAIN_LOOKUPS = frozenset({"exact", "in", "isnull", "id", "pk", "gte", "lt", "lte", "gt", "year", "month", "day"})
"""Those of Django's own filters."""

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator[Model]
else:
    RowPaginator = Paginator

    class ModelAdmin(admin.ModelAdmin, Generic[M]):
        """Django's ModelAdmin is generic for the type checker only."""


class CappedPaginator(RowPaginator):
    """Counts and pages at most `COUNTED_AT_MOST` rows; `is_capped` if there are more."""

    object_list: QuerySet[Model]

    @cached_property
    def count(self) -> int:
        """The number of rows on all pages."""
        return min(self._counted, COUNTED_AT_MOST)

    @property
    def is_capped(self) -> bool:
        """True if there are rows beyond the last page."""
        return self._counted > COUNTED_AT_MOST

    @property
    def cap(self) -> int:
        """The limit, for the page's note."""
        return COUNTED_AT_MOST

    @cached_property
    def _counted(self) -> int:
        # The order stays: with it the database walks an index from the newest row, and stops at the cap.
        return self.object_list.values("pk")[: COUNTED_AT_MOST + 1].count()


class CappedChangeList(ChangeList):
    """Orders by sortable columns alone, and tells the number of results only where they are some of all rows."""

    def get_ordering_field(self, field_name: Any) -> Any:
        return super().get_ordering_field(field_name) if field_name in (self.sortable_by or ()) else None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.paginator.is_capped or not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin[M]):
    """Pages that need the view permission and allow no writing."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    empty_value_display = NOTHING

    class Media:
        css = {"all": ("report_orchestrator/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come from the scheduler."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """History is read-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are removed by retention only."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Require the view permission itself; the change permission has no meaning here."""
        opts = self.opts
        return request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CappedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Open the only match of a search."""
        response = super().changelist_view(request, extra_context)
        changelist = (getattr(response, "context_data", None) or {}).get("cl")
        is_search = request.method == "GET" and set(request.GET) == {SEARCH_VAR}
        if changelist is None or not is_search or not changelist.query or changelist.result_count != 1:
            return response
        text = gettext("The only match for “{term}”.")
        messages.info(request, text.format(term=isolated(changelist.query)))
        return HttpResponseRedirect(changelist.url_for_result(changelist.result_list[0]))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Treat a value that a column cannot hold as Django treats other wrong lookups: it shows the list without them.

        Some values fail only when the rows are counted, each in the way of its field and database. A search for thousands of
        words fails in none of these ways.
        """
        if len(request.GET.get(SEARCH_VAR, "")) > LONGEST_SEARCH:
            raise BadRequest(f"The search has more than {LONGEST_SEARCH} characters.")
        try:
            return super().get_changelist_instance(request)
        except (AttributeError, OverflowError, ValueError, DataError) as error:
            if not request.GET:
                raise
            raise IncorrectLookupParameters(error) from error

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the declared filters only: others, such as a regular expression, may hold a web process for long."""
        filters: list[Any] = list(self.list_filter if request is None else self.get_list_filter(request))
        columns = {_parameter_of(each) for each in filters}
        columns.add(self.date_hierarchy or "")
        column, *rest = lookup.split("__")
        is_declared = column in columns and set(rest) <= PLAIN_LOOKUPS
        return is_declared or column not in {field.name for field in self.opts.get_fields()}

    def _refuse_strangers(self, request: HttpRequest) -> None:
        """Check the view permission for our own pages, as Django does only for its own."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def link_to_page(self, model: type[Model], pk: object, text: object) -> SafeString:
        """Link to a row's page; the text alone if this AdminSite lacks the page."""
        return linked(page_address(model, self.admin_site.name, pk), text)

    def link_to_list(self, model: type[Model], text: object, **filters: object) -> SafeString:
        """Link to a filtered list; the text alone if this AdminSite lacks it."""
        return linked(list_address(model, self.admin_site.name, **filters), text)

    def _address(self, model: type[Model], page: str, *args: Any) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def _parameter_of(list_filter: Any) -> str:
    """Return the name by which an address names a filter: a field, a field with a class, or a class of its own."""
    match list_filter:
        case str():
            return list_filter
        case (field, _filter):
            return str(field)
        case _:
            return str(list_filter.parameter_name)


def linked(address: str | None, text: object) -> SafeString:
    """Return a link, or the text alone without an address."""
    return format_html("{}", text) if address is None else format_html('<a href="{}">{}</a>', address, text)


def instant_field(attribute: str, label: _StrPromise) -> Callable[[Any, Any], str]:
    """A row's instant, to the second and with its zone."""
    return text_field(lambda row: instant(getattr(row, attribute)), label)


def code_field(attribute: str, label: _StrPromise) -> Callable[[Any, Any], str]:
    """A row's text that people copy, such as a key or a hash."""
    return text_field(lambda row: code(getattr(row, attribute)), label)


def text_field(show: Callable[[Any], str], label: _StrPromise) -> Callable[[Any, Any], str]:
    """The text that `show` makes of a row."""

    @admin.display(description=label)
    def field(_admin: Any, row: Any) -> str:
        return show(row)

    return field
