"""Forty reports as a real portfolio has them, the broken ones too, with the fate that each should meet.

Names are the natural keys: an event, a group or a report is the same one wherever its name appears.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from .models import LossPerspective, Peril, Priority

Fate = Literal["active", "disabled", "unscheduled", "quarantined"]
Problem = Literal["no_event_group", "empty_event_group", "mixed_event_types", "unknown_event_type", "invalid_cron"]


@dataclass(frozen=True, slots=True)
class RingSeed:
    name: str
    latitude: float
    longitude: float
    radius: float


@dataclass(frozen=True, slots=True)
class BoxSeed:
    name: str
    min_lat: float
    max_lat: float
    min_lon: float
    max_lon: float


@dataclass(frozen=True, slots=True)
class GeoSeed:
    name: str
    country: str
    area: str | None = None
    subarea: str | None = None
    subarea2: str | None = None


@dataclass(frozen=True, slots=True)
class BareSeed:
    """An event that is neither ring, box nor geo."""

    name: str


EventSeed = RingSeed | BoxSeed | GeoSeed | BareSeed


@dataclass(frozen=True, slots=True)
class GroupSeed:
    name: str
    zone: str
    events: tuple[EventSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportSeed:
    """A report and its expected state: `problem` is the reason why a quarantined one cannot run."""

    name: str
    peril: Peril
    group: str | None
    cron: str | None
    priority: Priority = Priority.NORMAL
    cob: str = "Property"
    loss_perspective: LossPerspective = LossPerspective.GROSS
    is_valid: bool = True
    expected: Fate = "active"
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ModifierSeed:
    as_at_date: date
    fx_date: date
    reports: tuple[str, ...]


LOW, NORMAL, ABOVE, HIGH = (Priority.BELOW_NORMAL, Priority.NORMAL, Priority.ABOVE_NORMAL, Priority.HIGH)
GROUND_UP, NET = LossPerspective.GROUND_UP, LossPerspective.NET
WS, EQ, FL, TR, WF = (Peril.WINDSTORM, Peril.EARTHQUAKE, Peril.FLOOD, Peril.TERRORISM, Peril.WILDFIRE)
CS, WT, TS, VO = Peril.CONVECTIVE_STORM, Peril.WINTER_STORM, Peril.TSUNAMI, Peril.VOLCANO

RING_GROUPS = (
    GroupSeed("Canary Wharf blast", "United Kingdom", (RingSeed("One Canada Square", 51.5049, -0.0195, 0.4),)),
    GroupSeed(
        "Manhattan landmarks",
        "United States",
        (
            RingSeed("World Trade Center", 40.7127, -74.0134, 0.5),
            RingSeed("Empire State Building", 40.7484, -73.9857, 0.4),
            RingSeed("Times Square", 40.7580, -73.9855, 0.4),
            RingSeed("Grand Central Terminal", 40.7527, -73.9772, 0.4),
            RingSeed("New York Stock Exchange", 40.7069, -74.0113, 0.3),
        ),
    ),
    GroupSeed(
        "European capitals",
        "Europe",
        (
            RingSeed("London, Westminster", 51.4995, -0.1248, 1.0),
            RingSeed("Paris, La Défense", 48.8920, 2.2360, 1.0),
            RingSeed("Berlin, Potsdamer Platz", 52.5096, 13.3760, 1.0),
            RingSeed("Madrid, Cuatro Torres", 40.4770, -3.6873, 1.0),
            RingSeed("Rome, EUR", 41.8302, 12.4670, 1.0),
            RingSeed("Amsterdam, Zuidas", 52.3389, 4.8730, 1.0),
            RingSeed("Brussels, European Quarter", 50.8429, 4.3827, 1.0),
            RingSeed("Vienna, Donau City", 48.2332, 16.4137, 1.0),
            RingSeed("Lisbon, Parque das Nações", 38.7680, -9.0940, 1.0),
            RingSeed("Copenhagen, Ørestad", 55.6310, 12.5790, 1.0),
            RingSeed("Warsaw, Śródmieście", 52.2297, 21.0059, 1.0),
            RingSeed("Dublin, Docklands", 53.3478, -6.2390, 1.0),
        ),
    ),
    GroupSeed(
        "Pacific volcanoes",
        "Pacific Rim",
        (
            RingSeed("Mount Rainier", 46.8523, -121.7603, 80.0),
            RingSeed("Mount Fuji", 35.3606, 138.7274, 100.0),
            RingSeed("Taal", 14.0113, 120.9977, 50.0),
        ),
    ),
)

BOX_GROUPS = (
    GroupSeed(
        "Gulf of Mexico platforms",
        "Offshore",
        (
            BoxSeed("Green Canyon", 27.0, 28.0, -92.0, -90.0),
            BoxSeed("Mississippi Canyon", 27.5, 29.0, -90.0, -87.5),
            BoxSeed("Garden Banks", 27.0, 28.0, -94.0, -92.0),
            BoxSeed("Walker Ridge", 26.0, 27.0, -92.0, -90.0),
        ),
    ),
    GroupSeed(
        "California fire corridors",
        "United States",
        (
            BoxSeed("Paradise and Oroville", 39.40, 39.90, -121.75, -121.30),
            BoxSeed("Napa and Sonoma", 38.20, 38.80, -122.90, -122.20),
            BoxSeed("Malibu and Topanga", 34.00, 34.20, -118.95, -118.50),
            BoxSeed("Altadena and Pasadena", 34.13, 34.24, -118.22, -118.02),
            BoxSeed("San Diego backcountry", 32.60, 33.30, -117.00, -116.40),
            BoxSeed("Santa Barbara front country", 34.38, 34.55, -120.00, -119.45),
        ),
    ),
    GroupSeed("North Sea surge", "Europe", (BoxSeed("Rhine and Meuse delta", 51.30, 52.20, 3.40, 5.00),)),
    GroupSeed(
        "Japan subduction zones",
        "Japan",
        (
            BoxSeed("Nankai Trough", 32.5, 34.8, 132.0, 138.0),
            BoxSeed("Sagami Trough", 34.5, 35.8, 138.5, 141.0),
            BoxSeed("Japan Trench", 36.0, 40.5, 140.5, 144.0),
            BoxSeed("Kuril Trench", 41.5, 44.0, 143.0, 147.0),
            BoxSeed("Hyuga-nada", 31.0, 33.0, 131.0, 133.0),
            BoxSeed("Ryukyu Trench", 24.0, 29.0, 124.0, 131.0),
            BoxSeed("Tokyo Bay", 35.2, 35.8, 139.6, 140.2),
            BoxSeed("Osaka Bay", 34.3, 34.8, 134.9, 135.5),
        ),
    ),
)

GEO_GROUPS = (
    GroupSeed(
        "Florida coastal counties",
        "United States",
        (
            GeoSeed("South Florida", "US", "FL", "Miami-Dade"),
            GeoSeed("Fort Lauderdale", "US", "FL", "Broward"),
            GeoSeed("Palm Beaches", "US", "FL", "Palm Beach"),
            GeoSeed("Florida Keys", "US", "FL", "Monroe"),
            GeoSeed("Naples", "US", "FL", "Collier"),
            GeoSeed("Fort Myers", "US", "FL", "Lee"),
            GeoSeed("Sarasota", "US", "FL", "Sarasota"),
            GeoSeed("Tampa", "US", "FL", "Hillsborough"),
            GeoSeed("St. Petersburg", "US", "FL", "Pinellas"),
            GeoSeed("Jacksonville", "US", "FL", "Duval"),
        ),
    ),
    GroupSeed(
        "Central European rivers",
        "Europe",
        (
            GeoSeed("Saxony", "DE", "Sachsen"),
            GeoSeed("Ahr valley", "DE", "Rheinland-Pfalz", "Ahrweiler", "Bad Neuenahr"),
            GeoSeed("Lower Austria", "AT", "Niederösterreich"),
            GeoSeed("Prague", "CZ", "Praha"),
            GeoSeed("Lower Silesia", "PL", "Dolnośląskie"),
        ),
    ),
    GroupSeed(
        "Tornado Alley",
        "United States",
        (GeoSeed("Oklahoma", "US", "OK"), GeoSeed("Kansas", "US", "KS"), GeoSeed("North Texas", "US", "TX", "Dallas")),
    ),
    GroupSeed("New Zealand", "Oceania", (GeoSeed("New Zealand, all regions", "NZ"),)),
)

BROKEN_GROUPS = (
    GroupSeed("Caribbean treaty (events to follow)", "Caribbean"),
    GroupSeed(
        "Istanbul, imported twice",
        "Türkiye",
        (RingSeed("Istanbul, Levent", 41.0820, 29.0100, 2.0), BoxSeed("Marmara fault", 40.6, 41.1, 27.0, 30.0)),
    ),
    GroupSeed("Legacy cyber aggregation", "Worldwide", (BareSeed("Cloud provider outage"),)),
)

EVENT_GROUPS = RING_GROUPS + BOX_GROUPS + GEO_GROUPS + BROKEN_GROUPS

RING_REPORTS = (
    ReportSeed("Terrorism live watch Manhattan", TR, "Manhattan landmarks", "* * * * *", HIGH),
    ReportSeed("Terrorism accumulation Canary Wharf", TR, "Canary Wharf blast", "*/5 * * * *", HIGH),
    ReportSeed("Terrorism accumulation Europe", TR, "European capitals", "0 * * * *", ABOVE),
    ReportSeed("Terrorism office hours Europe", TR, "European capitals", "*/20 7-19 * * 1-5"),
    ReportSeed("Terrorism net position Manhattan", TR, "Manhattan landmarks", "0 6,12,18 * * *", loss_perspective=NET),
    ReportSeed("Terrorism workers compensation", TR, "Manhattan landmarks", "0 7 * * MON-FRI", cob="Casualty"),
    ReportSeed("Terrorism fine art London", TR, "Canary Wharf blast", "0 5 * * SUN", LOW, "Specie"),
    ReportSeed("Terrorism pool return Europe", TR, "European capitals", "0 3 1 1,4,7,10 *"),
    ReportSeed("Volcano ash Pacific Rim", VO, "Pacific volcanoes", "0 4 1,15 * *", LOW),
    ReportSeed("Volcano leap day scenario", VO, "Pacific volcanoes", "0 12 29 2 *", LOW),
)

BOX_REPORTS = (
    ReportSeed("Hurricane watch Gulf platforms", WS, "Gulf of Mexico platforms", "*/2 * * * *", HIGH, "Energy"),
    ReportSeed("Windstorm offshore energy", WS, "Gulf of Mexico platforms", "7 */2 * * *", ABOVE, "Energy"),
    ReportSeed("Windstorm hurricane season", WS, "Gulf of Mexico platforms", "30 6 1 JUN-NOV *", ABOVE, "Energy"),
    ReportSeed("Wildfire watch California", WF, "California fire corridors", "*/10 * * * *", HIGH),
    ReportSeed("Wildfire homeowners California", WF, "California fire corridors", "15 23 * * *", cob="Homeowners"),
    ReportSeed("Wildfire weekend California", WF, "California fire corridors", "0 9 * * sat,sun"),
    ReportSeed("Flood storm surge North Sea", FL, "North Sea surge", "0,30 * * * *", ABOVE),
    ReportSeed("Flood month end North Sea", FL, "North Sea surge", "0 22 L * *", loss_perspective=NET),
    ReportSeed("Earthquake accumulation Japan", EQ, "Japan subduction zones", "30 2 * * *", ABOVE),
    ReportSeed("Earthquake board pack Japan", EQ, "Japan subduction zones", "0 3 1 */3 *", loss_perspective=NET),
    ReportSeed("Tsunami ports Japan", TS, "Japan subduction zones", "0 5 * * 1", cob="Marine"),
)

GEO_REPORTS = (
    ReportSeed("Windstorm accumulation", WS, "Florida coastal counties", "* * * * *", ABOVE),
    ReportSeed(
        "Windstorm ground-up Florida", WS, "Florida coastal counties", "0 8-18 * * *", loss_perspective=GROUND_UP
    ),
    ReportSeed("Windstorm closing bell Florida", WS, "Florida coastal counties", "45 17 * * 1-5"),
    ReportSeed("Windstorm annual renewal Florida", WS, "Florida coastal counties", "0 0 1 JAN *", HIGH),
    ReportSeed("Flood accumulation Central Europe", FL, "Central European rivers", "3-59/15 * * * *"),
    ReportSeed("Winter storm Central Europe", WT, "Central European rivers", "0 6 * * *", loss_perspective=GROUND_UP),
    ReportSeed("Convective storm Tornado Alley", CS, "Tornado Alley", "0 6 * * 1#1", cob="Motor"),
    ReportSeed("Convective storm Friday and the 13th", CS, "Tornado Alley", "0 0 13 * 5", LOW, "Motor"),
    ReportSeed("Earthquake month start New Zealand", EQ, "New Zealand", "0 4 1 * *"),
    ReportSeed("O'Brien's \"Gulf & Pacific\" cargo 🌊 <net>", TS, "New Zealand", "*/3 * * * *", NORMAL, "Marine", NET),
)

UNSCHEDULED_REPORTS = (
    ReportSeed("Earthquake on request", EQ, "New Zealand", "", expected="unscheduled"),
    ReportSeed("Wildfire on request", WF, "California fire corridors", None, expected="unscheduled"),
)

DISABLED_REPORTS = (
    ReportSeed("Windstorm retired treaty", WS, "Tornado Alley", "0 6 * * *", is_valid=False, expected="disabled"),
)


def quarantined(name: str, peril: Peril, group: str | None, cron: str, problem: Problem) -> ReportSeed:
    return ReportSeed(name, peril, group, cron, expected="quarantined", problem=problem)


QUARANTINED_REPORTS = (
    quarantined("Flood draft without area", FL, None, "0 6 * * *", "no_event_group"),
    quarantined("Windstorm Caribbean treaty", WS, BROKEN_GROUPS[0].name, "*/5 * * * *", "empty_event_group"),
    quarantined("Earthquake Istanbul", EQ, BROKEN_GROUPS[1].name, "0 * * * *", "mixed_event_types"),
    quarantined("Cyber aggregation", TR, BROKEN_GROUPS[2].name, "0 7 * * MON-FRI", "unknown_event_type"),
    quarantined("Flood with impossible times", FL, "North Sea surge", "99 99 99 99 99", "invalid_cron"),
    quarantined("Flood on the 31st of February", FL, "North Sea surge", "0 0 31 2 *", "invalid_cron"),
)

REPORTS = RING_REPORTS + BOX_REPORTS + GEO_REPORTS + UNSCHEDULED_REPORTS + DISABLED_REPORTS + QUARANTINED_REPORTS

MODIFIERS = (
    ModifierSeed(date(2026, 7, 1), date(2026, 7, 1), ("Windstorm accumulation", "Earthquake accumulation Japan")),
    # Made by a person: a half-year closing at the rates of the last trading day.
    ModifierSeed(date(2026, 7, 5), date(2026, 7, 3), ("Windstorm accumulation", "Flood month end North Sea")),
)
