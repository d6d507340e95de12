"""A cron expression in words, for people."""

from __future__ import annotations

from cron_descriptor import CasingTypeEnum, ExpressionDescriptor, Options
from cron_descriptor.Exception import FormatError

from report_orchestrator.domain.cron import CronExpression


def in_words(cron: CronExpression) -> str:
    """`At 02:30, only on Monday`; the expression itself where the library has no words for it."""
    options = Options()
    options.casing_type = CasingTypeEnum.Sentence
    options.use_24hour_time_format = True
    try:
        return str(ExpressionDescriptor(cron.expression, options).get_description())
    except (FormatError, ValueError, IndexError):
        return f"At the times of '{cron.expression}'"
