"""A cron expression in words, for people."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cron_descriptor
from cron_descriptor import CasingTypeEnum, ExpressionDescriptor, Options
from cron_descriptor.Exception import FormatError

from report_orchestrator.domain.cron import CronExpression

ENGLISH = "en_US"
_KNOWN_TEXTS = 16_384


def in_words(cron: CronExpression, *, language: str = "en") -> str:
    """`At 02:30, only on Monday`; the expression itself where the library has no words for it.

    `language` is a code such as `de` or `pt-br`; English where the library does not speak it. Asking again is cheap.
    """
    return _told(cron.expression, _locale_of(language))


@lru_cache(maxsize=_KNOWN_TEXTS)
def _told(expression: str, locale_code: str) -> str:
    # Without a locale of ours the library would take that of the process.
    options = Options(locale_code=locale_code)
    options.casing_type = CasingTypeEnum.Sentence
    options.use_24hour_time_format = True
    try:
        return str(ExpressionDescriptor(expression, options).get_description())
    except (FormatError, ValueError, IndexError):
        return f"At the times of '{expression}'"


@lru_cache
def _locale_of(language: str) -> str:
    """The library's locale that is nearest to a language."""
    wanted = language.replace("-", "_").lower()
    known = sorted(path.stem for path in Path(cron_descriptor.__file__).with_name("locale").glob("*.mo"))
    exact = [locale for locale in known if locale.lower() == wanted]
    alike = [locale for locale in known if locale.split("_")[0] == wanted.split("_")[0]]
    return next(iter([*exact, *alike]), ENGLISH)
