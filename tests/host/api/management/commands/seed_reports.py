from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, DjangoHelpFormatter
from django.db import router, transaction

from tests.host.api.models import BoxEvent, Event, EventGroup, GeoEvent, Job, Report, ReportModifier, RingEvent
from tests.host.api.seed import (
    EVENT_GROUPS,
    MODIFIERS,
    REPORTS,
    BareSeed,
    BoxSeed,
    EventSeed,
    GeoSeed,
    GroupSeed,
    ModifierSeed,
    ReportSeed,
    RingSeed,
)

if TYPE_CHECKING:
    from django.core.management.base import CommandParser
    from django.db.models import Model

EVENT_MODELS: dict[type[EventSeed], type[Event]] = {
    RingSeed: RingEvent,
    BoxSeed: BoxEvent,
    GeoSeed: GeoEvent,
    BareSeed: Event,
}

EPILOG = """\
Most of the forty reports are sound, and run from every minute to once a year. The rest go wrong as
reports do in life: no event group, an empty one, a mixed one, an event of no known type, crons that
can never fire, no cron, not valid. tests/host/api/seed.py says what should become of each.

Seeding again adds what is missing by name and leaves all the rest as it is, your own changes too.

examples:
  manage.py migrate && manage.py migrate --database reports    the tables, once
  manage.py seed_reports                                       fill what is missing
  manage.py seed_reports --reset                               start over
"""


class HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the examples apart."""


class Command(BaseCommand):
    help = "Fills the reports' database with forty reports, their event groups and two modifiers."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EPILOG, formatter_class=HelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset",
            action="store_true",
            help="First delete every report, event, modifier and job there is, seeded or not.",
        )

    def handle(self, *args: Any, reset: bool, **options: Any) -> None:
        self.made: Counter[type[Model]] = Counter()
        self.kept: Counter[type[Model]] = Counter()
        with transaction.atomic(using=router.db_for_write(Report)):
            if reset:
                delete_everything()
            self.seed_everything()
        self.print_table()

    def seed_everything(self) -> None:
        for group in EVENT_GROUPS:
            self.seed_group(group)
        for report in REPORTS:
            self.seed_report(report)
        for modifier in MODIFIERS:
            self.seed_modifier(modifier)

    def seed_group(self, seed: GroupSeed) -> None:
        group, is_new = EventGroup.objects.get_or_create(name=seed.name)
        self.count(EventGroup, is_new=is_new)
        events = [self.seed_event(event, seed.zone) for event in seed.events]
        if is_new:
            group.events.set(events)

    def seed_event(self, seed: EventSeed, zone: str) -> Event:
        model = EVENT_MODELS[type(seed)]
        event, is_new = model._default_manager.get_or_create(name=seed.name, defaults={**asdict(seed), "zone": zone})
        self.count(model, is_new=is_new)
        return event

    def seed_report(self, seed: ReportSeed) -> None:
        fields = asdict(seed)
        for not_a_column in ("group", "expected", "problem"):
            del fields[not_a_column]
        group = EventGroup.objects.get(name=seed.group) if seed.group else None
        _, is_new = Report.objects.get_or_create(name=seed.name, defaults={**fields, "event_group": group})
        self.count(Report, is_new=is_new)

    def seed_modifier(self, seed: ModifierSeed) -> None:
        modifier, is_new = ReportModifier.objects.get_or_create(
            as_at_date=seed.as_at_date, defaults={"fx_date": seed.fx_date}
        )
        self.count(ReportModifier, is_new=is_new)
        if is_new:
            modifier.reports.set(Report.objects.filter(name__in=seed.reports))

    def count(self, model: type[Model], *, is_new: bool) -> None:
        (self.made if is_new else self.kept)[model] += 1

    def print_table(self) -> None:
        self.stdout.write(f"{'':<18}{'made':>6}{'there already':>15}")
        for model in (Report, EventGroup, RingEvent, BoxEvent, GeoEvent, Event, ReportModifier):
            name = "bare events" if model is Event else str(model._meta.verbose_name_plural)
            self.stdout.write(f"{name:<18}{self.made[model]:>6}{self.kept[model]:>15}")
        fates = Counter(report.expected for report in REPORTS)
        self.stdout.write("To expect: " + ", ".join(f"{count} {fate}" for fate, count in fates.items()))


def delete_everything() -> None:
    for model in (Job, ReportModifier, Report, EventGroup, Event):
        model._default_manager.all().delete()
