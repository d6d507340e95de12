"""The local Fireant's server and command."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.core.management import CommandError, call_command
from pytest_django import Settings as DjangoSettings

from report_orchestrator.management.commands.fireant_sandbox import Command
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.fireant.jobs import JobTable

if TYPE_CHECKING:
    pass
from tests.support.fireant_client import FOR_EVER, KEY, SECONDS_TO_ANSWER, SECONDS_TOO_FEW, Client, Serving

RUN_THE_COMMAND = """
import sys
from django.conf import settings
settings.configure()
from report_orchestrator.management.commands.fireant_sandbox import Command
Command().run_from_argv(["manage.py", "fireant_sandbox", *sys.argv[1:]])
"""


class TestServer:
    def test_one_connection_serves_many_requests(self, client: Client) -> None:
        before = threading.active_count()
        for _ in range(5):
            client.submitted_id()

        assert threading.active_count() == before + 1

    def test_many_clients_at_once_are_all_served(self, sandbox: FireantSandbox) -> None:
        def submit_some() -> None:
            client = Client(sandbox)
            with client.session:
                for _ in range(5):
                    client.submitted_id()

        threads = [threading.Thread(target=submit_some) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [job.id for job in sandbox.jobs] == [str(number) for number in range(1, 101)]

    def test_stopping_ends_idle_and_stalled_connections_and_all_threads(self) -> None:
        before = threading.active_count()
        sandbox = FireantSandbox().start()
        idle, stalled = Client(sandbox), Client(sandbox)
        sandbox.faults.add("submit", "stall", seconds=FOR_EVER)
        with idle.session, stalled.session:
            idle.send("GET", "/sandbox/health")
            with pytest.raises(requests.ReadTimeout):
                stalled.submit(timeout=SECONDS_TOO_FEW)
            sandbox.stop()
            sandbox.stop()

            assert threading.active_count() == before
            with pytest.raises(requests.ConnectionError):
                idle.send("GET", "/sandbox/health")

    def test_an_outage_ends_with_the_same_address_and_jobs(self, client: Client) -> None:
        job_id, url = client.submitted_id(), client.sandbox.url
        client.sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            client.status(job_id)

        client.sandbox.start()

        assert (client.sandbox.url, client.state(job_id)) == (url, "Finished")

    def test_a_client_that_leaves_in_mid_download_is_no_news(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with Serving(result_bytes=50_000_000) as client:
            with client.results(client.submitted_id(), stream=True) as answer:
                assert len(next(answer.iter_content(1000))) == 1000
            client.session.close()
            assert client.send("GET", "/sandbox/health").status_code == 200

        assert (caplog.records, tuple(capfd.readouterr())) == ([], ("", ""))

    def test_a_client_that_leaves_in_mid_request_submits_nothing(self, sandbox: FireantSandbox) -> None:
        address = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), SECONDS_TO_ANSWER) as connection:
            connection.sendall(b"POST /job_exposure_geo_agg HTTP/1.1\r\nContent-Length: 50\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""

        assert sandbox.jobs == ()

    def test_a_defect_is_logged_and_not_answered(
        self, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(JobTable, "accept")

        with pytest.raises(requests.ConnectionError):
            client.submit()
        client.sandbox.stop()
        assert caplog.messages == ["The Fireant sandbox could not answer a request"]

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104
    def test_an_address_that_others_can_reach_is_refused_unless_meant(self, host: str) -> None:
        with pytest.raises(ValueError, match="other machines"):
            FireantSandbox(host=host)
        FireantSandbox(host=host, allow_remote=True)

    def test_there_is_no_address_before_the_first_start(self) -> None:
        with pytest.raises(RuntimeError, match="before it is started"):
            _ = FireantSandbox().url

    def test_it_serves_the_loopback_of_ipv6(self) -> None:
        try:
            sandbox = FireantSandbox(host="::1").start()
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        with sandbox, requests.Session() as session:
            session.trust_env = False
            assert sandbox.url.startswith("http://[::1]:")
            assert session.get(f"{sandbox.url}/sandbox/health", timeout=SECONDS_TO_ANSWER).ok

    def test_a_line_is_reported_for_each_request_without_its_query(self) -> None:
        lines: list[str] = []
        with FireantSandbox(on_request=lines.append) as sandbox:
            client = Client(sandbox)
            with client.session:
                job_id = client.submitted_id()
                client.status(job_id)
                client.results(job_id)
                client.status("77")
                sandbox.faults.add("status", "reset")
                with pytest.raises(requests.ConnectionError):
                    client.status(job_id)

        assert lines[:4] == [
            "POST /job_exposure_geo_agg 200 job 1",
            "GET /get_job_status/1 200 Finished 100%",
            f"GET /jobs/results/1 200 {lines[2].split()[-2]} bytes",
            "GET /get_job_status/77 404 job 77 does not exist",
        ]
        assert lines[4].startswith("GET /get_job_status/1 fault: reset")

    @pytest.mark.parametrize(
        "options",
        [{"failure_rate": 1.1}, {"seconds_queued": -1}, {"seconds_running": float("nan")}, {"result_bytes": 10}],
    )
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            SandboxOptions(**options)


class Console(io.StringIO):
    """A terminal whose user presses Ctrl+C once the sandbox is running."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if "is running" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return written


