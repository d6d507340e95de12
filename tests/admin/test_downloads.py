"""A stored result is downloaded as it was stored, with constant memory, and recorded."""

from __future__ import annotations

import hashlib
import logging
import tracemalloc
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.test import AsyncClient, Client
from django.urls import reverse
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.local.store import PIECE, LocalFiles
from report_orchestrator.admin.runs import download
from report_orchestrator.exceptions import StorageError
from report_orchestrator.models import Intervention, ReportRun
from report_orchestrator.ports import ResultStore
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.admin_pages import HOSTILE, make_run, page_of, text_of, words_of
from tests.support.dashboard import SignIn
from tests.support.store_kinds import RESULTS

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

MAY = ("view_reportrun", "download_results")


def address_of(run: ReportRun) -> str:
    return reverse("admin:report_orchestrator_reportrun_download", args=[run.pk])


@pytest.fixture
def store(tmp_path: Path, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> LocalFiles:
    local = LocalFiles(tmp_path, RESULTS)
    monkeypatch.setattr(download, "get_runtime", lambda: make_runtime(replace(fakes.ports, store=local)))
    return local


def stored_run(store: ResultStore, content: bytes, **given: Any) -> ReportRun:
    run = make_run(result_size=len(content), result_sha256=hashlib.sha256(content).hexdigest(), **given)
    run.results_path = store.write(run.result_path, [content]).location
    run.save()
    return run


def changed(run: ReportRun, content: bytes) -> None:
    Path(run.results_path).write_bytes(content)


class TestDownload:
    def test_it_is_the_file_that_was_stored(self, sign_in: SignIn, store: LocalFiles) -> None:
        content = b'{"rows": []}' * 300_000
        run = stored_run(store, content)

        response = sign_in(*MAY).get(address_of(run))

        assert response.getvalue() == content
        assert response.headers["Content-Length"] == str(len(content))
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Type"] == "application/json"

    def test_an_empty_result_is_an_empty_file(self, sign_in: SignIn, store: LocalFiles) -> None:
        assert sign_in(*MAY).get(address_of(stored_run(store, b""))).getvalue() == b""

    @pytest.mark.parametrize(
        ("name", "plain", "whole"),
        [
            ("Überflutung 2026/..", "uberflutung-2026-{}", "%C3%BCberflutung-2026-{}"),
            (
                HOSTILE,
                "oneil-the-scriptalert1script-uberflutung-{}",
                "oneil-the-scriptalert1script-%C3%BCberflutung-{}",
            ),
            ("洪水", "{}", "%E6%B4%AA%E6%B0%B4-{}"),
            ('a"\r\nX: 1', "a-x-1-{}", "a-x-1-{}"),
        ],
    )
    def test_its_name_is_safe(self, sign_in: SignIn, store: LocalFiles, name: str, plain: str, whole: str) -> None:
        run = stored_run(store, b"{}", report_name=name)
        rest = f"2026-07-01-run-{run.pk}.json"

        header = sign_in(*MAY).get(address_of(run)).headers["Content-Disposition"]

        assert header == f"attachment; filename=\"{plain.format(rest)}\"; filename*=UTF-8''{whole.format(rest)}"

    def test_memory_stays_small(self, sign_in: SignIn, store: LocalFiles) -> None:
        run = stored_run(store, b"x" * 48 * PIECE)
        response: Any = sign_in(*MAY).get(address_of(run))
        tracemalloc.start()
        try:
            size = sum(map(len, response.streaming_content))
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert size == 48 * PIECE
        assert most < 6 * PIECE

    def test_it_is_streamed_under_asgi(self, sign_in: SignIn, store: LocalFiles, async_client: AsyncClient) -> None:
        content = b"y" * 3 * PIECE
        run = stored_run(store, content)
        async_client.cookies = sign_in(*MAY).cookies

        async def received() -> list[bytes]:
            response: Any = await async_client.get(address_of(run))
            assert response.is_async
            return [chunk async for chunk in response.streaming_content]

        chunks = async_to_sync(received)()
        assert b"".join(chunks) == content
        assert len(chunks) > 2

    def test_it_is_recorded(self, sign_in: SignIn, store: LocalFiles, caplog: pytest.LogCaptureFixture) -> None:
        run = stored_run(store, b"{}")
        client = sign_in(*MAY, "view_reportrun")

        client.get(address_of(run)).getvalue()

        [record] = Intervention.objects.filter(run=run)
        user = LogEntry.objects.get().user_id
        assert (record.kind, record.actor, record.reason) == ("downloaded", f"person 0 (user {user})", "")
        assert LogEntry.objects.get().change_message == "Downloaded the result."
        assert f"run_downloaded actor=&#x27;person 0 (user {user})&#x27;" in words_of(client.get(page_of(run)))


class TestAResultThatDiffers:
    def test_a_small_one_is_not_handed_out(self, sign_in: SignIn, store: LocalFiles) -> None:
        run = stored_run(store, b'{"a": 1}')
        changed(run, b'{"a": 2}')

        response = sign_in(*MAY).get(address_of(run))

        assert response.status_code == HTTPStatus.CONFLICT
        assert "its SHA-256 differs. Restore it from a backup." in response.content.decode()
        assert not Intervention.objects.exists()

    @pytest.mark.parametrize(
        ("content", "difference"),
        [
            (b"z" * 3 * PIECE, "its SHA-256 differs"),
            (b"x" * 2 * PIECE, "it is shorter"),
            (b"x" * 4 * PIECE, "it is longer"),
        ],
    )
    def test_a_large_one_is_cut_and_that_is_said(
        self,
        sign_in: SignIn,
        store: LocalFiles,
        caplog: pytest.LogCaptureFixture,
        content: bytes,
        difference: str,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        run = stored_run(store, b"x" * 3 * PIECE)
        changed(run, content)
        client = sign_in(*MAY)
        response: Any = client.get(address_of(run))
        sent: list[bytes] = []
        logging.getLogger("report_orchestrator").addHandler(caplog.handler)

        with django_capture_on_commit_callbacks(execute=True), pytest.raises(StorageError, match=difference):
            sent.extend(response.streaming_content)

        logging.getLogger("report_orchestrator").removeHandler(caplog.handler)
        assert sum(map(len, sent)) < 3 * PIECE
        assert "download cut" in caplog.text
        assert f"reason=&#x27;Cut: The file at {run.results_path}" in words_of(client.get(page_of(run)))

    def test_a_file_that_is_gone_is_said_in_words(self, sign_in: SignIn, store: LocalFiles) -> None:
        run = stored_run(store, b"{}")
        Path(run.results_path).unlink()

        response = sign_in(*MAY).get(address_of(run))

        assert response.status_code == HTTPStatus.CONFLICT
        assert "no longer exists" in response.content.decode()


class TestWhoMay:
    @pytest.mark.parametrize("having", [[], ["view_reportrun", "retry_runs"], ["download_results"]])
    def test_both_permissions_are_needed(self, sign_in: SignIn, store: LocalFiles, having: list[str]) -> None:
        run = stored_run(store, b"{}")

        assert sign_in(*having).get(address_of(run)).status_code == HTTPStatus.FORBIDDEN

    def test_strangers_are_sent_to_the_login(self, client: Client, store: LocalFiles) -> None:
        assert client.get(address_of(stored_run(store, b"{}"))).status_code == HTTPStatus.FOUND

    def test_a_run_without_a_result_has_none(self, sign_in: SignIn, store: LocalFiles) -> None:
        assert sign_in(*MAY).get(address_of(make_run())).status_code == HTTPStatus.NOT_FOUND


class TestButtons:
    def test_they_are_for_those_who_may(self, sign_in: SignIn) -> None:
        run = make_run(results_path="lake/7.json", result_size=58_301_234)

        assert "Download (55.6 MiB)" in words_of(sign_in(*MAY).get(page_of(run)))
        assert "Download" not in words_of(sign_in("view_reportrun").get(page_of(run)))

    def test_the_page_in_fabric_follows_the_template(self, sign_in: SignIn, settings: DjangoSettings) -> None:
        settings.REPORT_ORCHESTRATOR = {
            **settings.REPORT_ORCHESTRATOR,
            "FABRIC_WORKSPACE_ID": "Team A",
            "RESULT_PAGE_URL": "https://fabric.example/{workspace}?folder={folder}&file={file}",
        }
        run = make_run(results_path="lake/7.json")
        folder, _slash, file = run.result_path.rpartition("/")

        page = text_of(sign_in(*MAY).get(page_of(run)))

        address = f"https://fabric.example/Team%20A?folder=Files/report_results/{folder}&amp;file={file}"
        assert f'href="{address}"' in page

    def test_without_a_template_there_is_no_link(self, sign_in: SignIn) -> None:
        assert "Open in Fabric" not in text_of(sign_in(*MAY).get(page_of(make_run(results_path="lake/7.json"))))
