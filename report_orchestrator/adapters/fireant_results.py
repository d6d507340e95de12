"""Whether a result came whole: a body that was cut short is noticed by its length, its encoding or its brackets.

A document is never parsed to find out. Its first and last bytes cost nothing, and counting its brackets 1 to 2 ms a MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from report_orchestrator.adapters.json_brackets import Brackets, Documents
from report_orchestrator.exceptions import FireantError, TransientError

CLOSING = {b"{": b"}", b"[": b"]"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEAR_THE_END = 64
"""Bytes that nearly always hold the last one that is no blank."""


def whole(pieces: Iterable[bytes], *, content_type: str, is_delimited: bool, job_id: str) -> Iterator[bytes]:
    """The same pieces, and an error behind the last one where they are not all of the result.

    Where `is_delimited`, by a length or in chunks, the transport notices a missing byte. JSON has to end with the bracket that it
    begins with too, all its brackets closed: a gateway that buffers a broken answer counts what it has. JSON that nothing
    delimits must be one document, as one line of several would look whole too; anything else of that kind is refused.

    Raises:
        TransientError: it was cut short.
        FireantError: there is no telling.
    """
    ends, brackets = Ends(), Brackets() if is_delimited else Documents()
    is_json = _is_json(content_type)
    for piece in pieces:
        ends.see(piece)
        if is_json:
            brackets.see(piece)
        yield piece
    if is_json:
        _refuse_partial(ends, brackets, job_id, is_delimited=is_delimited)
    else:
        _refuse_endless(job_id, unless=is_delimited)


def _refuse_partial(ends: Ends, brackets: Brackets, job_id: str, *, is_delimited: bool) -> None:
    if not ends.first and not is_delimited:
        raise _cut_short(job_id, "it is empty, and came without a length")
    if ends.first not in CLOSING:
        _refuse_endless(job_id, unless=is_delimited)
    elif ends.last != CLOSING[ends.first]:
        raise _cut_short(
            job_id, f"it begins with {ends.first.decode()} and does not end with its counterpart"
        )
    elif not brackets.are_closed:
        raise _cut_short(job_id, "not all of its brackets are closed")
    elif isinstance(brackets, Documents):
        _refuse_endless(job_id, unless=brackets.closed == 1)


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


def is_page(content_type: str) -> bool:
    """Whether it is a page for people, which no result is."""
    return _kind(content_type) in {"text/html", "application/xhtml+xml"}


def _is_json(content_type: str) -> bool:
    """By the word of the answer; one without a word is taken for Fireant's usual."""
    kind = _kind(content_type)
    return not kind or kind == "application/json" or kind.endswith("+json")


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refuse_endless(job_id: str, *, unless: bool) -> None:
    if not unless:
        raise FireantError(
            f"The result of job {job_id} came without a length, so nobody can tell whether it is whole. "
            "Have Fireant, or the gateway before it, send Content-Length or chunks; then retry the run.",
            code="result_end_unknown",
        )


def _cut_short(job_id: str, why: str) -> TransientError:
    return TransientError(f"The result of job {job_id} was cut short: {why}.", code="result_cut_short")
