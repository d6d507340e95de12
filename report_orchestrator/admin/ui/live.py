"""Pages that keep themselves up to date: what the script `live.js` has to know of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.messages.storage.base import BaseStorage
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.translation import gettext

REFRESH_HEADER = "X-Report-Orchestrator-Refresh"
TIME = "hh:mm:ss"


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePage:
    """A page as of `at`, a time of day. Screen readers announce `news` when it changes.

    The script asks `address` every `seconds` whether `stamp` is still right. Without an address the page stays as it is.
    """

    address: str | None
    stamp: str
    seconds: int
    news: str
    at: str

    @property
    def as_of(self) -> str:
        return gettext("As of {time}").format(time=self.at)

    @property
    def texts(self) -> Mapping[str, str]:
        """The script's texts by state; it puts the time in place of `TIME`."""
        texts = {
            "fresh": gettext("As of {time}, refreshes itself"),
            "waiting": gettext("As of {time}, waits while something is selected"),
            "ended": gettext("As of {time}"),
            "failed": gettext("Cannot refresh since {time}"),
            "signed-out": gettext("Signed out. As of {time}"),
            "refused": gettext("You can no longer see this page. As of {time}"),
        }
        return {state: text.format(time=TIME) for state, text in texts.items()}


def time_of_day() -> str:
    """Return the time to the second by this process's clock, in the reader's zone."""
    return format_date(timezone.localtime(datetime.now(UTC)), "H:i:s")  # timezone.now() is naive in some projects


def leave_no_trace(request: HttpRequest) -> bool:
    """Return True if the script asks, and not a person.

    It then neither prolongs the session of a screen that nobody uses, as SESSION_SAVE_EVERY_REQUEST would, nor uses up messages
    that a person has not seen.
    """
    if REFRESH_HEADER not in request.headers:
        return False
    session: Any = getattr(request, "session", None)
    if session is not None:
        session.save = _save_nothing
    setattr(request, "_messages", _NoMessages(request))  # noqa: B010 - where Django's middleware looks for them
    return True


def _save_nothing(*_args: object, **_kwargs: object) -> None:
    """Replace the save of a session."""


class _NoMessages(BaseStorage):
    """Shows no messages, and leaves those that wait where they are."""

    def _get(self, *_args: Any, **_kwargs: Any) -> tuple[list[Any], bool]:
        return [], True

    def _store(self, messages: Any, response: Any, *_args: Any, **_kwargs: Any) -> list[Any]:
        return []
