"""Every text for users is marked for translation and has a German one."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib
import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_python
from django.utils.translation import ngettext, override
from django.utils.translation.template import templatize

import report_orchestrator

PACKAGE = Path(report_orchestrator.__file__).parent
GERMAN = PACKAGE / "locale" / "de" / "LC_MESSAGES" / "django.po"
KEYWORDS = {*DEFAULT_KEYWORDS, "gettext_lazy", "ngettext_lazy", "pgettext_lazy", "gettext_noop"}
OTHER_WORDS = {
    r"Auftr[aä]g": "Job",
    r"scheiter": "fehlgeschlagen",
    r"[aA]nhalten|[aA]ngehalten": "pausieren, pausiert",
    r"[vV]on Hand": "manuell",
    r"Arbeiter": "Worker",
    r"Kennung": "Referenz",
    r"ausgelassen": "übersprungen",
    r"versäumt|Termin": "verpasst, Zeit",
}
"""German words that the catalogue does not use, with those that it uses."""
FIELDS = re.compile(r"%\(\w+\)s|\{\w*\}")


def in_the_code() -> Iterator[str]:
    """Yield every msgid in Python and the templates."""
    for file in PACKAGE.rglob("*.py"):
        yield from messages(file.read_text())
        yield from within_strings(file.read_text())
    for file in PACKAGE.rglob("templates/**/*.html"):
        yield from messages(templatize(file.read_text(), origin=str(file)))


def messages(source: str) -> Iterator[str]:
    keywords: dict[str, Any] = dict.fromkeys(KEYWORDS)
    for _line, _function, found, _comments in extract_python(
        io.BytesIO(source.encode()), keywords, [], {"encoding": "utf-8"}
    ):
        words: Any = found or ""  # one text, the singular and the plural, or nothing where it is a variable
        first = words if isinstance(words, str) else words[0]
        if first:
            yield first


def within_strings(source: str) -> Iterator[str]:
    """Yield msgids inside f-strings, which the extractor sees from Python 3.12 on only."""
    for string in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)):
        for call in (node for node in ast.walk(string) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in KEYWORDS:
                first = call.args[0]
                yield str(first.value if isinstance(first, ast.Constant) else ast.unparse(first))


@pytest.fixture(scope="module")
def german() -> polib.POFile:
    return polib.pofile(str(GERMAN))


def test_nothing_is_without_a_translation(german: polib.POFile) -> None:
    known = {entry.msgid for entry in german if not entry.obsolete}

    assert len(known) > 300
    assert set(in_the_code()) - known == set(), "run makemessages -l de in report_orchestrator, and translate"


def test_no_translation_is_empty_fuzzy_or_left_over(german: polib.POFile) -> None:
    assert [entry.msgid for entry in german.untranslated_entries()] == []
    assert [entry.msgid for entry in german.fuzzy_entries()] == []
    assert [entry.msgid for entry in german.obsolete_entries()] == []
    assert {entry.msgid for entry in german} - set(in_the_code()) == set()


def test_a_translation_fills_in_the_same_values(german: polib.POFile) -> None:
    for entry in german:
        originals = [entry.msgid, *([entry.msgid_plural] if entry.msgid_plural else [])]
        allowed = {field for original in originals for field in FIELDS.findall(original)}
        for text in [entry.msgstr] if entry.msgstr else entry.msgstr_plural.values():
            assert set(FIELDS.findall(text)) <= allowed, entry.msgid
        last = entry.msgstr or entry.msgstr_plural[1]
        assert set(FIELDS.findall(last)) == set(FIELDS.findall(originals[-1])), entry.msgid


@pytest.mark.parametrize("other", OTHER_WORDS)
def test_each_thing_has_one_german_word(german: polib.POFile, other: str) -> None:
    texts = [text for entry in german for text in (entry.msgstr, *entry.msgstr_plural.values())]
    assert [text for text in texts if re.search(other, text)] == [], f"write {OTHER_WORDS[other]}"


def test_the_compiled_catalogue_is_the_written_one(german: polib.POFile) -> None:
    compiled = polib.mofile(str(GERMAN.with_suffix(".mo")))

    assert {(e.msgid, e.msgstr, str(e.msgstr_plural)) for e in compiled} == {
        (e.msgid, e.msgstr, str(e.msgstr_plural)) for e in german
    }


def test_django_finds_it() -> None:
    with override("de"):
        assert ngettext("and one more", "and %(more)s more", 2) == "und noch %(more)s"
