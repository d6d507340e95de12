"""Draw charts as inline SVG. Colours are classes of our stylesheet; each chart has a title and a description.

Widths are in per cent, so that text keeps its size. No `style` attributes, so a strict Content-Security-Policy allows
it. Marks link to their rows for pointers only: keyboards and screen readers have the same links in the chart's table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

Look: TypeAlias = Literal["good", "bad", "busy", "quiet", "due"]


TOP = 26  # pixels above the bars, for marks
FOOT = 20  # pixels below them, for labels
LEAST = 2.0  # pixels of a value that is not nothing
SHARE = 0.76  # of a bar's place that the bar takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One colour of a bar."""

    look: Look
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar, its parts from the bottom up. `whole` is its expected height; `mark` is above it, `label` below.

    `address` is that of its rows; None for a bar that leads nowhere.
    """

    parts: Sequence[Part]
    title: str
    label: str = ""
    is_minor: bool = False
    mark: str = ""
    whole: float = 0
    address: str | None = None

    @property
    def height(self) -> float:
        """The larger of actual and expected height."""
        return max(sum(part.value for part in self.parts), self.whole)


def bars(
    drawn: Sequence[Bar], *, name: str, title: str, description: str, scale: str, height: int = 130, places: int = 0
) -> SafeString:
    """Draw stacked bars. `name` makes ids unique on the page; `scale` describes the tallest bar.

    Fewer bars than `places` are drawn at the right, as narrow as if there were so many.
    """
    top = max((bar.height for bar in drawn), default=0) or 1
    pieces = [_grid(height, scale)]
    places = max(places, len(drawn))
    for position, bar in enumerate(drawn, start=places - len(drawn)):
        pieces.append(_bar(bar, 100 / places, position, height, top))
    return svg(
        _joined(pieces),
        name=name,
        title=title,
        description=description,
        width="100%",
        height=TOP + height + FOOT,
        has_links=any(bar.address for bar in drawn),
    )


def leading(address: str | None, drawn: SafeString) -> SafeString:
    """Return a drawn mark as a link for pointers; as it is without an address."""
    if address is None:
        return format_html("<g>{}</g>", drawn)
    return format_html('<a class="ro-to" href="{}" tabindex="-1" aria-hidden="true">{}</a>', address, drawn)


def svg(
    content: SafeString,
    *,
    name: str,
    title: str,
    description: str,
    width: str,
    height: int,
    box: str = "",
    has_links: bool = False,
) -> SafeString:
    """Frame a chart with title and description for screen readers: as an image, or a group if it has links."""
    return format_html(
        '<svg class="ro-chart" role="{}" aria-labelledby="{}-title {}-desc" width="{}" height="{}"{}>'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}</svg>',
        "group" if has_links else "img",
        name,
        name,
        width,
        height,
        format_html(' viewBox="{}"', box) if box else "",
        name,
        title,
        name,
        description,
        content,
    )


def _grid(height: int, scale: str) -> SafeString:
    return format_html(
        '<line class="ro-grid" x1="0" x2="100%" y1="{top}" y2="{top}"/>'
        '<line class="ro-grid" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>'
        '<line class="ro-axis" x1="0" x2="100%" y1="{foot}" y2="{foot}"/>'
        '<text class="ro-scale" x="0" y="{text}">{scale}</text>',
        top=TOP,
        middle=TOP + height / 2,
        foot=TOP + height,
        text=9,
        scale=scale,
    )


def _bar(bar: Bar, place: float, position: int, height: int, top: float) -> SafeString:
    left, wide = place * (position + (1 - SHARE) / 2), place * SHARE
    middle = f"{place * (position + 0.5):.2f}%"
    floor = float(TOP + height)
    pieces = []
    if bar.whole:
        pieces.append(
            _rect("ro-whole", left, floor - _tall(bar.whole, height, top), wide, _tall(bar.whole, height, top))
        )
    level = floor
    for part in bar.parts:
        if part.value:
            tall = _tall(part.value, height, top)
            level -= tall
            pieces.append(_rect(f"ro-fill-{part.look}", left, level, wide, tall))
    if bar.whole:
        pieces.append(_level(left, wide, floor - _tall(bar.whole, height, top)))
    if bar.mark:
        roof = min(level, floor - _tall(bar.whole, height, top)) if bar.whole else level
        pieces.append(_text("ro-mark", middle, roof - 4, bar.mark))
    if bar.label:
        pieces.append(_text("ro-label ro-minor" if bar.is_minor else "ro-label", middle, floor + 14, bar.label))
    reach = _reach(place, position, height)
    return leading(bar.address, format_html("<title>{}</title>{}{}", bar.title, reach, _joined(pieces)))


def _level(left: float, wide: float, up: float) -> SafeString:
    """Draw a line at the bar's expected height."""
    return format_html(
        '<line class="ro-level" x1="{}%" x2="{}%" y1="{}" y2="{}"/>',
        f"{left - wide * 0.1:.2f}",
        f"{left + wide * 1.1:.2f}",
        f"{up:.1f}",
        f"{up:.1f}",
    )


