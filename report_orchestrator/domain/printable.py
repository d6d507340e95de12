"""Escape control characters, so that foreign text is safe on a terminal and stays on one line."""

import json
import re
import unicodedata
from itertools import islice, takewhile

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format (such as a change of direction), surrogates, line and paragraph separators."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol that Unicode draws as nothing."""

_PLAIN_LETTER = re.compile("[!-~]")


def is_visible(text: str) -> bool:
    """Return True if at least one character of the text can be seen."""
    return bool(_PLAIN_LETTER.search(text)) or any(
        unicodedata.category(letter)[0] not in "CZM" and letter not in _BLANK for letter in text
    )


def storable(text: str) -> str:
    """Replace zero bytes and lone surrogates, which no database or log takes."""
    if text.isprintable():  # most texts; the rest costs a discovery time
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def printable(text: str, *, keep: str = "") -> str:
    """Return the text on one line, its control and format characters escaped as in JSON, but for those in `keep`."""
    return text if text.isprintable() else text.translate(_Escapes({ord(letter): letter for letter in keep}))


class _Escapes(dict[int, str]):
    """A table for `str.translate`, filled with the characters of one text."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        self[code] = json.dumps(letter)[1:-1] if unicodedata.category(letter) in _ESCAPED else letter
        return self[code]


def quoted(text: str) -> str:
    """Return the text in quotation marks. Characters that cannot be seen, or only look like a plain one, are named by code.

    It is for texts that are plain where they are right, such as crons: `'0' (U+FEFF before '0')`.
    """
    odd = (f"U+{ord(letter):04X}{_before(text[at + 1 :])}" for at, letter in enumerate(text) if not _is_plain(letter))
    named = ", ".join(islice(odd, 3))
    return f"'{printable(text)}' ({named})" if named else f"'{text}'"


def _before(rest: str) -> str:
    plain = "".join(takewhile(_is_plain, rest))
    return f" before '{plain}'" if plain else ""


def _is_plain(letter: str) -> bool:
    return letter.isascii() and letter.isprintable()
