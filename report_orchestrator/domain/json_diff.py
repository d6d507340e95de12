"""Differences of two JSON values, by path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from report_orchestrator.domain.reports import Json


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""The value on a side that does not have the path."""


@dataclass(frozen=True, slots=True)
class JsonDifference:
    """`path` is as in `boxes[3].min_lat`; empty for the whole value."""

    path: str
    before: object
    after: object


def json_differences(before: Json | _Absent, after: Json | _Absent, path: str = "") -> Iterator[JsonDifference]:
    """Yield what differs, in the order of `before`, then what only `after` has.

    Lists are compared as collections: entries that both have, wherever they are, do not differ. The others are compared in
    pairs, in their order.
    """
    match before, after:
        case Mapping(), Mapping():
            for name in dict.fromkeys([*before, *after]):
                inner = f"{path}.{name}" if path else name
                yield from json_differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)
        case list(), list():
            yield from _list_differences(before, after, path)
        case _ if type(before) is not type(after) or before != after:
            yield JsonDifference(path, before, after)


def _list_differences(before: Sequence[Json], after: Sequence[Json], path: str) -> Iterator[JsonDifference]:
    removed, added = _missing_from(before, after), _missing_from(after, before)
    for position in range(max(len(removed), len(added))):
        index, old = removed[position] if position < len(removed) else (None, ABSENT)
        new_index, new = added[position] if position < len(added) else (None, ABSENT)
        yield from json_differences(old, new, f"{path}[{new_index if index is None else index}]")


def _missing_from(entries: Sequence[Json], others: Sequence[Json]) -> list[tuple[int, Json]]:
    """Return the entries, with their indexes, that are not among the others; each of the others covers one entry."""
    left = Counter(map(_text, others))
    missing = []
    for index, entry in enumerate(entries):
        text = _text(entry)
        if left[text]:
            left[text] -= 1
        else:
            missing.append((index, entry))
    return missing


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
