"""A watcher as docs/api.md tells people to write one, for tests that follow a job to its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.stack import http

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMINAL = {"job.completed", "job.failed", "job.cancelled", "job.expired"}


@dataclass(kw_only=True)
class Follower:
    """Keeps a job's text by the four rules, and the number to go on after."""

    text: str = ""
    last: int = 0
    end: str | None = None
    gaps: int = 0
    numbers: list[int] = field(default_factory=list)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one event. Fails where its number does not rise."""
        assert message["seq"] > self.last, f"{message['seq']} after {self.last}"
        self.last = message["seq"]
        self.numbers.append(self.last)
        match message["event"]:
            case "job.started" | "job.retrying":
                self.text = ""
            case "job.delta":
                self.text += message["text"]
            case "stream.gap":
                self.gaps += 1
                self.text = ""
            case kind if kind in TERMINAL:
                self.end = kind
                if result := message.get("result"):
                    self.text = result["text"] if "text" in result else fetch(result["url"])

    def subscription(self, job_id: str) -> str:
        """Write the message that goes on where this watcher was."""
        return json.dumps({"type": "subscribe", "job_id": job_id, "after": self.last})


def fetch(url: str) -> str:
    """Fetch a text that an event names by its address."""
    answer = http.get(url, follow_redirects=True)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.content.decode()
