"""The user whose request this thread or task handles, if the project has installed `report_orchestrator.middleware`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

from report_orchestrator.models.operator_actions import actor_name

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


@contextmanager
def acting_for(request: HttpRequest) -> Iterator[None]:
    """Let changes until the end of the block be those of the request's user."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def acting_user() -> str:
    """Return the user as the audit names them; an empty text outside of a request, and for visitors who are not logged in.

    The user is read at the change: a view may log in by itself, such as by a token.
    """
    user = getattr(_request.get(), "user", None)
    return actor_name(user.get_username(), user.pk) if user is not None and user.is_authenticated else ""
