"""Optional middleware: records who changed a report in the project's own views.

Changes in the admin are known without it, by the admin's log.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from report_orchestrator.services.evidence.acting_user import acting_for


@sync_and_async_middleware
def acting_user_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Name the request's user for changes made in it. It needs no place before or after others."""
    if iscoroutinefunction(get_response):

        async def handle_async(request: HttpRequest) -> HttpResponseBase:
            with acting_for(request):
                response: HttpResponseBase = await get_response(request)
            return response

        return handle_async

    def handle(request: HttpRequest) -> HttpResponseBase:
        with acting_for(request):
            response: HttpResponseBase = get_response(request)
        return response

    return handle