class TestCommand:
    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", RUN_THE_COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FIREANT_API_KEY": "", **environment},
        )

    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
    def test_it_serves_until_it_is_told_to_end_and_never_prints_the_key(self, end: signal.Signals) -> None:
        with self.start(FIREANT_API_KEY=KEY) as process:
            assert process.stdout is not None
            url = process.stdout.readline().partition("FIREANT_API_URL=")[2].split()[0]
            headers = {"Authorization": f"Bearer {KEY}"}
            with requests.Session() as session:
                session.trust_env = False
                get = f"{url}/sandbox/health"
                assert session.get(get, timeout=SECONDS_TO_ANSWER).status_code == 401
                assert session.get(get, headers=headers, timeout=SECONDS_TO_ANSWER).status_code == 200
                lines = [process.stdout.readline() for _ in range(2)]
                process.send_signal(end)
                output, errors = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert (process.returncode, output, errors) == (0, "", "")
        assert lines[0] == "GET /sandbox/health 401 the bearer key is missing or wrong\n"
        assert lines[1] == "GET /sandbox/health 200\n"

    def test_its_options_reach_the_sandbox(self, tmp_path: Path) -> None:
        key_file = tmp_path / "key"
        key_file.write_text(f"{KEY}\n")
        arguments = ["--seconds-queued", "0", "--seconds-running", "0", "--fail", "Flood", "Hail"]
        more = ["--text-ids", "--bare-status", "--never-finish", "Quake", "--result-bytes", "300", "--quiet"]
        with self.start(*arguments, *more, "--key-file", str(key_file)) as process:
            assert process.stdout is not None
            url = process.stdout.readline().partition("FIREANT_API_URL=")[2].split()[0]
            sandbox = FireantSandbox(port=int(url.rpartition(":")[2]))
            client = Client(sandbox, KEY)
            with client.session:
                ids = [client.submitted_id(name=name) for name in ("Flood", "Quake", "Wind")]
                states = [client.status(job_id).json()["status"] for job_id in ids]
                size = len(client.results(ids[2]).content)
                process.terminate()
                output, errors = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert (ids[0], states, size) == ("job-000001", ["Failed", "Running", "Finished"], 300)
        assert (process.returncode, output, errors) == (0, "", "")

    @pytest.mark.parametrize("command", ["fireant_sandbox", "onelake_sandbox"])
    def test_it_refuses_to_serve_in_production(self, settings: DjangoSettings, command: str) -> None:
        settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "APP_ENV": "prod"}
        with pytest.raises(CommandError, match="APP_ENV is 'prod'"):
            call_command(command, port=0, stdout=Console())

    def test_an_interrupt_ends_it_and_gives_the_signals_back(self) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        threads = threading.active_count()

        call_command("fireant_sandbox", port=0, stdout=Console())

        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        assert threading.active_count() == threads

    def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(self, sandbox: FireantSandbox) -> None:
        taken = int(sandbox.url.rpartition(":")[2])

        with pytest.raises(CommandError, match="choose another --port") as raised:
            call_command("fireant_sandbox", port=taken, stdout=Console())
        assert raised.value.returncode == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--failure-rate", "2"], "a share from 0 to 1"),
            (["--seconds-running", "-1"], "a number of seconds"),
            (["--seconds-queued", "nan"], "a number of seconds"),
            (["--port", "70000"], "a port from 0 to 65535"),
            (["--port", "http"], "a port from 0 to 65535"),
            (["--unheard-of"], "unrecognized arguments"),
            (["--api-key", "k"], "unrecognized arguments"),
            (["--key-file", "/nowhere"], "--key-file /nowhere cannot be read: No such file"),
            (["--key-file", os.devnull], "is empty"),
            (["--host", "192.0.2.1"], "--allow-remote"),
            (["--result-bytes", "10"], "result_bytes"),
        ],
    )
    def test_wrong_usage_exits_with_2(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as raised:
            Command().run_from_argv(["manage.py", "fireant_sandbox", *arguments])

        assert raised.value.code == 2
        assert said in capsys.readouterr().err

    def test_its_help_teaches_with_an_example(self) -> None:
        help_text = Command().create_parser("manage.py", "fireant_sandbox").format_help()

        assert "\n  FIREANT_API_URL=http://127.0.0.1:8099 manage.py qcluster\n" in help_text
        assert json.loads(help_text.partition("-d '")[2].partition("'")[0])["kind"] == "status_code"
