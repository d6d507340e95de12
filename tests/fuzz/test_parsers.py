"""No foreign text makes a parser raise anything but its own error. `FUZZ_EXAMPLES` sets the number of examples."""

from __future__ import annotations

import os
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_orchestrator.adapters.delta.rows import UnfitError, batches, shape_of
from report_orchestrator.adapters.fireant.responses import Response, job_id_in
from report_orchestrator.conf import SPECS, parse_settings
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidCronError
from report_orchestrator.masking import masked

SECRET = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk0"
KNOWN = [pa.schema([]), *(pa.schema([("a", kind)]) for kind in (pa.int8(), pa.float32(), pa.decimal128(5, 2)))]
WORDS = rb'''{ } [ ] : , "results" "a" "A" 1 -0 1e400 1e-400 1e99999999999999 null true NaN 0.1 " \ "\ud800" "\u0000"'''
ODD_BYTES = (b"\xff", b"\xef\xbb\xbf", b"\x00", b"9" * 30, b'{"results": [{"a": ')
json_pieces = st.sampled_from([*WORDS.split(), *ODD_BYTES])
bodies = st.lists(json_pieces, max_size=14).map(b"".join) | st.binary(max_size=40)
crons = st.text("0123456789*/,-#LW? MONSUN\t\x00", max_size=30) | st.text(max_size=20)


def result(body: bytes) -> None:
    pieces = [body[at : at + 5] for at in range(0, len(body), 5)]
    for known in KNOWN:
        try:
            shape = shape_of(pieces, known, [])
        except UnfitError:
            continue
        appended = batches(pieces, shape, {"run": pa.scalar("r1")})
        assert sum(len(batch) for batch in appended) == shape.rows


def status_answer(body: bytes) -> None:
    job_id_in(Response(status=200, headers={}, body=body))


def cron(text: str) -> None:
    try:
        parse_cron(text)
    except InvalidCronError:
        return


def environment(text: str) -> None:
    parse_settings({}, dict.fromkeys(SPECS, text))


def masking(text: str) -> None:
    assert SECRET not in masked(f"{text}{SECRET}{text}", (SECRET,))


@pytest.mark.parametrize(
    ("parser", "texts"),
    [
        (result, bodies),
        (status_answer, bodies),
        (cron, crons),
        (environment, st.text(max_size=40)),
        (masking, st.text(max_size=60)),
    ],
)
def test_raises_only_its_own_error(parser: Callable[[object], None], texts: st.SearchStrategy[object]) -> None:
    examples = int(os.environ.get("FUZZ_EXAMPLES", "0"))

    @settings(derandomize=not examples, deadline=None, max_examples=examples or 100, database=None)
    @given(texts)
    def check(text: object) -> None:
        parser(text)

    check()
