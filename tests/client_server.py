"""A server of answers that a test writes down, for the tests of the client's core."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

JOB_ID = "job_01m83eqz8fefzapqk4c5qx0fgg"
URL = "http://longhaul.test"


def job_json(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": JOB_ID,
        "status": "PENDING",
        "model": "m",
        "attempt": 0,
        "max_attempts": 5,
        "created_at": "2026-11-24T20:00:00.000Z",
        "started_at": None,
        "ended_at": None,
        "error": None,
        "result": None,
        "usage": None,
        "stop_reason": None,
        "metadata": {},
        "trace_id": "1-2-3",
        "links": {},
        **fields,
    }


def event_json(seq: int, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "event", "job_id": JOB_ID, "seq": seq, "event": event, "attempt": 1, **fields}


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    members = {"status": status, "code": code, "detail": f"told: {code}", "trace_id": "1-2-3"}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=members, headers=names)


def sent(*events: dict[str, Any], breaks: bool = False) -> httpx.Response:
    """Answer with a stream of events that ends after them, or breaks."""
    blocks = [f"id: {one['seq']}\ndata: {json.dumps(one)}\n\n".encode() for one in events]
    return httpx.Response(200, stream=Pieces([b"retry: 1000\n\n", *blocks], breaks=breaks))


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._breaks:
            raise httpx.ReadError("broken (test)")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass(kw_only=True)
class Script:
    """Gives its answers in turn, the last one again and again; an exception is raised."""

    answers: list[httpx.Response | Exception]
    requests: list[httpx.Request] = field(default_factory=list)

    @classmethod
    def of(cls, *answers: httpx.Response | Exception) -> Script:
        return cls(answers=list(answers))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A copy each time: a client uses up what it is given.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)
