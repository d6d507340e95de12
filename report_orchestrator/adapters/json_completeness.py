"""Count the brackets outside strings and the depth of a JSON document that arrives in pieces.

Nothing is parsed. Everything but brackets and quotes is dropped first, then strings without brackets: 1 to 2 ms a MB
of rows, 6 ms if every other byte is escaped or a bracket.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

DEEPEST = 100
"""Levels. Parsers that remember a path need memory by the square of the depth; some use the stack."""
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = {letter: 1 if letter in b"[{" else -1 for letter in b"[]{}"}


class StructuralBrackets:
    """Takes a document in pieces and returns its brackets outside strings."""

    def __init__(self) -> None:
        self.in_string = False
        """True if the input so far ends within a string."""
        self.held = b""
        """A backslash that waits for the next piece."""

    def see(self, piece: bytes) -> bytes:
        """Return the next piece's brackets outside strings. A trailing backslash is kept for the next piece."""
        text = self.held + piece
        # A backslash at the very end belongs to what comes next, unless it is itself escaped.
        escaping = (len(text) - len(text.rstrip(b"\\"))) % 2
        self.held = text[len(text) - escaping :]
        text = text[: len(text) - escaping]
        if b"\\" in text:
            text = text.replace(rb"\\", b"").replace(rb"\"", b"")
        # Two quotes side by side go: whether what follows is in a string stays the same.
        parts = text.translate(None, _OTHERS).replace(b'""', b"").split(b'"')
        outside = b"".join(parts[self.in_string :: 2])
        self.in_string ^= len(parts) % 2 == 0
        return outside


class BracketCounter:
    """Counts JSON brackets outside strings, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._open = {b"{}": 0, b"[]": 0}
        self._outside = StructuralBrackets()

    def see(self, piece: bytes) -> None:
        self._count(self._outside.see(piece))

    def _count(self, brackets: bytes) -> None:
        for pair in self._open:
            self._open[pair] += brackets.count(pair[:1]) - brackets.count(pair[1:])

    @property
    def are_closed(self) -> bool:
        """True if every opened bracket and string is closed."""
        return not (self._outside.in_string or any(self._open.values()))


class DocumentCounter(BracketCounter):
    """Also counts consecutive documents, at 40 ns a bracket."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        """Number of times that all brackets were closed: once per document."""
        self._depth = 0

    def _count(self, brackets: bytes) -> None:
        super()._count(brackets)
        depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth))
        self._depth = depths[-1]
        self.closed += depths[1:].count(0)


class NestingGuard:
    """Detects excessive nesting before a parser reaches the end of the same piece."""

    def __init__(self) -> None:
        self._outside = StructuralBrackets()
        self._open = 0

    def is_too_great(self, piece: bytes) -> bool:
        """Return True if the document is, or may be, nested deeper than `DEEPEST` in the next piece."""
        left = self._outside.see(piece)
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


class TopLevelText:
    """Takes a document in pieces and returns it without the content of nested values: `{"a": [], "b": 1}`."""

    _PARTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]|[^"\[\]{}]++', re.DOTALL)
    _REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+"?', re.DOTALL)

    def __init__(self) -> None:
        self._outside = StructuralBrackets()
        self._depth = 0

    def see(self, piece: bytes) -> bytes:
        """Return the next piece's part. A trailing backslash is kept for the next piece."""
        depth, in_string, held = self._depth, self._outside.in_string, self._outside.held
        depths = list(accumulate(map(_STEPS.__getitem__, self._outside.see(piece)), initial=depth))
        self._depth = depths[-1]
        if min(depths) > 1:
            return b""
        text = (held + piece).removesuffix(self._outside.held)
        return b"".join(self._parts(text, depth, in_string=in_string))

    def _parts(self, text: bytes, depth: int, *, in_string: bool) -> Iterator[bytes]:
        start = 0
        if in_string and (rest := self._REST_OF_STRING.match(text)):
            start = rest.end()
            if depth <= 1:
                yield rest[0]
        for part in self._PARTS.finditer(text, start):
            step = _STEPS.get(part[0][0], 0)
            depth += min(step, 0)
            if depth <= 1:
                yield part[0]
            depth += max(step, 0)


class LoneSurrogates:
    """Detects escaped halves of characters, which parsers replace by other characters."""

    _ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)", re.DOTALL)
    _LONGEST = len(rb"\ud800\udc00")

    def __init__(self) -> None:
        self._held = b""

    def see(self, piece: bytes) -> bool:
        """Return True if one ended before the last bytes of this piece: those are looked at with the next."""
        text = self._held + piece
        self._held = b""
        if rb"\u" not in text and not text.endswith(b"\\"):
            return False
        for escape in self._ESCAPE.finditer(text):
            if escape.start() > len(text) - self._LONGEST:
                self._held = text[escape.start() :]
                return False
            if escape[1]:
                return True
        if self._ends_in_escape(text):
            self._held = text[-1:]
        return False

    @staticmethod
    def _ends_in_escape(text: bytes) -> bool:
        return bool((len(text) - len(text.rstrip(b"\\"))) % 2)

    def is_last(self) -> bool:
        """Return True if one ends the document."""
        return self.see(b" " * self._LONGEST)
