"""A run's page hides secrets, and shows the beginning of a payload and of a result as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from report_orchestrator.admin.runs import preview
from report_orchestrator.admin.runs.run_page import PAYLOAD_SHOWN
from report_orchestrator.admin.ui.masked_json import without_secrets
from report_orchestrator.models import RunPayload
from report_orchestrator.testing import FakePorts
from tests.support.admin_pages import HOSTILE, make_run, make_step, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestSecrets:
    def test_names_that_suggest_a_secret_hide_their_values_at_any_depth(self) -> None:
        body = {
            "name": "Windstorm",
            "meta": [{"api_key": "k", "Password": {"a": 1}, "password": ""}, "open"],
            "tokens_used": None,
        }

        assert without_secrets(body) == {
            "name": "Windstorm",
            "meta": [{"api_key": "***", "Password": "***", "password": ""}, "open"],
            "tokens_used": None,
        }

    def test_the_value_of_a_named_field_is_hidden(self) -> None:
        fields = [{"name": "password", "value": "X"}, {"Name": "sas", "Value": "Y"}, {"name": "Flood", "value": 5}]

        assert without_secrets(fields) == [
            {"name": "password", "value": "***"},
            {"Name": "sas", "Value": "***"},
            {"name": "Flood", "value": 5},
        ]

    def test_a_page_shows_no_secret_of_the_settings(
        self, boss: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = make_run()
        RunPayload.objects.create(run=run, body={"note": "with s3cr3t-key inside", "auth_token": "abc"})
        make_step(run, metadata={"answer": "s3cr3t-key"})
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": "s3cr3t-key"}

        with override_settings(REPORT_ORCHESTRATOR=ours):
            page = text_of(boss.get(page_of(run)))

        assert "s3cr3t-key" not in page
        assert "abc" not in page
        assert "with *** inside" in page


class TestALongPayload:
    SECRET = "s3cr3t-key"

    def shown(self, boss: Client, body: object) -> str:
        run = make_run()
        RunPayload.objects.create(run=run, body=body)
        return text_of(boss.get(page_of(run)))

    def test_its_beginning_is_shown_and_said_to_be_one(self, boss: Client) -> None:
        page = self.shown(boss, {"events": [{"id": number, "name": HOSTILE} for number in range(10_000)]})

        assert len(page) < 5 * PAYLOAD_SHOWN
        assert "Show the start of the payload" in page
        assert "&quot;id&quot;: 0," in page
        assert "&quot;id&quot;: 9999," not in page

    def test_a_short_one_is_whole_and_can_be_scrolled(self, boss: Client) -> None:
        page = self.shown(boss, {"name": "Überflutung"})

        assert "<summary>Show the payload</summary>" in page
        assert '<pre class="ro-code" dir="ltr" tabindex="0">' in page
        assert "Überflutung" in page

    def test_no_part_of_a_secret_shows_at_the_cut(self, boss: Client, settings: Any) -> None:
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": self.SECRET}
        before = len(json.dumps({"a": ""}, indent=2)) - 3  # what stands before the text's own letters

        with override_settings(REPORT_ORCHESTRATOR=ours):
            filler = "x" * (PAYLOAD_SHOWN - before - len(self.SECRET) + 3)
            page = self.shown(boss, {"a": filler + self.SECRET + "y" * 100})

        assert "xxx***" in page
        assert self.SECRET[:4] not in page


class TestPreview:
    @pytest.fixture
    def show(self, boss: Client, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], str]:
        monkeypatch.setattr(preview, "get_ports", lambda: replace(fakes.ports))

        def of(content: bytes | None) -> str:
            run = make_run(results_path="lake/7.json", result_size=len(content or b""))
            if content is not None:
                fakes.store.files[run.result_path] = content
            return text_of(boss.get(reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk])))

        return of

    def test_it_is_text_and_never_more(self, show: Callable[[bytes | None], str]) -> None:
        page = show(HOSTILE.encode() + b"\xff\x00")

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 🌊" in page
        assert "\ufffd" in page

    def test_it_is_bounded_and_says_so(self, show: Callable[[bytes | None], str]) -> None:
        page = show(b"x" * 100_000)

        assert page.count("x" * preview.PREVIEW_BYTES) == 1
        assert "x" * (preview.PREVIEW_BYTES + 1) not in page
        assert "The first 16.0\xa0KiB of 97.7\xa0KiB." in page

    def test_no_part_of_a_secret_shows_at_the_cut(self, show: Callable[[bytes | None], str], settings: Any) -> None:
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": "s3cr3t-key"}

        with override_settings(REPORT_ORCHESTRATOR=ours):
            page = show(b"x" * (preview.PREVIEW_BYTES - 6) + b"s3cr3t-key" + b"x" * 100)

        assert "xxx***" in page
        assert "s3cr" not in page

    def test_a_file_that_is_not_the_stored_result_is_not_shown(
        self, boss: Client, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(preview, "get_ports", lambda: replace(fakes.ports))
        run = make_run(results_path="lake/7.json", result_size=5, result_sha256="0" * 64)
        fakes.store.files[run.result_path] = b"other"
        page = text_of(boss.get(reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk])))
        assert "SHA-256 differs" in page
        assert "other" not in page.partition("SHA-256 differs")[0].rpartition("<main")[2]

    def test_a_result_that_is_gone_is_said_in_words(self, show: Callable[[bytes | None], str]) -> None:
        assert "no longer exists" in show(None)

    def test_a_run_without_a_result_has_no_preview(self, boss: Client) -> None:
        address = reverse("admin:report_orchestrator_reportrun_preview", args=[make_run().pk])

        assert boss.get(address).status_code == HTTPStatus.NOT_FOUND
