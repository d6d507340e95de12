"""The Fireant client with certificates and proxies."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, TransientError
from report_orchestrator.ports import JobState
from report_orchestrator.sandbox.onelake.certificates import server_context
from tests.support.fireant_calls import CALLS, FINISHED, KEY, PATIENCE, SHORT, ask, client_of, failure, submit, trusted
from tests.support.raw_server import Talk, answer, raw_server, relay, says

pytestmark = pytest.mark.slow


def test_a_certificate_of_an_authority_that_the_environment_names_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server, client_of(server.url) as client:
        assert client.status("7").state is JobState.FINISHED


@pytest.mark.parametrize("call", CALLS)
def test_a_certificate_of_an_authority_that_nobody_named_is_refused_before_the_key_is_sent(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with (
        raw_server(says(FINISHED), tls=server_context(tmp_path, "127.0.0.1")) as server,
        client_of(server.url) as client,
    ):
        raised = failure(CALLS[call], client)
    assert isinstance(raised, ConfigurationError)
    assert "REQUESTS_CA_BUNDLE" in raised.message
    assert server.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server:
        with client_of(server.url.replace("127.0.0.1", "127.0.0.2")) as client, pytest.raises(OrchestratorError):
            ask(client)
        assert server.requests == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_requires_a_client_certificate_has_read_nothing(
    call: str, version: ssl.TLSVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = trusted(tmp_path, monkeypatch)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    with raw_server(says(FINISHED), tls=context) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, ConfigurationError)
    assert "client certificate" in raised.message
    assert server.requests == []


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the environment name a proxy, for this machine's addresses too."""

    def name(url: str) -> None:
        for variable in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("https_proxy", url)

    return name


def test_a_proxy_of_the_environment_is_used(through: Callable[[str], None]) -> None:
    with raw_server(says(FINISHED)) as proxy:
        through(proxy.url)
        with client_of("http://fireant.test") as client:
            assert client.status("7").state is JobState.FINISHED
        assert proxy.heads[0].startswith("GET http://fireant.test/get_job_status/7?")


def test_https_goes_through_a_proxy_as_a_tunnel_that_hides_the_key(
    through: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server:
        with raw_server(lambda one: relay(one, server.port)) as proxy:
            through(proxy.url.replace("http://", "http://me:pr0xy-passw0rd@"))
            with client_of(server.url) as client:
                assert client.status("7").state is JobState.FINISHED
            assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} ")
            assert KEY not in proxy.heads[0]
        assert f"Authorization: Bearer {KEY}" in server.heads[0]
        assert "Proxy-Authorization" not in server.heads[0]


def test_a_host_that_no_proxy_names_is_called_directly(
    through: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(says(FINISHED)) as server, raw_server(says(FINISHED)) as proxy, client_of(server.url) as client:
        through(proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        ask(client)
        assert (len(server.requests), proxy.connections) == (1, 0)


PROXY_FAULTS: dict[str, tuple[Talk, type[OrchestratorError]]] = {
    "407": (says(answer("407 Proxy Authentication Required")), ConfigurationError),
    "502": (says(answer("502 Bad Gateway")), TransientError),
    "drips": (lambda one: one.drip(answer(headers={"X": "x" * 900}), seconds=SHORT / 6), TransientError),
}


@pytest.mark.parametrize("fault", PROXY_FAULTS)
def test_a_tunnel_that_is_not_made_surely_submitted_nothing(fault: str, through: Callable[[str], None]) -> None:
    talk, error = PROXY_FAULTS[fault]
    with raw_server(talk) as proxy:
        through(proxy.url.replace("http://", "http://me:pr0xy-passw0rd@"))
        with client_of("https://fireant.test", TIMEOUT_SECONDS=SHORT if fault == "drips" else PATIENCE) as client:
            raised = failure(submit, client)
        assert len(proxy.requests) == 1
    assert type(raised) is error
    assert "pr0xy" not in raised.message


def test_a_proxy_that_is_away_surely_submitted_nothing(through: Callable[[str], None]) -> None:
    with raw_server(says(b"")) as gone:
        pass
    through(f"http://me:pr0xy-passw0rd@127.0.0.1:{gone.port}")
    for url in ("http://fireant.test", "https://fireant.test"):
        with client_of(url) as client:
            raised = failure(submit, client)
            assert raised.code == "fireant_unreachable"
            assert "pr0xy" not in raised.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_job_whose_id_holds_407_makes_no_password_of_a_proxy_that_is_away(
    scheme: str, through: Callable[[str], None]
) -> None:
    with raw_server(says(b"")) as gone:
        pass
    through(gone.url)
    with client_of(f"{scheme}://fireant407.test") as client:
        raised = failure(lambda one: one.status("4071"), client)
    assert raised.code == "fireant_unreachable"


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_without_its_package_is_reported_as_such(through: Callable[[str], None]) -> None:
    through("socks5://me:pr0xy-passw0rd@127.0.0.1:9")
    with client_of("http://fireant.test") as client:
        raised = failure(submit, client)
    assert isinstance(raised, ConfigurationError)
    assert "PySocks" in raised.message
    assert "ALL_PROXY" in raised.message
    assert "FIREANT_API_KEY" not in raised.message
    assert "pr0xy" not in raised.message
