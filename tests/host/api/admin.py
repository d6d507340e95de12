from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Count

from report_orchestrator.admin import ReportRunsMixin

from .models import BoxEvent, Event, EventGroup, GeoEvent, Job, Report, ReportModifier, RingEvent

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

    HostAdmin = admin.ModelAdmin
else:

    class HostAdmin(admin.ModelAdmin):
        """Django's ModelAdmin is generic for the type checker only."""

        def __class_getitem__(cls, model: Any) -> type[HostAdmin]:
            return cls


@admin.register(Report)
class ReportAdmin(ReportRunsMixin, HostAdmin[Report]):
    list_display = ("name", "peril", "event_group", "cron", "priority", "is_valid", "updated")
    list_filter = ("is_valid", "peril", "priority", "loss_perspective", "cob", "event_group")
    list_select_related = ("event_group",)
    search_fields = ("name", "cron", "event_group__name")
    search_help_text = "Search by name, cron or event group."
    readonly_fields = ("created", "updated")
    autocomplete_fields = ("event_group",)
    save_as = True
    actions = ("let_run", "keep_from_running")
    fieldsets = (
        (None, {"fields": ("name", "peril", "event_group", "cron", "priority", "is_valid")}),
        ("Losses", {"fields": ("dr", "cob", "loss_perspective", "is_apply_calibration", "is_apply_inflation")}),
        (
            "Locations",
            {
                "fields": (
                    "is_location_breakout",
                    "location_breakout_max_events",
                    "location_breakout_max_locations",
                    "is_ignore_missing_lat_lon",
                    "dynamic_ring_loss_threshold",
                    "blast_radius",
                    "no_overlap_radius",
                )
            },
        ),
        (
            "Computation",
            {"fields": ("ncores", "gross_node_id", "net_node_id", "rollup_context_id", "is_tag_outwards_ptns")},
        ),
        ("History", {"fields": ("created", "updated")}),
    )

    @admin.action(description="Let the selected reports run")
    def let_run(self, request: HttpRequest, reports: QuerySet[Report]) -> None:
        self._set_valid(request, reports, is_valid=True)

    @admin.action(description="Keep the selected reports from running")
    def keep_from_running(self, request: HttpRequest, reports: QuerySet[Report]) -> None:
        self._set_valid(request, reports, is_valid=False)

    def _set_valid(self, request: HttpRequest, reports: QuerySet[Report], *, is_valid: bool) -> None:
        # Like the hosts it stands for: update() sends no signal and leaves `updated` as it was.
        changed = reports.update(is_valid=is_valid)
        self.message_user(request, f"Reports {'let run' if is_valid else 'kept from running'}: {changed}.")


@admin.register(EventGroup)
class EventGroupAdmin(HostAdmin[EventGroup]):
    list_display = ("name", "event_count", "created", "updated")
    search_fields = ("name", "events__name")
    filter_horizontal = ("events",)
    readonly_fields = ("created", "updated")

    def get_queryset(self, request: HttpRequest) -> QuerySet[EventGroup]:
        return super().get_queryset(request).annotate(event_count=Count("events"))

    @admin.display(description="events", ordering="event_count")
    def event_count(self, group: EventGroup) -> int:
        count: int = group.event_count  # type: ignore[attr-defined]
        return count


@admin.register(Event)
class EventAdmin(HostAdmin[Event]):
    list_display = ("name", "kind", "zone", "is_valid")
    list_filter = ("is_valid", "zone")
    list_select_related = ("ringevent", "boxevent", "geoevent")
    search_fields = ("name", "description", "zone")

    @admin.display(description="kind")
    def kind(self, event: Event) -> str:
        kinds = (kind for kind in ("ring", "box", "geo") if hasattr(event, f"{kind}event"))
        return next(kinds, "none")


@admin.register(RingEvent)
class RingEventAdmin(HostAdmin[RingEvent]):
    list_display = ("name", "zone", "latitude", "longitude", "radius", "is_valid")
    list_filter = ("is_valid", "zone")
    search_fields = ("name", "description", "zone")


@admin.register(BoxEvent)
class BoxEventAdmin(HostAdmin[BoxEvent]):
    list_display = ("name", "zone", "min_lat", "max_lat", "min_lon", "max_lon", "is_valid")
    list_filter = ("is_valid", "zone")
    search_fields = ("name", "description", "zone")


@admin.register(GeoEvent)
class GeoEventAdmin(HostAdmin[GeoEvent]):
    list_display = ("name", "zone", "country", "area", "subarea", "subarea2", "is_valid")
    list_filter = ("is_valid", "country", "zone")
    search_fields = ("name", "description", "zone", "country", "area", "subarea", "subarea2")


@admin.register(ReportModifier)
class ReportModifierAdmin(HostAdmin[ReportModifier]):
    list_display = ("id", "as_at_date", "fx_date", "report_count")
    list_filter = ("as_at_date",)
    search_fields = ("reports__name", "as_at_date", "fx_date")
    search_help_text = "Search by report or date."
    filter_horizontal = ("reports",)
    date_hierarchy = "as_at_date"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportModifier]:
        return super().get_queryset(request).annotate(report_count=Count("reports"))

    @admin.display(description="reports", ordering="report_count")
    def report_count(self, modifier: ReportModifier) -> int:
        count: int = modifier.report_count  # type: ignore[attr-defined]
        return count


@admin.register(Job)
class JobAdmin(HostAdmin[Job]):
    list_display = ("fireant_jobid", "report", "report_modifier", "created", "updated")
    list_filter = ("created", "report__peril")
    list_select_related = ("report", "report_modifier")
    search_fields = ("fireant_jobid", "report__name")
    search_help_text = "Search by Fireant job id or report."
    raw_id_fields = ("report", "report_modifier")
    readonly_fields = ("created", "updated")
    date_hierarchy = "created"
