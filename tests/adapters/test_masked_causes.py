"""An error that leaves an adapter leads to no request, and to no key, through causes, contexts and frames."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from report_orchestrator import adapters
from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.host.events.source import SourcedEvents
from report_orchestrator.adapters.http import bounded_http
from report_orchestrator.adapters.onelake.probe import probe_lake, probe_token, remove_table
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.adapters.queue import probe
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import lent
from report_orchestrator.models import ReportRun
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint
from tests.support.fireant_calls import CALLS, KEY, client_of
from tests.support.onelake_settings import PATH, settings_for
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


def leaks_of(error: BaseException, *secrets: str) -> list[object]:
    """Return the errors and values that lead to a request or show a secret."""
    hidden = (KEY, *lent(), *secrets)
    leaks: list[object] = []
    for one in chain_of(error):
        leaks += [one] if isinstance(one, requests.RequestException | AzureError) or _shows(str(one), hidden) else []
        leaks += [value for value in values_in_frames(one) if _is_live(value) or _shows(repr(value), hidden)]
    return leaks


def _shows(text: str, hidden: Iterable[str]) -> bool:
    return any(secret in text for secret in hidden)


def _is_live(value: Any) -> bool:
    if isinstance(value, requests.Response):
        return bool(value.request.headers)
    kind = type(value)
    return isinstance(value, requests.PreparedRequest | requests.RequestException | AccessToken) or (
        kind.__module__.startswith("azure.") and kind.__name__ in {"HttpRequest", "PipelineRequest", "PipelineResponse"}
    )


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


@pytest.mark.parametrize("how", ["closed", "not HTTP", "cut short"])
def test_an_error_of_the_probe_carries_no_request(how: str) -> None:
    with raw_server(BROKEN[how]) as server, client_of(server.url, TIMEOUT_SECONDS=1) as client:
        with pytest.raises(OrchestratorError) as caught:
            client.probe()
        assert leaks_of(caught.value) == []


def test_an_error_without_a_connection_carries_none_either() -> None:
    with raw_server(lambda _connection: None) as server:
        closed = server.url
    assert_nothing_leaks(closed)


def test_an_odd_key_is_in_no_frame() -> None:
    key = "schlüssel-of-the-test"
    with client_of("http://127.0.0.1:1", FIREANT_API_KEY=key) as client, pytest.raises(OrchestratorError) as caught:
        client.status("7")
    assert [value for value in values_in_frames(caught.value) if key in repr(value)] == []


class EndedError(Exception):
    """A heartbeat ends the work."""


def test_a_heartbeat_that_ends_a_download_carries_no_live_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEARTBEAT_SECONDS", 0.0)

    def end() -> None:
        raise EndedError

    with (
        raw_server(says(answer(body=b"{}"))) as server,
        client_of(server.url) as client,
        pytest.raises(EndedError) as caught,
        client.results("7", end) as pieces,
    ):
        list(pieces)
    assert leaks_of(caught.value) == []


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def lake(running: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch) -> OneLakeSandbox:
    running.clear()
    running.faults.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(running.ca_file))
    return running


Call = Callable[[Settings], object]
ROWS = b'{"results": [{"a": 1}]}'
AT_THE_LAKE: dict[str, Call] = {
    "write": lambda settings: OneLakeStore(settings).write(PATH, [b"x"]),
    "read": lambda settings: list(OneLakeStore(settings).read(PATH)),
    "head": lambda settings: OneLakeStore(settings).read_head(PATH, 10),
    "sweep": lambda settings: OneLakeStore(settings).sweep(timedelta(0)),
    "probe of the store": probe_lake,
    "probe of the token": probe_token,
    "table": lambda settings: DeltaResults(*table_location(settings)).append("1", {}, lambda: [ROWS], lambda: None),
    "table's removal": lambda settings: remove_table(settings, "x"),
}
ENDPOINTS: tuple[LakeEndpoint, ...] = ("head", "list", "list_blobs", "read", "create_folder", "put_blob")


@pytest.mark.parametrize("call", AT_THE_LAKE)
@pytest.mark.parametrize("status", [400, 503])
def test_an_error_of_entra_carries_no_live_request(lake: OneLakeSandbox, call: str, status: int) -> None:
    lake.faults.add("token", "status_code", status=status)
    settings = settings_for(lake)
    with pytest.raises(OrchestratorError) as caught:
        AT_THE_LAKE[call](settings)
    assert leaks_of(caught.value, settings.azure_client_secret.reveal()) == []


@pytest.mark.parametrize("call", [call for call in AT_THE_LAKE if call != "probe of the token"])
@pytest.mark.parametrize("fault", [{"kind": "status_code", "status": 403}, {"kind": "reset"}])
def test_an_error_of_the_lake_carries_no_live_request(lake: OneLakeSandbox, call: str, fault: dict[str, Any]) -> None:
    for endpoint in ENDPOINTS:
        lake.faults.add(endpoint, times=20, **fault)
    settings = settings_for(lake)
    with pytest.raises(OrchestratorError) as caught:
        AT_THE_LAKE[call](settings)
    assert leaks_of(caught.value, settings.azure_client_secret.reveal()) == []


def test_an_error_of_the_broker_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broker:
        def ping(self) -> bool:
            raise OSError("cannot reach redis://user:pass-of-the-broker@redis:6379")

    monkeypatch.setattr(probe, "get_broker", Broker)
    with pytest.raises(OrchestratorError) as caught:
        probe.probe_broker()
    assert leaks_of(caught.value, "pass-of-the-broker") == []


def calls_a_service(_report: object) -> list[object]:
    return [requests.get("http://127.0.0.1:1", headers={"Authorization": f"Bearer {KEY}"}, timeout=5)]


def test_an_error_of_the_projects_own_function_carries_no_live_request() -> None:
    source = SourcedEvents(report=ReportRun, function=f"{__name__}.calls_a_service")
    with pytest.raises(OrchestratorError) as caught:
        source._events(ReportRun(pk=1))
    assert leaks_of(caught.value) == []


TRIED = {"fireant", "onelake", "delta", "queue", "host"}
WITHOUT_REQUESTS = {"local"}
SHARED = {"http"}


def test_every_adapter_is_tried_or_sends_no_requests() -> None:
    folder = Path(next(iter(adapters.__path__)))
    found = {module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg}
    assert found == TRIED | WITHOUT_REQUESTS | SHARED
    for path in (path for name in WITHOUT_REQUESTS for path in (folder / name).rglob("*.py")):
        assert imported_by(path).isdisjoint({"requests", "urllib3", "azure", "socket"}), path


def imported_by(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_the_search_finds_what_leaks() -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {KEY}"
    with pytest.raises(requests.RequestException) as caught:
        session.get("http://127.0.0.1:1")
    assert leaks_of(caught.value)
