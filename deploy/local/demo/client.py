"""A client of Longhaul's contract for the demo: HTTP with httpx, the WebSocket with websockets."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from deploy.local.demo.error import DemoError
from deploy.local.environment import is_loopback
from jobs.events import EventType

# The body is some hundred KB and the answer waits for a durable write; the machine may be slow.
HTTP_TIMEOUT: Final = httpx.Timeout(60, connect=5)
SOCKET_OPENS_WITHIN_SECONDS: Final = 10
SOCKET_CLOSES_WITHIN_SECONDS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The answer to a submitted job, and how long it took."""

    status_line: str
    location: str
    job: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Subscribed:
    """The server says that from here on it tells this job's events."""

    seq: int


@dataclass(frozen=True, kw_only=True)
class Told:
    """One event as it came over the WebSocket."""

    seq: int
    type: EventType
    attempt: int
    text: str
    delay_s: float | None
    error: str | None


class LonghaulClient:
    """Speaks to one system; every method raises DemoError where the answer is not the expected."""

    def __init__(self, address: str, *, key: str | None) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy that the environment names is not for a server on this machine.
        self._trust_env = not is_loopback(address)

    def submit(self, body: Mapping[str, object]) -> Accepted:
        """POST a job."""
        start = time.monotonic()
        answer = self._call("POST", "/v1/jobs", HTTPStatus.ACCEPTED, json=body)
        return Accepted(
            status_line=f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}",
            location=answer.headers["Location"],
            job=answer.json(),
            seconds=time.monotonic() - start,
        )

    def job(self, location: str) -> Mapping[str, Any]:
        """GET the job."""
        return self._object(location)

    def timeline(self, location: str) -> Mapping[str, Any]:
        """GET the job's timeline."""
        return self._object(f"{location}/timeline")

    def result(self, location: str) -> bytes:
        """GET the result, wherever it is stored."""
        path = f"{location}/result"
        answer = self._call("GET", path, HTTPStatus.OK, HTTPStatus.SEE_OTHER)
        if answer.status_code == HTTPStatus.OK:
            return answer.content
        # The URL is the permission by itself: whoever stores the result must not see our key.
        url = answer.headers["Location"]
        with self._failures_told("GET", "the result's presigned URL"):
            stored = httpx.get(url, timeout=HTTP_TIMEOUT, trust_env=not is_loopback(url))
        if stored.status_code != HTTPStatus.OK:
            raise DemoError(f"the result's presigned URL answered {stored.status_code}")
        return stored.content

    @contextlib.contextmanager
    def watch(self) -> Iterator["Watch"]:
        """Open the WebSocket."""
        address = f"ws{self._address.removeprefix('http')}/v1/ws"
        try:
            connection = connect(
                address,
                additional_headers=self._headers,
                proxy=True if self._trust_env else None,
                open_timeout=SOCKET_OPENS_WITHIN_SECONDS,
                close_timeout=SOCKET_CLOSES_WITHIN_SECONDS,
            )
        except (OSError, InvalidHandshake) as error:
            raise DemoError(f"{address} did not open: {error}") from error
        with connection:
            yield Watch(connection, address)

    def _object(self, path: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._call("GET", path, HTTPStatus.OK).json()
        return found

    def _call(
        self, method: str, path: str, *expected: HTTPStatus, json: object = None
    ) -> httpx.Response:
        with self._failures_told(method, path):
            answer = httpx.request(
                method,
                f"{self._address}{path}",
                json=json,
                headers=self._headers,
                timeout=HTTP_TIMEOUT,
                trust_env=self._trust_env,
            )
        if answer.status_code not in expected:
            raise DemoError(f"{method} {path} answered {answer.status_code}: {_problem(answer)}")
        return answer

    @staticmethod
    @contextlib.contextmanager
    def _failures_told(method: str, what: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise DemoError(f"{method} {what}: {str(error) or type(error).__name__}") from error


class Watch:
    """One open WebSocket, told of one job."""

    def __init__(self, connection: ClientConnection, address: str) -> None:
        self._connection = connection
        self.address = address

    def subscribe(self, job_id: str) -> None:
        """Ask for the job's events, from the first on."""
        with self._failures_told():
            asked = {"type": "subscribe", "job_id": job_id, "after": 0}
            self._connection.send(json.dumps(asked))

    def messages(self, job_id: str, *, until: float) -> Iterator[Subscribed | Told]:
        """Yield what comes about the job; DemoError when `until` (monotonic seconds) is past."""
        while True:
            with self._failures_told():
                left = until - time.monotonic()
                message = json.loads(self._connection.recv(timeout=max(0.0, left)))
            if message["type"] == "error":
                raise DemoError(f"the WebSocket says: {_line(message)}")
            if message.get("job_id") == job_id:
                if message["type"] == "subscribed":
                    yield Subscribed(seq=message["seq"])
                elif message["type"] == "event":
                    yield _told(message)

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise DemoError("the job did not end in time: see the system's log") from error
        except (OSError, WebSocketException) as error:
            raise DemoError(f"the WebSocket broke ({error})") from error


def _told(message: Mapping[str, Any]) -> Told:
    error = message.get("error")
    return Told(
        seq=message["seq"],
        type=EventType(message["event"]),
        attempt=message.get("attempt", 0),
        text=message.get("text", ""),
        delay_s=message.get("delay_s"),
        error=f"{error['code']}: {error['message']}" if error else None,
    )


def _problem(answer: httpx.Response) -> str:
    """Return what a problem+json says, in one line."""
    try:
        return _line(answer.json())
    except ValueError:
        return answer.text[:200]


def _line(problem: Mapping[str, Any]) -> str:
    known = [str(problem[name]) for name in ("code", "title", "detail") if problem.get(name)]
    return ": ".join(known) or json.dumps(problem)[:200]
