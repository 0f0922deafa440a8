"""jobs.delivery_ports.Announcer: each kind, against receivers that behave and others."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from adapters.announcers import open_announcers
from adapters.clock import SystemClock
from adapters.settings import read_settings
from jobs.delivery import Answered, Delivery
from jobs.events import terminal_event
from jobs.job import JobStatus
from jobs.receiver import DeliveryKind, Receiver
from tests.builders import NOW, a_job
from tests.free_ports import free_base
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.delivery_ports import Announcer

CONNECTION = "L0SM9cOFvHcCIhw="
BODY = json.dumps({"id": "the event's", "data": {"text": "Tee ☕"}}, ensure_ascii=False)
ENTRY_TAKEN = b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
DEADLINE = 20.0


@dataclass
class Place:
    """A receiver's server: what it got, and what it is to answer; None is silence."""

    status: int | None = 200
    answer: bytes = ENTRY_TAKEN
    got: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving() -> Iterator[Place]:
    place = Place()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            place.headers.append(dict(self.headers.items()))
            place.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            if place.status is None:
                place.over.wait(DEADLINE)
                return
            if place.status == 0:
                return  # hangs up
            self.send_response(place.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(place.answer)))
            self.end_headers()
            self.wfile.write(place.answer)

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        place.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield place
        place.over.set()
        server.shutdown()
        thread.join(5)


def announcer(kind: DeliveryKind, port: int) -> Announcer:
    """Make the announcer as a worker does, led to a port of this machine."""
    here = f"http://127.0.0.1:{port}"
    environ = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "LONGHAUL_BUCKET": "unused",
        "LONGHAUL_WEBHOOK_SECRETS": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "LONGHAUL_WEBHOOK_ALLOW_LOOPBACK": "true",
        "LONGHAUL_WEBHOOK_TIMEOUT_SECONDS": "0.5",
        "LONGHAUL_EVENTBRIDGE_BUS": "ends",
        "LONGHAUL_IOT_TOPIC": "longhaul/{user}/jobs/{job}",
        "LONGHAUL_APIGATEWAY_ENDPOINT": f"{here}/prod",
        "LONGHAUL_APIGATEWAY_CONNECTION_KEY": "connection",
        "AWS_ENDPOINT_URL_EVENTBRIDGE": here,
        "AWS_ENDPOINT_URL_IOT_DATA_PLANE": here,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with environ_of(environ):
        settings = read_settings(environ)
        return open_announcers(settings, SystemClock(), source="urn:longhaul:Test")[kind]


def a_delivery(kind: DeliveryKind, port: int) -> Delivery:
    event = terminal_event(a_job(status=JobStatus.COMPLETED, ended_at=NOW, seq=1_000_002))
    assert event is not None
    addresses = {
        DeliveryKind.WEBHOOK: f"http://127.0.0.1:{port}/hook",
        DeliveryKind.APIGATEWAY: CONNECTION,
    }
    return Delivery.of(
        event, Receiver(kind=kind, address=addresses.get(kind)), now=NOW, by="feed@test:1"
    )


def tell(kind: DeliveryKind, place: Place) -> Answered:
    return announcer(kind, place.port).tell(a_delivery(kind, place.port), BODY)


@pytest.mark.parametrize("kind", DeliveryKind)
def test_a_receiver_that_takes_it_is_told_once(kind: DeliveryKind) -> None:
    with serving() as place:
        answered = tell(kind, place)

    assert answered == Answered(status=200)
    assert type(answered.status) is int  # it is written down as a number
    assert len(place.got) == 1


@pytest.mark.parametrize("kind", DeliveryKind)
@pytest.mark.parametrize("status", [403, 410, 429, 503])
def test_a_refusal_is_given_with_its_status_after_one_call(kind: DeliveryKind, status: int) -> None:
    with serving() as place:
        place.status, place.answer = status, b"{}"
        answered = tell(kind, place)

    assert answered.status == status
    assert len(place.got) == 1


@pytest.mark.parametrize("kind", DeliveryKind)
@pytest.mark.parametrize(("status", "word"), [(None, "timeout"), (0, "connection_lost")])
def test_silence_and_a_line_that_breaks_are_told_in_one_word_after_one_call(
    kind: DeliveryKind, status: int | None, word: str
) -> None:
    with serving() as place:
        place.status = status
        answered = tell(kind, place)

    assert answered == Answered(error=word)
    assert len(place.got) == 1


@pytest.mark.parametrize("kind", DeliveryKind)
def test_nobody_who_listens_is_no_success_and_no_exception(kind: DeliveryKind) -> None:
    answered = tell(kind, Place(port=free_base(1)))

    assert answered.status is None
    assert answered.error in {"connection_refused", "unreachable"}


def test_a_bus_gets_the_event_with_its_trace_and_the_whole_body() -> None:
    with serving() as place:
        tell(DeliveryKind.EVENTBRIDGE, place)

    [(_, sent)] = place.got
    job = a_job()
    assert json.loads(sent) == {
        "Entries": [
            {
                "EventBusName": "ends",
                "Source": "urn:longhaul:Test",
                "DetailType": "job.completed",
                "Detail": BODY,
                "Time": NOW.timestamp(),
                "Resources": [f"urn:longhaul:Test:{job.id}"],
                "TraceHeader": f"Root={job.trace.id}",
            }
        ]
    }


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}, "throttled"),
        ({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}, "service_failed"),
        (
            {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]},
            "access_denied",
        ),
        ({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "MalformedDetail"}]}, "refused"),
        ({"FailedEntryCount": 1, "Entries": [{}]}, "refused"),
        ({"FailedEntryCount": 0, "Entries": []}, "answer_unreadable"),
        ({}, "answer_unreadable"),
        ("<html>", "answer_unreadable"),
    ],
)
def test_a_bus_that_answers_200_and_took_nothing_is_no_success(answer: object, word: str) -> None:
    with serving() as place:
        place.answer = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        answered = tell(DeliveryKind.EVENTBRIDGE, place)

    assert answered == Answered(error=word)


def test_a_connection_gets_the_body_at_its_own_path() -> None:
    with serving() as place:
        tell(DeliveryKind.APIGATEWAY, place)

    assert place.got == [("/prod/@connections/L0SM9cOFvHcCIhw%3D", BODY.encode())]


def test_a_topic_is_the_users_own() -> None:
    with serving() as place:
        tell(DeliveryKind.IOT, place)

    [(path, sent)] = place.got
    job = a_job()
    topic = f"longhaul/{job.user}/jobs/{job.id}".replace("/", "%2F")
    assert path.startswith(f"/topics/{topic}?")
    assert "qos=1" in path
    assert sent == BODY.encode()
    properties = json.loads(base64.b64decode(place.headers[0]["x-amz-mqtt5-user-properties"]))
    assert properties == [
        {"event-id": f"{job.id}.1000002"},
        {"event-type": "job.completed"},
        {"trace-id": job.trace.id},
    ]
