"""Clients of the local OneLake, for its tests."""

from __future__ import annotations

from typing import Any

import requests

from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.entra import SCOPE

FOLDER = "/Sandbox/Results.Lakehouse/Files"
SECONDS_TO_ANSWER = 10


class Clock:
    """A clock of seconds that only the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Plain requests with a token."""

    def __init__(self, sandbox: OneLakeSandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.sign_in()

    def token(self, **changes: str) -> requests.Response:
        options = self.sandbox.options
        form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "scope": SCOPE,
        }
        return self.send("POST", f"/{options.tenant_id}/oauth2/v2.0/token", data={**form, **changes})

    def sign_in(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def send(self, method: str, path: str, **given: Any) -> requests.Response:
        # Not the session's, which a REQUESTS_CA_BUNDLE of the machine would beat.
        given = {"timeout": SECONDS_TO_ANSWER, "verify": str(self.sandbox.ca_file), **given}
        return self.session.request(method, self.sandbox.url + path, **given)

    def put(self, name: str, content: bytes = b"") -> str:
        """A flushed file; returns its ETag."""
        self.send("PUT", f"{FOLDER}/{name}?resource=file")
        self.send("PATCH", f"{FOLDER}/{name}?action=append&position=0", data=content)
        flushed = self.send("PATCH", f"{FOLDER}/{name}?action=flush&position={len(content)}")
        return flushed.headers["ETag"]

    def word(self, method: str, path: str, **given: Any) -> tuple[int, str]:
        """A refusal's status and word, which its body must repeat."""
        answer = self.send(method, path, **given)
        if answer.content:
            assert answer.json()["error"]["code"] == answer.headers["x-ms-error-code"]
        return answer.status_code, answer.headers["x-ms-error-code"]
