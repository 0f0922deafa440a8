"""Bodies read all in one thread: through urllib3's own pool, from real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from adapters.bodies import Bodies, socket_under
from tests.certificates import write_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"
LONG = 20.0
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
BODIES = Bodies()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HELLO = chunk(b"Hel") + chunk(b"lo") + LAST


class Server:
    """Answers each request with the next of its answers, and counts connections.

    An answer is pieces of bytes, and what is called between them; one that is None hangs up.
    """

    def __init__(self, *answers: list[bytes | Callable[[], object] | None]) -> None:
        self._answers = list(answers)
        self._listening = socket.create_server((HOST, 0))
        self.context: ssl.SSLContext | None = None
        self.connections = 0
        self.gone = threading.Event()
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        """Serve one connection after the other until there are no more answers."""
        while self._answers:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with ExitStack() as stack:
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
                while self._answers and _request_came(connection):
                    if not self._answer(connection):
                        break

    def close(self) -> None:
        """Stop accepting."""
        self._listening.close()

    def _answer(self, connection: socket.socket) -> bool:
        for piece in self._answers.pop(0):
            if piece is None:
                return False
            if callable(piece):
                piece()
                continue
            try:
                connection.sendall(piece)
            except OSError:
                self.gone.set()
                return False
        return True


def _request_came(connection: socket.socket) -> bool:
    came = b""
    while not came.endswith(b"\r\n\r\n"):
        try:
            read = connection.recv(65_536)
        except OSError:
            return False
        if not read:
            return False
        came += read
    return True


@contextmanager
def serving(*answers: Any, certificate: Path | None = None) -> Iterator[Asking]:  # noqa: ANN401 - a Server's
    """Serve these answers, and give who asks for them."""
    server = Server(*answers)
    options: dict[str, Any] = {}
    if certificate is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate)
        options["ca_certs"] = str(certificate)
    scheme = "http" if certificate is None else "https"
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pool = urllib3.connection_from_url(
        f"{scheme}://{HOST}:{server.port}", maxsize=1, block=True, timeout=LONG, **options
    )
    with pool:
        yield Asking(server, pool)
    server.close()


class Asking:
    """Asks a server, and reads what it answers."""

    def __init__(self, server: Server, pool: urllib3.HTTPConnectionPool) -> None:
        self.server = server
        self.pool = pool

    def ask(self) -> Any:  # noqa: ANN401 - urllib3's response
        return self.pool.urlopen("GET", "/", preload_content=False, retries=False)

    def hand_on(self, take: Callable[[bytes], object]) -> None:
        with self.ask() as response:
            BODIES.read(response, take)

    def read(self) -> bytes:
        pieces: list[bytes] = []
        self.hand_on(pieces.append)
        return b"".join(pieces)


@pytest.mark.parametrize(
    "answer",
    [
        [CHUNKED + HELLO],
        [CHUNKED, HELLO],
        [CHUNKED + HELLO[:4], HELLO[4:7], HELLO[7:]],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"Hel", b"lo"],
        [b"HTTP/1.1 200 OK\r\n\r\nHel", b"lo", None],
        [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nHello", None],
    ],
)
def test_a_body_comes_whole_however_its_end_is_known(answer: list[bytes | None]) -> None:
    with serving(answer) as asking:
        assert asking.read() == b"Hello"


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, len(CHUNKED + HELLO)), max_size=6))
def test_a_body_comes_whole_however_its_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CHUNKED + HELLO)]
    with serving([(CHUNKED + HELLO)[start:end] for start, end in pairwise(places)]) as asking:
        assert asking.read() == b"Hello"


def test_a_connection_that_has_more_to_give_is_used_again() -> None:
    with serving([CHUNKED, HELLO], [CHUNKED, HELLO]) as asking:
        assert [asking.read(), asking.read()] == [b"Hello"] * 2
        assert asking.server.connections == 1


def test_a_connection_that_ends_with_its_body_is_not_used_again() -> None:
    closing = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nHello", None]
    with serving(closing, closing) as asking:
        assert [asking.read(), asking.read()] == [b"Hello"] * 2
        assert asking.server.connections == 2


def test_pieces_come_as_they_are_sent_and_all_in_one_thread() -> None:
    came: list[threading.Event] = [threading.Event() for _ in range(2)]
    threads: list[str] = []

    def take(piece: bytes) -> None:
        threads.append(threading.current_thread().name)
        came[int(piece)].set()

    wait: Callable[[int], Callable[[], object]] = lambda number: lambda: came[number].wait(LONG)  # noqa: E731 - of a piece
    answer = [CHUNKED + chunk(b"0"), wait(0), chunk(b"1"), wait(1), LAST]
    with serving(answer) as asking:
        asking.hand_on(take)

    assert threads == ["bodies"] * 2


def test_many_bodies_are_read_at_once() -> None:
    together = threading.Barrier(20)
    # each server holds back its last word until all bodies have begun
    answers = [CHUNKED + chunk(b"Hel"), lambda: together.wait(LONG), chunk(b"lo") + LAST]
    with ExitStack() as stack, ThreadPoolExecutor(20) as readers:
        askings = [stack.enter_context(serving(answers)) for _ in range(20)]
        assert list(readers.map(Asking.read, askings)) == [b"Hello"] * 20


@pytest.mark.parametrize(
    "rest",
    [
        [None],
        [b"5\r\nlo", None],
        [chunk(b"lo"), None],
        [b"no chunk\r\n"],
        [b"5\r\nlo\r\n0\r\n\r\n garbage"],
    ],
)
def test_a_body_that_breaks_off_gives_what_came_of_it(rest: list[bytes | None]) -> None:
    pieces: list[bytes] = []

    with serving([CHUNKED + chunk(b"Hel"), *rest]) as asking, pytest.raises(ProtocolError):
        asking.hand_on(pieces.append)

    assert b"".join(pieces).startswith(b"Hel")


def test_a_body_that_stops_coming_is_a_time_out() -> None:
    ended = threading.Event()
    with serving([CHUNKED + chunk(b"Hel"), lambda: ended.wait(LONG)]) as asking:
        asking.pool.timeout = urllib3.Timeout(0.2)
        pieces: list[bytes] = []
        with pytest.raises(ReadTimeoutError):
            asking.hand_on(pieces.append)
        ended.set()

    assert pieces == [b"Hel"]


def test_a_body_that_comes_slowly_is_none() -> None:
    slow = threading.Event()  # is never set: 0.05 s between two pieces
    pause: Callable[[], object] = lambda: slow.wait(0.05)  # noqa: E731 - of two pieces
    answer: list[bytes | Callable[[], object]] = [CHUNKED]
    for _ in range(10):
        answer += [chunk(b"a"), pause]
    with serving([*answer, LAST]) as asking:
        asking.pool.timeout = urllib3.Timeout(0.3)
        assert asking.read() == b"a" * 10


def test_what_the_taker_raises_ends_its_body_and_no_other() -> None:
    class Ours(Exception):
        """The taker's own."""

    def refuse(_: bytes) -> None:
        raise Ours

    with serving([CHUNKED, HELLO]) as asking, serving([CHUNKED, HELLO]) as other:
        with pytest.raises(Ours):
            asking.hand_on(refuse)
        assert other.read() == b"Hello"


