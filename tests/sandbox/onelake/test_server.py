"""The local OneLake's faults, life and command."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.conf import parse_settings
from report_orchestrator.management.commands.onelake_sandbox import Command
from report_orchestrator.sandbox.onelake import OneLakeOptions, OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeFaultKind
from tests.support.lake_client import FOLDER, SECONDS_TO_ANSWER, Client

RUN_THE_COMMAND = """
import sys
from django.conf import settings
settings.configure()
from report_orchestrator.management.commands.onelake_sandbox import Command
Command().run_from_argv(["manage.py", "onelake_sandbox", *sys.argv[1:]])
"""


class TestFaults:
    @pytest.mark.parametrize(
        ("endpoint", "kind", "parameters", "said"),
        [
            ("moon", "reset", {}, "only at: discovery, token"),
            ("append", "explode", {}, "unknown kind"),
            ("token", "expired_token", {}, "only at: create_folder"),
            ("append", "status_code", {}, "needs status"),
            ("append", "reset", {"status": 500}, "does not accept status"),
            ("append", "status_code", {"status": 409, "error_code": "A\r\nB"}, "one header"),
        ],
    )
    def test_one_that_cannot_happen_is_refused(
        self,
        sandbox: OneLakeSandbox,
        endpoint: LakeEndpoint,
        kind: LakeFaultKind,
        parameters: dict[str, Any],
        said: str,
    ) -> None:
        with pytest.raises(ValueError, match=said):
            sandbox.faults.add(endpoint, kind, **parameters)

    def test_one_that_never_fired_is_named(self, sandbox: OneLakeSandbox) -> None:
        sandbox.faults.add("rename", "reset_after_work")

        with pytest.raises(AssertionError, match="reset_after_work at rename"):
            sandbox.faults.assert_all_fired()
        sandbox.clear()

    def test_one_can_be_added_and_looked_up_over_http(self, client: Client) -> None:
        fault = {"endpoint": "head", "kind": "status_code", "status": 503, "error_code": "ServerBusy", "times": 1}

        answer = client.send("POST", "/sandbox/faults", json=fault)

        assert (answer.status_code, answer.json()) == (201, {"pending": [fault], "fired": []})
        assert client.word("HEAD", FOLDER) == (503, "ServerBusy")
        reported = client.send("GET", "/sandbox/faults").json()
        assert reported["fired"] == [{"endpoint": "head", "kind": "status_code", "times": 1}]
        assert client.send("GET", "/sandbox/requests").json() == {"requests": {"head": 1, "sandbox": 3}}

    def test_a_bad_one_is_refused_over_http(self, client: Client) -> None:
        assert client.send("POST", "/sandbox/faults", data=b"{").status_code == 422
        assert client.send("GET", "/sandbox/nothing").status_code == 404
        assert client.send("GET", "/sandbox/health").json() == {"status": "ok"}

    def test_an_answer_in_place_of_the_work_leaves_the_work_undone(self, client: Client) -> None:
        client.sandbox.faults.add("create", "status_code", status=502, text="<html>", retry_after="3")

        answer = client.send("PUT", f"{FOLDER}/a?resource=file")

        assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (502, "<html>", "3")
        assert client.sandbox.listing() == {}

    def test_an_answer_after_the_work_leaves_it_done(self, client: Client) -> None:
        client.sandbox.faults.add("create", "status_after_work", status=504)

        assert client.send("PUT", f"{FOLDER}/a?resource=file").status_code == 504
        assert client.sandbox.listing() == {"a": 0}

    def test_a_request_that_is_refused_anyway_uses_up_none(self, client: Client) -> None:
        client.sandbox.faults.add("head", "reset_after_work")

        assert client.word("HEAD", f"{FOLDER}/none") == (404, "PathNotFound")
        assert client.send("HEAD", FOLDER, headers={"Authorization": None}).status_code == 401
        assert len(client.sandbox.faults.pending()) == 1
        with pytest.raises(requests.ConnectionError):
            client.send("HEAD", FOLDER)

    def test_an_expired_token_is_refused_until_there_is_a_new_one(self, client: Client) -> None:
        client.sandbox.faults.add("head", "expired_token")

        assert client.send("HEAD", FOLDER).status_code == 401
        assert client.send("HEAD", FOLDER).status_code == 401
        client.sign_in()
        assert client.send("HEAD", FOLDER).status_code == 200


class TestLife:
    def test_files_and_certificates_outlive_an_outage(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path) as sandbox:
            client = Client(sandbox)
            client.put("a", b"1")
            url, authority = sandbox.url, sandbox.ca_file.read_bytes()
            sandbox.stop()
            with pytest.raises(requests.ConnectionError):
                client.send("HEAD", f"{FOLDER}/a")
            sandbox.start()

            assert client.send("GET", f"{FOLDER}/a").content == b"1"
            assert (sandbox.url, sandbox.ca_file.read_bytes()) == (url, authority)
            client.session.close()

    def test_a_second_sandbox_in_a_folder_has_the_same_authority_and_no_files(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path) as first:
            authority = first.ca_file.read_bytes()
            client = Client(first)
            client.put("a", b"1")
            client.session.close()

        with OneLakeSandbox(folder=tmp_path) as second:
            assert second.ca_file.read_bytes() == authority
            assert second.listing() == {}

    def test_the_private_key_is_its_owners_alone(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path):
            assert (tmp_path / "server.pem").stat().st_mode & 0o077 == 0
            assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()

    def test_a_client_that_does_not_know_the_authority_does_not_trust_it(self, sandbox: OneLakeSandbox) -> None:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(sandbox.url, timeout=SECONDS_TO_ANSWER)

    def test_a_client_without_tls_disturbs_no_other(self, client: Client) -> None:
        with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]))) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.send("HEAD", FOLDER).status_code == 200

    def test_an_address_that_others_can_reach_is_refused(self) -> None:
        with pytest.raises(ValueError, match="other machines"):
            OneLakeSandbox(host="0.0.0.0")  # noqa: S104 - refused

    def test_there_is_no_address_before_the_first_start(self) -> None:
        with pytest.raises(RuntimeError, match="before it is started"):
            _ = OneLakeSandbox().url

    @pytest.mark.parametrize("given", [{"workspace": "sandbox"}, {"lakehouse": "Results"}])
    def test_a_name_that_would_not_work_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"named|end in"):
            OneLakeOptions(**given)

    def test_its_secret_is_in_no_repr(self) -> None:
        options = OneLakeOptions()

        assert options.client_secret not in repr(options)


class Console(io.StringIO):
    """Standard output of the command, which interrupts it once it is up."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if "is running" in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written


