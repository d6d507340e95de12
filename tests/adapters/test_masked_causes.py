"""An error that leaves an adapter leads to no request, and to no key, through causes, contexts and frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from azure.core.exceptions import AzureError

from report_orchestrator.exceptions import OrchestratorError
from tests.support.fireant_calls import CALLS, KEY, client_of
from tests.support.raw_server import Talk, answer, raw_server, says

BROKEN: dict[str, Talk] = {
    "closed": lambda _connection: None,
    "not HTTP": says(b"a" * 500 + b"\r\n\r\n"),
    "cut short": says(answer(body=b"{", headers={"Content-Length": "500"})),
    "not JSON": says(answer(body=b"<html>")),
    "refused": says(answer("422 Unprocessable", f"echo of {KEY}".encode())),
}


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from chain_of(error.__cause__)
        yield from chain_of(error.__context__)


def values_in_frames(error: BaseException) -> Iterator[object]:
    trace = error.__traceback__
    while trace is not None:
        if "/tests/" not in trace.tb_frame.f_code.co_filename:
            yield from trace.tb_frame.f_locals.values()
        trace = trace.tb_next


def leaks_of(error: BaseException) -> list[object]:
    """Return the errors and values that lead to a request or show the key."""
    leaks: list[object] = []
    for one in chain_of(error):
        leaks += [one] if isinstance(one, requests.RequestException | AzureError) or KEY in str(one) else []
        leaks += [value for value in values_in_frames(one) if _holds_request(value) or KEY in repr(value)]
    return leaks


def _holds_request(value: Any) -> bool:
    if isinstance(value, requests.Response):
        return bool(value.request.headers)
    return isinstance(value, requests.PreparedRequest | requests.RequestException)


def assert_nothing_leaks(url: str) -> None:
    for call in CALLS.values():
        with client_of(url, TIMEOUT_SECONDS=1) as client:
            with pytest.raises(OrchestratorError) as caught:
                call(client)
            assert leaks_of(caught.value) == []


@pytest.mark.parametrize("how", BROKEN)
def test_an_error_of_fireant_carries_no_request(how: str) -> None:
    with raw_server(BROKEN[how]) as server:
        assert_nothing_leaks(server.url)


def test_an_error_without_a_connection_carries_none_either() -> None:
    with raw_server(lambda _connection: None) as server:
        closed = server.url
    assert_nothing_leaks(closed)


def test_an_odd_key_is_in_no_frame() -> None:
    key = "schlüssel-of-the-test"
    with client_of("http://127.0.0.1:1", FIREANT_API_KEY=key) as client, pytest.raises(OrchestratorError) as caught:
        client.status("7")
    assert [value for value in values_in_frames(caught.value) if key in repr(value)] == []


def test_the_search_finds_what_leaks() -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {KEY}"
    with pytest.raises(requests.RequestException) as caught:
        session.get("http://127.0.0.1:1")
    assert leaks_of(caught.value)
