"""The real system with credentials: keys by the operator's command, tokens of a local issuer."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

from deploy.local.environment import REPO_ROOT
from tests.issuer import AUDIENCE, Issuer, serving_issuer
from tests.stack import BIN, LocalStack, RedisServer, System, clean_environ, http

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx
    from websockets.sync.client import ClientConnection

SETTINGS_KEY = "key-of-the-settings-0123456789"
SETTINGS = {
    "LONGHAUL_ALLOW_ANONYMOUS": "false",
    "LONGHAUL_API_KEYS": f"root:{SETTINGS_KEY}",
    "LONGHAUL_OIDC_AUDIENCE": AUDIENCE,
    "LONGHAUL_WEBHOOK_SECRETS": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "LONGHAUL_WEBHOOK_ALLOW_LOOPBACK": "true",
    "LONGHAUL_LOG_LEVEL": "DEBUG",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running system, its issuer and its Redis."""

    system: System
    issuer: Issuer
    redis: RedisServer

    def longhaul(self, *arguments: str) -> str:
        """Run the operator's command and give what it says."""
        done = subprocess.run(  # noqa: S603 - our own command
            [BIN / "longhaul", *arguments],
            env={**clean_environ(), **self.system.stack.environ},
            cwd=REPO_ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def make_key(self, user: str, *more: str) -> str:
        return self.longhaul("keys", "create", "--user", user, *more).strip()

    def call(
        self,
        token: str | None,
        path: str,
        *,
        method: str = "GET",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        who = {} if token is None else bearer(token)
        return http.request(
            method, f"{self.system.url}{path}", headers={**who, **(headers or {})}, json=body
        )

    def submit(self, token: str, prompt: str = "Say hello", **more: Any) -> str:  # noqa: ANN401 - JSON
        answer = self.call(token, "/v1/jobs", method="POST", body={"prompt": prompt, **more})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def socket(self, token: str | None = None, *, query: str = "") -> ClientConnection:
        url = self.system.url.replace("http://", "ws://")
        return connect(
            f"{url}/v1/ws{query}",
            additional_headers={} if token is None else bearer(token),
            compression=None,
            proxy=None,
        )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def say(client: ClientConnection, **message: object) -> dict[str, Any]:
    """Send a message and give the next one that comes."""
    client.send(json.dumps(message))
    answer: dict[str, Any] = json.loads(client.recv(timeout=30))
    return answer


@contextmanager
def running_place(folder: Path, **settings: str) -> Iterator[Place]:
    redis = RedisServer(folder / "redis")
    redis.start()
    try:
        with (
            serving_issuer() as issuer,
            LocalStack(folder / "stack", named={"REDIS_URL": redis.url}) as stack,
            System(
                stack,
                settings={**SETTINGS, "LONGHAUL_OIDC_ISSUER": issuer.url, **settings},
            ) as system,
        ):
            yield Place(system=system, issuer=issuer, redis=redis)
    finally:
        redis.kill()