def _reach(place: float, position: int, height: int) -> SafeString:
    """Draw the hover area over the whole column, however small the bar."""
    return _rect("ro-reach", place * position, TOP, place, height)


def _tall(value: float, height: int, top: float) -> float:
    return max(height * value / top, LEAST)


def _rect(look: str, left: float, up: float, wide: float, tall: float) -> SafeString:
    return format_html(
        '<rect class="{}" x="{}%" y="{}" width="{}%" height="{}"/>',
        look,
        f"{left:.2f}",
        f"{up:.1f}",
        f"{wide:.2f}",
        f"{tall:.1f}",
    )


def _text(look: str, left: str, up: float, word: str) -> SafeString:
    return format_html('<text class="{}" x="{}" y="{}">{}</text>', look, left, f"{up:.1f}", word)


def _joined(pieces: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((piece,) for piece in pieces))


TICK = 5  # pixels for each run of a sparkline
SPARK_HEIGHT = 24

_SPARKS: dict[Look, str] = {
    "good": '<rect class="ro-fill-good" x="{x}" y="2" width="4" height="10"/>',
    "bad": '<rect class="ro-fill-bad" x="{x}" y="12" width="4" height="10"/>',
    "quiet": '<rect class="ro-fill-quiet" x="{x}" y="11" width="4" height="3"/>',
    "busy": '<rect class="ro-line-busy" x="{x}.5" y="6.5" width="3" height="11"/>',
}
"""Up is success, down is failure, flat is skipped, hollow is in progress: the shape says it without colour."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One run of a sparkline."""

    look: Look
    title: str = ""
    address: str | None = None


def sparkline(runs: Sequence[Tick], *, title: str, places: int = 20) -> SafeString:
    """Draw one tick for each run, the newest at the right."""
    ticks = _joined(_tick(run, x=(places - len(runs) + position) * TICK) for position, run in enumerate(runs))
    return format_html(
        '<svg class="ro-spark" role="{role}" aria-label="{title}" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}">'
        '<title>{title}</title><line class="ro-axis" x1="0" x2="{wide}" y1="12" y2="12"/>{ticks}</svg>',
        role="group" if any(run.address for run in runs) else "img",
        title=title,
        wide=places * TICK,
        tall=SPARK_HEIGHT,
        ticks=ticks,
    )


def _tick(run: Tick, *, x: int) -> SafeString:
    drawn = mark_safe(_SPARKS.get(run.look, _SPARKS["quiet"]).format(x=x))  # noqa: S308 - made of our own numbers
    if run.address is None:
        return drawn
    reach = format_html('<rect class="ro-reach" x="{}" y="0" width="{}" height="{}"/>', x, TICK, SPARK_HEIGHT)
    return leading(run.address, format_html("<title>{}</title>{}{}", run.title, reach, drawn))


def swatch(look: Look | Literal["whole"]) -> SafeString:
    """Draw a legend's colour sample."""
    drawn = format_html(
        '<rect class="{}" x="1" y="1" width="10" height="10"/>', "ro-whole" if look == "whole" else f"ro-fill-{look}"
    )
    if look == "whole":
        drawn += mark_safe('<line class="ro-level" x1="0" x2="12" y1="1" y2="1"/>')
    return format_html('<svg class="ro-swatch" aria-hidden="true" width="12" height="12">{}</svg>', drawn)


def table_of(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString:
    """Return the chart's values as a table that opens without a script."""
    return format_html(
        '<details class="ro-values"><summary>{}</summary><div class="ro-wide" role="region" tabindex="0" aria-label="{}">'
        '<table class="ro-table"><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>",
        caption,
        caption,
        caption,
        format_html_join("", '<th scope="col">{}</th>', ((head,) for head in heads)),
        format_html_join("", "<tr>{}</tr>", ((_cells(row),) for row in rows)),
    )


def _cells(row: Sequence[object]) -> SafeString:
    head, *others = row
    return format_html(
        '<th scope="row">{}</th>{}', head, format_html_join("", "<td>{}</td>", ((cell,) for cell in others))
    )
