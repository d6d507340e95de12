"""Detect results that were cut short, by their length, their encoding or their brackets.

The document is never parsed. Checking its first and last bytes costs nothing; counting its brackets 1 to 2 ms a MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from report_orchestrator.adapters.json_completeness import BracketCounter, DocumentCounter
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import FireantError, TransientError

CLOSING = {b"{": b"}", b"[": b"]"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEAR_THE_END = 64
"""Bytes that nearly always contain the last non-blank one."""


def whole(pieces: Iterable[bytes], *, content_type: str, is_delimited: bool, job_id: str) -> Iterator[bytes]:
    """Yield the same pieces, and raise after the last one if the result is incomplete.

    If `is_delimited`, by a length or chunks, the transport detects a missing byte. JSON must also end with the
    counterpart of its first bracket, with all brackets closed: a buffering gateway delimits even a broken response.
    Undelimited JSON must be one document, as the first of several lines would also look complete; any other
    undelimited content is refused. The first byte counts as well as the content type, which gateways and stores invent.

    Raises:
        TransientError: the result was cut short.
        FireantError: its end cannot be determined.
    """
    ends, brackets = Ends(), BracketCounter() if is_delimited else DocumentCounter()
    for piece in pieces:
        ends.see(piece)
        if _is_json(content_type) or ends.first in CLOSING:
            brackets.see(piece)
        yield piece
    if _is_json(content_type) or ends.first in CLOSING:
        _refuse_partial(ends, brackets, job_id, is_delimited=is_delimited)
    else:
        _refuse_endless(job_id, unless=is_delimited)


def _refuse_partial(ends: Ends, brackets: BracketCounter, job_id: str, *, is_delimited: bool) -> None:
    if not ends.first and not is_delimited:
        raise _cut_short(job_id, "it is empty and has no length")
    if ends.first not in CLOSING:
        _refuse_endless(job_id, unless=is_delimited)
    elif ends.last != CLOSING[ends.first]:
        raise _cut_short(job_id, f"it begins with {ends.first.decode()} but does not end with the closing bracket")
    elif not brackets.are_closed:
        raise _cut_short(job_id, "some of its brackets are not closed")
    elif isinstance(brackets, DocumentCounter):
        _refuse_endless(job_id, unless=brackets.closed == 1)


PAGES = frozenset({"text/html", "application/xhtml+xml"})


class Ends:
    """The first and last non-blank bytes seen so far."""

    def __init__(self) -> None:
        self.first = b""
        self.last = b""

    def see(self, piece: bytes) -> None:
        if not self.first:
            self.first = piece.removeprefix(BYTE_ORDER_MARK).lstrip()[:1]
        end = piece[-NEAR_THE_END:].rstrip() or piece.rstrip()
        self.last = end[-1:] or self.last


def is_page(content_type: str) -> bool:
    """Return True for a web page, which is never a result. A header that came twice has both its values."""
    return not PAGES.isdisjoint(_kind(one) for one in content_type.split(","))


def begins_like_page(beginning: bytes) -> bool:
    """Return True for bytes that begin as a web page does."""
    return beginning.removeprefix(BYTE_ORDER_MARK).lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def _is_json(content_type: str) -> bool:
    """Judge by the content type; without one, JSON is assumed."""
    kind = _kind(content_type)
    return not kind or kind == "application/json" or kind.endswith("+json")


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refuse_endless(job_id: str, *, unless: bool) -> None:
    if not unless:
        raise FireantError(
            f"The result of job {job_id} has no length, so it is unknown if it is complete. Configure "
            "Fireant, or the gateway in front of it, to send Content-Length or chunks; then retry the "
            "run.",
            code=ErrorCode.RESULT_END_UNKNOWN,
        )


def _cut_short(job_id: str, why: str) -> TransientError:
    return TransientError(f"The result of job {job_id} is incomplete: {why}.", code=ErrorCode.RESULT_CUT_SHORT)
