"""Files for download: streamed with constant memory, under WSGI and ASGI."""

from collections.abc import AsyncIterator, Generator
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.text import slugify

LONGEST_NAME = 100
"""Characters of a report's name in a file's name."""


def attachment(
    request: HttpRequest,
    chunks: Generator[bytes, None, None],
    *,
    name: str,
    suffix: str,
    content_type: str,
    size: int | None = None,
) -> StreamingHttpResponse:
    """Return a response that a browser saves as a file and never shows.

    With `size`, a stream that ends early is recognized by the reader as cut. `name` is any text; of it the file gets letters,
    digits and hyphens.
    """
    response = StreamingHttpResponse(
        _in_threads(chunks) if isinstance(request, ASGIRequest) else chunks, content_type=content_type
    )
    response.headers["Content-Disposition"] = _disposition(name, suffix)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if size is not None:
        response.headers["Content-Length"] = str(size)
    return response


def _disposition(name: str, suffix: str) -> str:
    """Return the header with the name for readers of ASCII alone, and with the whole one."""
    plain, whole = _file_name(slugify(name), suffix), _file_name(slugify(name, allow_unicode=True), suffix)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(whole, safe='')}"


def _file_name(slug: str, suffix: str) -> str:
    return f"{slug[:LONGEST_NAME].strip('-')}{suffix}".lstrip("-")


async def _in_threads(chunks: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """Yield the chunks without blocking the event loop; Django would collect a plain iterator in memory."""
    try:
        while (chunk := await sync_to_async(_next)(chunks)) is not None:
            yield chunk
    finally:
        await sync_to_async(chunks.close)()


def _next(chunks: Generator[bytes, None, None]) -> bytes | None:
    return next(chunks, None)
