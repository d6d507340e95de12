"""No foreign text makes a parser raise anything but its own error.

`FUZZ_SECONDS` tries new texts for each parser for so long; those that fail are kept in `var/fuzz` and tried first.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from report_orchestrator.adapters.delta.rows import UnfitError, batches, shape_of
from report_orchestrator.adapters.fireant.responses import Response, _unpacked_if, job_id_in
from report_orchestrator.adapters.json_completeness import NestingGuard
from report_orchestrator.adapters.onelake.bodies import _code_in, _document
from report_orchestrator.conf import SPECS, parse_settings
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidCronError
from report_orchestrator.masking import masked
from tests.demo.environment import ROOT

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
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


def answer(body: bytes) -> None:
    response = Response(status=200, headers={"Retry-After": body[:20].decode("latin-1")}, body=body)
    job_id_in(response)
    assert isinstance(response.is_page, bool)
    assert isinstance(response.retry_after, timedelta | None)
    try:
        json.dumps(response.json())
    except (ValueError, RecursionError):
        return


def packed_body(body: bytes) -> None:
    for content in (body, zlib.compress(body)[: len(body)], zlib.compress(body, wbits=31) + body):
        for encoding in ("gzip", "deflate"):
            try:
                unpacked = b"".join(_unpacked_if(encoding, iter([content[:1], content[1:]])))
            except requests.RequestException:
                continue
            assert NestingGuard().is_too_great(unpacked) in {True, False}


def answer_of_the_lake(body: bytes) -> None:
    text = body.decode("utf-8", errors="replace")
    assert isinstance(_document(text), dict)
    assert len(_code_in(text)) <= 80


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
        (answer, bodies),
        (packed_body, bodies),
        (answer_of_the_lake, bodies),
        (cron, crons),
        (environment, st.text(max_size=40)),
        (masking, st.text(max_size=60)),
    ],
)
def test_raises_only_its_own_error(parser: Callable[[object], None], texts: st.SearchStrategy[object]) -> None:
    kept = DirectoryBasedExampleDatabase(ROOT / "var" / "fuzz") if SECONDS else None
    tried = 0

    @settings(derandomize=not SECONDS, deadline=None, max_examples=1000 if SECONDS else 100, database=kept)
    @given(texts)
    def check(text: object) -> None:
        nonlocal tried
        tried += 1
        parser(text)

    until = time.monotonic() + SECONDS
    check()
    while time.monotonic() < until:
        check()
    sys.stdout.write(f"{parser.__name__}: {tried:,} texts, none raised another error\n")
