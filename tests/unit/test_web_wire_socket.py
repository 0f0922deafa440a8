"""The connection's socket: whole frames in order, at once where the peer reads, never halves."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from web.wire_socket import WireSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

MUCH = 4 * 1024 * 1024


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


def greeted(ours: socket.socket, theirs: socket.socket) -> WireSocket:
    sock = WireSocket(ours, headers={})
    sock.send(b"hello")
    assert theirs.recv(100) == b"hello"
    return sock


def read(theirs: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        found += theirs.recv(64 * 1024)
    return bytes(found)


def test_what_the_peer_has_room_for_is_written_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sock = greeted(*pair)

    assert sock.send_now(b"frame")

    assert pair[1].recv(100) == b"frame"


def test_nothing_is_written_at_once_before_the_handshake_is_answered(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sock = WireSocket(pair[0], headers={})

    assert not sock.send_now(b"frame")

    sock.send(b"hello")
    assert pair[1].recv(100) == b"hello"


def test_a_frame_of_which_a_part_was_written_goes_out_whole_and_first(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sock = greeted(*pair)
    frame = bytes(range(256)) * (MUCH // 256)

    assert sock.send_now(frame)
    assert not sock.send_now(b"later")

    assert read(pair[1], MUCH) == frame
    sock.send(b"last")
    assert read(pair[1], 4) == b"last"


def test_after_a_failure_nothing_is_written_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sock = greeted(*pair)

    sock.abort()

    assert not sock.send_now(b"frame")
    with pytest.raises(BrokenPipeError):
        sock.send(b"frame")


def test_under_tls_nothing_bypasses_the_encryption(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    context = ssl.create_default_context()
    wrapped = context.wrap_socket(pair[0], do_handshake_on_connect=False, server_hostname="x")
    with wrapped:
        sock = WireSocket(wrapped, headers={})
        sock._has_greeted = True  # noqa: SLF001 - its handshake would need a peer

        assert not sock.send_now(b"secret")
