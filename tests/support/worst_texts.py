"""Texts that are slow for a regular expression, derived from the expression itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MANY = 8
"""A repetition of more than this is taken for endless."""
CATEGORIES = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a_"}
REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
GROUPS = {"SUBPATTERN": lambda argument: argument[-1], "ATOMIC_GROUP": lambda argument: argument}
parser: Any = re._parser  # type: ignore[attr-defined]  # nothing public tells the parts of a pattern


def worst_texts(pattern: re.Pattern[str], length: int) -> Iterator[str]:
    """Yield texts of this length: each beginning of a match repeated, and each repetition of the pattern after it."""
    for prefix, pumped in sorted(set(_pumps(list(parser.parse(pattern.pattern, pattern.flags)), ""))):
        for unit in (prefix + pumped, pumped):
            if unit:
                yield (unit * (length // len(unit) + 1))[:length]
        if prefix and pumped:
            yield prefix + (pumped * (length // len(pumped) + 1))[: length - len(prefix)]


def _pumps(nodes: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield texts that the nodes match, as a beginning and a text that may be repeated behind it."""
    yield prefix, ""
    if not nodes:
        return
    (kind, argument), rest = nodes[0], nodes[1:]
    name = str(kind)
    if name == "BRANCH":
        for branch in argument[1]:
            yield from _pumps(list(branch) + rest, prefix)
    elif name in GROUPS:
        yield from _pumps(list(GROUPS[name](argument)) + rest, prefix)
    elif name in REPEATS:
        least, most, inner = argument
        shortest = _shortest(list(inner))
        yield from ((prefix, one) for one in shortest if most > MANY)
        yield from ((prefix + one, "") for one in shortest)
        yield from _pumps(rest, prefix + shortest[0] * least)
    else:
        first, *others = _shortest([(kind, argument)])
        yield from ((prefix + letter, "") for letter in others)
        yield from _pumps(rest, prefix + first)


def _shortest(nodes: list[Any]) -> list[str]:
    """Return some of the shortest texts that the nodes match."""
    texts = [""]
    for kind, argument in nodes:
        texts = [text + one for text in texts for one in _ones(str(kind), argument)][:8]
    return texts


def _ones(name: str, argument: Any) -> list[str]:
    if name in GROUPS:
        return _shortest(list(GROUPS[name](argument)))
    if name in REPEATS:
        least, most, inner = argument
        return [one * max(least, min(1, most)) for one in _shortest(list(inner))]
    match name:
        case "LITERAL":
            return [chr(argument)]
        case "ANY" | "NOT_LITERAL":
            return ["a", "b"]
        case "IN":
            return _of_class(argument)
        case "BRANCH":
            return [text for branch in argument[1] for text in _shortest(list(branch))[:1]]
        case _:
            return [""]


def _of_class(members: list[Any]) -> list[str]:
    if str(members[0][0]) == "NEGATE":
        refused = {chr(argument) for kind, argument in members[1:] if str(kind) == "LITERAL"}
        return [letter for letter in "a0-:@{['\"/ " if letter not in refused][:6]
    letters: list[str] = []
    for kind, argument in members:
        match str(kind):
            case "LITERAL":
                letters.append(chr(argument))
            case "RANGE":
                letters.append(chr(argument[0]))
            case "CATEGORY":
                letters += CATEGORIES.get(str(argument), "!")
    return letters[:8]