def test_shutting_the_socket_wakes_who_waits_for_the_body() -> None:
    never = threading.Event()
    with serving([CHUNKED + chunk(b"Hel"), lambda: never.wait(LONG)]) as asking:
        with asking.ask() as response:
            under = socket_under(response)
            shut = threading.Thread(target=under.shutdown, args=(socket.SHUT_RDWR,))
            with pytest.raises(ProtocolError):
                BODIES.read(response, lambda _: shut.start())
        never.set()


def test_a_response_that_has_gone_has_broken_off() -> None:
    with serving([CHUNKED + HELLO]) as asking:
        response = asking.ask()
        response.close()

        with pytest.raises(ProtocolError):
            BODIES.read(response, lambda _: None)


def test_a_body_behind_tls_comes_whole(tmp_path: Path) -> None:
    large = [chunk(bytes([number]) * 30_000) for number in range(40)]
    with serving(
        [CHUNKED, b"".join(large) + LAST],
        [CHUNKED + chunk(b"Hel"), chunk(b"lo"), LAST],
        [CHUNKED + chunk(b"Hel"), None],
        certificate=write_certificate(tmp_path),
    ) as asking:
        assert asking.read() == b"".join(bytes([number]) * 30_000 for number in range(40))
        assert asking.read() == b"Hello"
        assert asking.server.connections == 1
        with pytest.raises(ProtocolError):
            asking.read()


def test_what_is_no_socket_is_read_where_it_is_asked_for() -> None:
    threads: list[str] = []

    class Tunnel:
        """TLS within a proxy's TLS."""

    class Response:
        """What urllib3 gives then, as far as it is looked at."""

        class _fp:  # noqa: N801 - its name
            class fp:  # noqa: N801 - its name
                class raw:  # noqa: N801 - its name
                    _sock = Tunnel()

        def stream(self) -> Iterator[bytes]:
            yield b"Hello"

    response: Any = Response()
    BODIES.read(response, lambda _: threads.append(threading.current_thread().name))

    assert threads == [threading.current_thread().name]
