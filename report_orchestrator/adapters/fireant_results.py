"""Whether a result came whole: a body that was cut short is noticed by its length, its encoding or its brackets.

A document is never parsed to find out. Its first and last bytes cost nothing. Counting its brackets costs about 7 ms a MB, so it
is done only where nothing else tells the end of the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from report_orchestrator.adapters.json_brackets import OutsideStrings
from report_orchestrator.exceptions import FireantError, TransientError

CLOSING = {b"{": b"}", b"[": b"]"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEAR_THE_END = 64
"""Bytes that nearly always hold the last one that is no blank."""


def whole(pieces: Iterable[bytes], headers: Mapping[str, str], job_id: str) -> Iterator[bytes]:
    """The same pieces, and an error behind the last one where they are not all of the result.

    `headers` are those of the answer, looked up without regard to case. With a `Content-Length` or in chunks the transport
    notices a missing byte. JSON has to end with the bracket that it begins with too. JSON with neither must have all its brackets
    closed; anything else with neither is refused, as nobody could tell.

    Raises:
        TransientError: it was cut short.
        FireantError: there is no telling.
    """
    delimited = "Content-Length" in headers or "chunked" in headers.get("Transfer-Encoding", "").lower()
    ends, brackets = Ends(), Brackets()
    for piece in pieces:
        ends.see(piece)
        if not delimited:
            brackets.see(piece)
        yield piece
    if not _is_json(headers.get("Content-Type", "")):
        _refuse_endless(job_id, unless=delimited)
        return
    if not ends.first and not delimited:
        raise _cut_short(job_id, "it is empty, and came without a length")
    if ends.first not in CLOSING:
        _refuse_endless(job_id, unless=delimited)
    elif ends.last != CLOSING[ends.first]:
        raise _cut_short(
            job_id, f"it begins with {ends.first.decode()} and does not end with its counterpart"
        )
    elif not (delimited or brackets.are_closed):
        raise _cut_short(job_id, "not all of its brackets are closed")


class Ends:
    """The first and the last byte that are no blanks, of what was seen so far."""

    def __init__(self) -> None:
        self.first = b""
        self.last = b""

    def see(self, piece: bytes) -> None:
        """Takes the next piece."""
        if not self.first:
            self.first = piece.removeprefix(BYTE_ORDER_MARK).lstrip()[:1]
        end = piece[-NEAR_THE_END:].rstrip() or piece.rstrip()
        self.last = end[-1:] or self.last


class Brackets:
    """Counts the brackets of JSON outside its strings, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._open = {b"{": 0, b"[": 0}
        self._outside = OutsideStrings()

    def see(self, piece: bytes) -> None:
        """Takes the next piece."""
        outside = self._outside.see(piece)
        for opening, closing in CLOSING.items():
            self._open[opening] += outside.count(opening) - outside.count(closing)

    @property
    def are_closed(self) -> bool:
        """Whether every bracket and every string that was opened is closed."""
        return not (self._outside.in_string or any(self._open.values()))


def _is_json(content_type: str) -> bool:
    """By the word of the answer; one without a word is taken for Fireant's usual."""
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind == "application/json" or kind.endswith("+json")


def _refuse_endless(job_id: str, *, unless: bool) -> None:
    if not unless:
        raise FireantError(
            f"The result of job {job_id} came without a length, so nobody can tell whether it is whole. "
            "Have Fireant, or the gateway before it, send Content-Length or chunks; then retry the run.",
            code="result_end_unknown",
        )


def _cut_short(job_id: str, why: str) -> TransientError:
    return TransientError(f"The result of job {job_id} was cut short: {why}.", code="result_cut_short")
