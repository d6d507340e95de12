"""A text of someone else never holds a process: each regular expression of the package is linear on its worst texts."""

from __future__ import annotations

import ast
import importlib
import json
import logging
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import report_orchestrator
from report_orchestrator import masking
from report_orchestrator.adapters.fireant.errors import excerpt, safe_text
from report_orchestrator.adapters.fireant.probe import _apart_from_path
from report_orchestrator.adapters.fireant.responses import Response, job_id_in
from report_orchestrator.adapters.http.network_errors import describe
from report_orchestrator.adapters.masked_errors import masked_error
from report_orchestrator.admin.ui.masked_json import beginning_without_secrets, without_secrets
from report_orchestrator.domain.printable import printable, storable
from report_orchestrator.log_events import JsonLines, ReadableLines
from report_orchestrator.setting_values import without_comment
from tests.support.settings_factory import SettingsFactory
from tests.support.worst_texts import worst_texts

MIB = 1024 * 1024
SCREENED = 16 * 1024
SECRET = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk0"
SETTINGS = SettingsFactory.make(FIREANT_API_KEY=SECRET)
FOLDER = Path(report_orchestrator.__file__).parent


def patterns() -> dict[str, re.Pattern[str]]:
    """Find all compiled patterns of all modules."""
    found: dict[str, re.Pattern[str]] = {}
    for module in pkgutil.walk_packages([str(FOLDER)], "report_orchestrator."):
        if ".migrations." in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            members = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{name}[{key}]" if key else name: one for key, one in members if _is_text_pattern(one)}
    return found


def _is_text_pattern(value: object) -> bool:
    return isinstance(value, re.Pattern) and isinstance(value.pattern, str)


PATTERNS = patterns()


def seconds(work: Callable[[], object]) -> float:
    """Return the time of this thread that the work takes, without that of coverage."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        sys.settrace(tracer)


def reference() -> object:
    """Search 1 MiB with a plain pattern: about 10 ms on a machine of usual speed."""
    return PLAIN.search("a-" * (MIB // 2))


PLAIN = re.compile("[a-z]_|_[b-z]")
ATTEMPTS = 5


def is_quick(work: Callable[[], object], *, share: float = 1.0, attempts: int = ATTEMPTS) -> bool:
    """True if the work takes at most this share of 100 ms, or of ten references, at one of a few attempts.

    Each attempt is compared with the reference beside it, as the machine has other work.
    """
    for _attempt in range(attempts):
        taken = seconds(work)
        if taken < share * 0.1 or taken < share * 10 * seconds(reference):
            return True
    return False


def slowest_text(pattern: re.Pattern[str]) -> str:
    """Return the worst text of 1 MiB, found by shorter ones."""
    texts = list(worst_texts(pattern, SCREENED))
    worst = max(range(len(texts)), key=lambda at: seconds(partial(pattern.sub, "", texts[at])))
    return next(text for at, text in enumerate(worst_texts(pattern, MIB)) if at == worst)


@pytest.mark.parametrize("name", PATTERNS)
def test_each_pattern_is_linear_on_its_own_worst_text(name: str) -> None:
    pattern = PATTERNS[name]
    for text in worst_texts(pattern, SCREENED):
        assert is_quick(partial(pattern.sub, "", text), share=1 / 4), text[:60]
    text = slowest_text(pattern)
    assert is_quick(partial(pattern.search, text)), text[:60]


@pytest.mark.parametrize(
    "slow",
    [r"\beyJ[\w-]{8,}\.[\w-]+", r"\w*(?:Connection|Pool)\(", r"\s+#", r"\{.*\}|\[.*\]", r"(?:[., ]\d{2,3})*[., ]\d{3}"],
)
def test_slow_patterns_are_found(slow: str) -> None:
    pattern = re.compile(slow, re.DOTALL)
    texts = worst_texts(pattern, SCREENED)
    assert not all(is_quick(partial(pattern.sub, "", text), share=1 / 4, attempts=1) for text in texts)


def test_all_patterns_are_compiled_where_they_can_be_found() -> None:
    """One is built from the secrets at run time; the masking of texts that look like them is tested below."""
    assert list(_hidden_patterns()) == ["masking.py:_pattern"]


def _hidden_patterns() -> Iterator[str]:
    for path in sorted(FOLDER.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and any(map(_is_call_of_re, ast.walk(function))):
                yield f"{path.relative_to(FOLDER)}:{function.name}"


def _is_call_of_re(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attribute)):
            return attribute != "escape"
        case _:
            return False


def _record(text: str) -> logging.LogRecord:
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "levelname": "INFO", "name": text, "error": text})
    record.exc_info = (ValueError, ValueError(text), None)
    return record


def _answer(text: str) -> Response:
    return Response(status=422, headers={}, body=text.encode("utf-8", "replace"))


READERS: dict[str, Callable[[str], object]] = {
    "masked": lambda text: masking.masked(text, (SECRET,), is_cut=True),
    "printable": printable,
    "storable": storable,
    "a setting": without_comment,
    "a field of Fireant": lambda text: safe_text(text, SETTINGS),
    "a response of Fireant": lambda text: excerpt(text.encode("utf-8", "replace"), SETTINGS),
    "a job id": lambda text: job_id_in(_answer(json.dumps({"job_id": text}))),
    "the doctor's comparison": lambda text: _apart_from_path(_answer(text)),
    "a library's error": lambda text: describe(ValueError(text)),
    "a vendor's error": lambda text: masked_error(ValueError(text), SETTINGS),
    "a JSON line": lambda text: JsonLines().format(_record(text)),
    "a readable line": lambda text: ReadableLines().format(_record(text)),
    "a payload": lambda text: beginning_without_secrets({"name": text, text: "x"}, 32 * 1024),
    "an attempt's details": lambda text: without_secrets({"message": text}),
}
TEXTS = {
    "all": "\x1b",
    "cut": SECRET[:-1],
    "encoded": "%6b",
    "tokens": "eyJ-",
    "status line": "a",
    "blanks": " ",
    "names": '"key": ',
    "pairs": "a=b ",
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_of_texts_takes_long(reader: str) -> None:
    read = READERS[reader]
    read("warm")
    for unit in TEXTS.values():
        text = (unit * (MIB // len(unit)))[:MIB]
        assert is_quick(partial(read, text)), unit


@pytest.mark.parametrize("name", PATTERNS)
def test_masking_is_quick_on_the_worst_text_of_each_pattern(name: str) -> None:
    text = slowest_text(PATTERNS[name])
    assert is_quick(lambda: masking.masked(text, (SECRET,), is_cut=True)), text[:60]
