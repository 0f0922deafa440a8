"""Webhooks against a real receiver on loopback, which verifies by the reference library."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.clock import SystemClock
from adapters.public_http import CallFailed, PublicHttp
from adapters.webhooks import WebhookAnnouncer, read_retry_after
from jobs.delivery import Answered, Delivery
from jobs.events import terminal_event
from jobs.job import JobStatus
from jobs.receiver import DeliveryKind
from jobs.receiver import Receiver as Told
from tests.builders import NOW, a_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"type":"job.completed","data":{"text":"☕"}}'


class Receiver:
    """An HTTP server that keeps what it is sent; `respond` writes the answer."""

    def __init__(self, respond: Callable[[BaseHTTPRequestHandler], None] | None = None) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.append((self.path, dict(self.headers.items()), body))
                if respond is not None:
                    respond(self)
                else:
                    answer(self, 204)

            def log_message(self, *_: object) -> None:
                """Keep silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?tenant=7"


def answer(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@contextmanager
def running(
    respond: Callable[[BaseHTTPRequestHandler], None] | None = None,
) -> Iterator[Receiver]:
    with serving(Receiver(respond)) as receiver:
        yield receiver


@contextmanager
def serving(receiver: Receiver) -> Iterator[Receiver]:
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(5)


def announcer(*secrets: str, seconds: float = 5) -> WebhookAnnouncer:
    return WebhookAnnouncer(
        secrets=secrets or (SECRET,),
        http=PublicHttp(allow_loopback=True, seconds=seconds),
        clock=SystemClock(),
    )


def a_delivery(url: str) -> Delivery:
    event = terminal_event(a_job(status=JobStatus.COMPLETED, ended_at=NOW, seq=1_000_002))
    assert event is not None
    return Delivery.of(
        event, Told(kind=DeliveryKind.WEBHOOK, address=url), now=NOW, by="feed@test:1"
    )


def test_the_reference_library_accepts_what_is_sent() -> None:
    with running() as receiver:
        delivery = a_delivery(receiver.url)

        assert announcer().tell(delivery, BODY) == Answered(status=204)

    [(path, headers, body)] = receiver.calls
    assert path == "/hook?tenant=7"
    assert headers["webhook-id"] == delivery.id
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert Webhook(SECRET).verify(body, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


@pytest.mark.parametrize("known", [SECRET, OLD_SECRET])
def test_during_a_rotation_either_secret_verifies(known: str) -> None:
    with running() as receiver:
        announcer(SECRET, OLD_SECRET).tell(a_delivery(receiver.url), BODY)

    [(_, headers, body)] = receiver.calls
    assert len(headers["webhook-signature"].split(" ")) == 2
    Webhook(known).verify(body, headers)


def test_a_redirect_is_told_and_not_followed() -> None:
    with running() as other, running(lambda it: answer(it, 307, Location=other.url)) as receiver:
        assert announcer().tell(a_delivery(receiver.url), BODY) == Answered(status=307)

    assert other.calls == []


def test_retry_after_comes_with_the_status() -> None:
    with running(lambda it: answer(it, 503, Retry_After="120")) as receiver:
        answered = announcer().tell(a_delivery(receiver.url), BODY)

    assert answered == Answered(status=503, retry_after=timedelta(seconds=120))


def test_an_endless_body_does_not_hold_the_call() -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            try:
                handler.wfile.write(b"x" * 65536)
            except OSError:
                handler.close_connection = True
                return

    with running(pour) as receiver:
        assert announcer().tell(a_delivery(receiver.url), BODY) == Answered(status=200)


@pytest.mark.parametrize(
    ("head", "drop", "answered"),
    [
        (b"", b"H", Answered(error="timeout")),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n", Answered(error="timeout")),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", Answered(error="timeout")),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", Answered(status=200)),  # its status and headers came
    ],
    ids=["status", "headers", "header", "body"],
)
def test_a_receiver_that_drips_is_cut_off(head: bytes, drop: bytes, answered: Answered) -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        while not stop.wait(0.02):
            try:
                handler.wfile.write(drop)
                handler.wfile.flush()
            except OSError:
                break
        handler.close_connection = True

    with running(drip) as receiver:
        began = time.monotonic()
        told = announcer(seconds=0.3).tell(a_delivery(receiver.url), BODY)
        stop.set()

    assert told == answered
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 2"])
def test_a_receiver_that_dies_in_its_headers_has_not_answered(said: bytes) -> None:
    def die(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(said)
        handler.close_connection = True

    with running(die) as receiver:
        told = announcer().tell(a_delivery(receiver.url), BODY)

    assert told == Answered(error="connection_lost")


def test_a_receiver_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        assert announcer(seconds=0.2).tell(a_delivery(url), BODY) == Answered(error="timeout")


def test_what_is_not_http_is_unreadable() -> None:
    def babble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")
        handler.close_connection = True

    with running(babble) as receiver:
        answered = announcer().tell(a_delivery(receiver.url), BODY)

    assert answered == Answered(error="answer_unreadable")


def test_nobody_at_home_is_told_in_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    answered = announcer().tell(a_delivery(f"http://127.0.0.1:{port}/"), BODY)

    assert answered == Answered(error="connection_refused")


def test_https_against_plain_http_fails() -> None:
    with running() as receiver:
        url = receiver.url.replace("http:", "https:")

        assert announcer().tell(a_delivery(url), BODY).error == "tls_failed"


def certify(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a certificate that names `name` and is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@pytest.mark.parametrize(
    ("name", "is_trusted", "outcome"),
    [
        ("hooks.example", True, Answered(status=204)),
        ("other.example", True, Answered(error="certificate_refused")),
        ("hooks.example", False, Answered(error="certificate_refused")),
    ],
)
def test_tls_is_verified_for_the_name_of_the_url(
    name: str,
    is_trusted: bool,  # noqa: FBT001 - a parameter of the table above
    outcome: Answered,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pem, secret = certify(name, tmp_path)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, secret)
    receiver = Receiver()
    plain = receiver.server.socket
    receiver.server.socket = context.wrap_socket(plain, server_side=True)
    receiver.server.handle_error = lambda *_: None  # type: ignore[method-assign] # a refused handshake
    http = PublicHttp(allow_loopback=True, seconds=5, resolve=lambda *_: ["127.0.0.1"])
    calling = WebhookAnnouncer(secrets=(SECRET,), http=http, clock=SystemClock())

    with serving(receiver):
        answered = calling.tell(a_delivery(f"https://hooks.example:{receiver.port}/"), BODY)

    assert answered == outcome
    assert len(receiver.calls) == int(outcome.error is None)


def test_a_name_that_leads_inside_is_not_called() -> None:
    with running() as receiver:
        http = PublicHttp(allow_loopback=False, seconds=1, resolve=lambda *_: ["127.0.0.1"])
        with pytest.raises(CallFailed, match="address_refused"):
            http.post(f"http://innocent.example:{receiver.port}/", b"{}", {})

    assert receiver.calls == []


def test_one_closed_address_among_public_ones_is_enough_to_refuse() -> None:
    addresses = ["93.184.215.14", "10.0.0.1"]
    http = PublicHttp(allow_loopback=True, seconds=1, resolve=lambda *_: addresses)

    with pytest.raises(CallFailed, match="address_refused"):
        http.post("https://mixed.example/", b"{}", {})


def test_a_name_is_looked_up_once_so_that_nobody_can_rebind_it() -> None:
    looked_up: list[str] = []

    def rebind(host: str, _: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["169.254.169.254"]

    with running() as receiver:
        http = PublicHttp(allow_loopback=True, seconds=2, resolve=rebind)
        answered = http.post(f"http://rebinding.example:{receiver.port}/", b"{}", {})

    assert answered.status == 204
    assert looked_up == ["rebinding.example"]
    assert receiver.calls[0][1]["Host"] == f"rebinding.example:{receiver.port}"


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")

    with running() as receiver:
        assert announcer().tell(a_delivery(receiver.url), BODY).status == 204


def test_a_name_that_nobody_knows_is_told_in_a_word() -> None:
    def fail(host: str, _: int) -> list[str]:
        raise socket.gaierror(f"no {host}")

    with pytest.raises(CallFailed, match="name_not_found"):
        PublicHttp(allow_loopback=True, seconds=1, resolve=fail).post("https://x.invalid/", b"", {})


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("120", timedelta(seconds=120)),
        (" 7 ", timedelta(seconds=7)),
        ("9" * 50, timedelta(seconds=999_999_999)),
        ("Mon, 23 Nov 2026 04:40:00 GMT", timedelta(seconds=120)),
        ("Mon, 23 Nov 2026 04:00:00 GMT", timedelta(0)),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait: timedelta | None) -> None:
    assert read_retry_after(value, datetime(2026, 11, 23, 4, 38, tzinfo=UTC)) == wait
