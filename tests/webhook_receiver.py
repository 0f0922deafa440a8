"""A webhook's receiver, and the settings of a system that calls it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook

from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {
    "LONGHAUL_WEBHOOK_SECRETS": SECRET,
    "LONGHAUL_WEBHOOK_ALLOW_LOOPBACK": "true",
    "LONGHAUL_WEBHOOK_SCHEDULE": "0,1,1,2,1,1,1,1,1,1",
    "LONGHAUL_SWEEP_SECONDS": "0.5",
}


@dataclass
class Receiver:
    """A webhook's receiver that answers 500 to its first calls, and keeps what verifies."""

    refusals: int = 0
    statuses: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    traceparents: list[str | None] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        told = Webhook(SECRET).verify(body, headers)  # raises, and so no answer, where it does not
        self.ids.append(headers["webhook-id"])
        self.traceparents.append(headers.get("traceparent"))
        self.bodies.append(told)
        self.statuses.append(500 if len(self.statuses) < self.refusals else 204)
        return self.statuses[-1]


@contextmanager
def receiving(*, refusals: int = 0) -> Iterator[Receiver]:
    receiver = Receiver(refusals=refusals)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.take(dict(self.headers.items()), body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with serving(Handler) as url:
        receiver.url = f"{url}/hook"
        yield receiver