class TestCommand:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_serves_until_a_signal_and_ends_cleanly(self, tmp_path: Path, number: int) -> None:
        arguments = ["--port", "0", "--folder", str(tmp_path), "--quiet"]
        with started(*arguments) as process:
            settings = told_settings(process)
            health = requests.get(
                f"{settings['FABRIC_ACCOUNT_URL']}/sandbox/health",
                verify=settings["FABRIC_CA_FILE"],
                timeout=SECONDS_TO_ANSWER,
            )
            process.send_signal(number)
            _said, complaints = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert health.json() == {"status": "ok"}
        assert (process.returncode, complaints) == (0, "")

    def test_its_variables_lead_the_product_to_it(self, tmp_path: Path) -> None:
        with started("--port", "0", "--folder", str(tmp_path), "--by-guid") as process:
            settings, problems = parse_settings({}, told_settings(process))
            store = OneLakeStore(settings)
            stored = store.write("1.json", [b"x"])
            store.close()
            process.terminate()
            said, _complaints = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert problems == []
        assert stored.size == 1
        assert "/Files/report_results/1.json 201" in said
        assert "secret" not in said

    def test_it_keeps_the_environments_application(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("AZURE_CLIENT_ID", "an-application")
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "its secret")
        console = Console()

        call_command("onelake_sandbox", port=0, folder=tmp_path, stdout=console)

        assert "export AZURE_CLIENT_ID=an-application\n" in console.getvalue()
        assert "export AZURE_CLIENT_SECRET='its secret'\n" in console.getvalue()

    def test_a_port_that_is_taken_is_said_to_be(self, sandbox: OneLakeSandbox) -> None:
        taken = int(sandbox.url.rpartition(":")[2])

        with pytest.raises(CommandError, match="choose another --port"):
            call_command("onelake_sandbox", port=taken, stdout=Console())

    @pytest.mark.parametrize(
        "arguments", [["--host", "192.0.2.1"], ["--workspace", "sandbox"], ["--token-seconds", "0"], ["--port", "x"]]
    )
    def test_wrong_usage_has_its_own_exit_code(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "onelake_sandbox", *arguments])

        assert ended.value.code == 2
        assert "Traceback" not in capsys.readouterr().err


def started(*arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "FABRIC_"))}
    return subprocess.Popen(
        [sys.executable, "-c", RUN_THE_COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def told_settings(process: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that the command prints first."""
    assert process.stdout is not None
    kill = threading.Timer(SECONDS_TO_ANSWER, process.kill)
    kill.start()
    process.stdout.readline()
    lines = [process.stdout.readline() for _ in range(9)]
    kill.cancel()
    assert all(line.startswith("export ") for line in lines), process.communicate()
    return dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
