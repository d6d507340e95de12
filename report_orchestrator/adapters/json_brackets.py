"""What of a JSON document stands outside its strings, and how deep it is nested, however it is cut into pieces.

Neither parses it. Both take about 10 ms a MB, whatever the document.
"""

from __future__ import annotations

DEEPEST = 100
"""Levels. Parsers that remember a path need memory by the square of it, and some of them the stack."""


class OutsideStrings:
    """Takes a document piece by piece, and leaves out its strings."""

    def __init__(self) -> None:
        self.in_string = False
        """Whether what was seen so far ends within a string."""
        self._held = b""

    def see(self, piece: bytes) -> bytes:
        """What of the next piece is in no string. A backslash at its very end is held for the next one."""
        text = self._held + piece
        # A backslash at the very end belongs to what comes next, unless it is itself escaped.
        escaping = (len(text) - len(text.rstrip(b"\\"))) % 2
        self._held = text[len(text) - escaping :]
        text = text[: len(text) - escaping]
        if b"\\" in text:
            text = text.replace(rb"\\", b"").replace(rb"\"", b"")
        parts = text.split(b'"')
        outside = b"".join(parts[self.in_string :: 2])
        self.in_string ^= len(parts) % 2 == 0
        return outside


class Depth:
    """Tells a document that is nested too deep before a parser meets the end of the same piece."""

    def __init__(self) -> None:
        self._outside = OutsideStrings()
        self._open = 0

    def is_too_great(self, piece: bytes) -> bool:
        """Whether the document is nested deeper than `DEEPEST` somewhere in the next piece, or may be."""
        left = self._outside.see(piece).translate(None, _NO_BRACKETS)
        for _ in range(DEEPEST):
            # The innermost pairs go, then those around them: what is flat is gone at once.
            shorter = left.replace(b"{}", b"").replace(b"[]", b"")
            if len(shorter) == len(left):
                break
            left = shorter
        else:
            return True
        opened = left.count(b"{") + left.count(b"[")
        deepest = self._open + opened
        self._open += opened - (len(left) - opened)
        return deepest > DEEPEST


_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
