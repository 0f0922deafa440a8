"""The outbox: bounded, never in the way, and whole frames only."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from web.background import spawn
from web.close_codes import CloseCode
from web.outbox import BATCH_BYTES, MAX_BYTES, MAX_FRAMES, Outbox
from web.wire import text_frame

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN_SECONDS = 30


@dataclass
class GatedWire:
    """web.wire.Wire whose writes wait for the gate."""

    gate: threading.Event = field(default_factory=threading.Event)
    writing: threading.Event = field(default_factory=threading.Event)
    writes: list[bytes] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    aborted: threading.Event = field(default_factory=threading.Event)
    peer_hangs_up: bool = True
    fault: OSError | None = None
    takes_at_once: bool = False

    def receive(self, timeout_seconds: float | None = None) -> str | bytes | None:
        raise AssertionError(timeout_seconds)

    def send(self, frames: bytes) -> None:
        self.writing.set()
        assert self.gate.wait(WITHIN_SECONDS)
        if self.fault is not None:
            raise self.fault
        self.writes.append(frames)

    def send_now(self, frames: bytes) -> bool:
        if self.takes_at_once:
            self.writes.append(frames)
        return self.takes_at_once

    def close(self, code: int, reason: str) -> None:
        assert reason
        self.closed.append(code)

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        return self.peer_hangs_up and timeout_seconds > 0

    def abort(self) -> None:
        self.aborted.set()


def test_a_frame_that_the_connection_takes_at_once_starts_no_writer() -> None:
    writers: list[object] = []
    wire = GatedWire(takes_at_once=True)
    outbox = Outbox(wire, writers.append)

    outbox.offer(b"one")
    outbox.offer(b"two")

    assert wire.writes == [b"one", b"two"]
    assert writers == []


def test_a_frame_does_not_overtake_those_that_wait() -> None:
    wire = GatedWire()
    writers: list[Callable[[], object]] = []
    outbox = Outbox(wire, writers.append)
    outbox.offer(b"one")
    wire.takes_at_once = True
    wire.gate.set()

    outbox.offer(b"two")
    [write] = writers
    write()

    assert wire.writes == [b"onetwo"]


def test_frames_that_others_follow_are_written_together() -> None:
    wire = GatedWire(takes_at_once=True)
    wire.gate.set()
    writers: list[Callable[[], object]] = []
    outbox = Outbox(wire, writers.append)

    outbox.offer(b"one", more=True)
    outbox.offer(b"two", more=True)
    [write] = writers
    write()

    assert wire.writes == [b"onetwo"]


def test_offering_never_waits_for_the_peer() -> None:
    wire = GatedWire()
    outbox = Outbox(wire, spawn)

    outbox.offer(b"one")
    assert wire.writing.wait(WITHIN_SECONDS)
    outbox.offer(b"two")
    outbox.offer(b"three")
    outbox.end(CloseCode.SERVICE_RESTART, "restarting")
    wire.gate.set()
    outbox.wait_until_ended()

    assert wire.writes == [b"one", b"twothree"]
    assert wire.closed == [1012]


@pytest.mark.parametrize(
    ("frame", "count"), [(b"x" * 1_000, MAX_BYTES // 1_000 + 1), (b"x", MAX_FRAMES + 1)]
)
def test_a_peer_that_falls_too_far_behind_is_closed_with_4408(frame: bytes, count: int) -> None:
    wire = GatedWire()
    outbox = Outbox(wire, spawn)
    outbox.offer(b"first")
    assert wire.writing.wait(WITHIN_SECONDS)

    for _ in range(count):
        outbox.offer(frame)
    outbox.end(CloseCode.SERVICE_RESTART, "too late to count")
    wire.gate.set()
    outbox.wait_until_ended()

    assert wire.writes == [b"first"]
    assert wire.closed == [4408]


def test_one_message_larger_than_the_bound_passes_when_nothing_waits() -> None:
    wire = GatedWire()
    wire.gate.set()
    outbox = Outbox(wire, lambda write: write())

    outbox.offer(b"x" * (MAX_BYTES + 1))

    assert [len(write) for write in wire.writes] == [MAX_BYTES + 1]


def test_writes_are_bundled_up_to_a_bound() -> None:
    wire = GatedWire()
    outbox = Outbox(wire, spawn)
    outbox.offer(b"first")
    assert wire.writing.wait(WITHIN_SECONDS)

    for _ in range(10):
        outbox.offer(b"x" * (BATCH_BYTES // 4))
    outbox.end(CloseCode.SERVICE_RESTART, "restarting")
    wire.gate.set()
    outbox.wait_until_ended()

    assert [len(write) for write in wire.writes[1:]] == [BATCH_BYTES, BATCH_BYTES, BATCH_BYTES // 2]


def test_who_waits_for_room_goes_on_when_half_is_free_or_all_is_over() -> None:
    wire = GatedWire()
    outbox = Outbox(wire, spawn)
    outbox.offer(b"first")
    assert wire.writing.wait(WITHIN_SECONDS)
    for _ in range(MAX_FRAMES // 2 + 1):
        outbox.offer(b"x")
    has_room = threading.Event()

    def wait() -> None:
        outbox.wait_for_room()
        has_room.set()

    waiter = threading.Thread(target=wait)
    waiter.start()

    assert not has_room.is_set()
    wire.gate.set()

    assert has_room.wait(WITHIN_SECONDS)
    waiter.join()


def test_a_wire_that_breaks_is_cut_and_everyone_is_let_go() -> None:
    wire = GatedWire(fault=BrokenPipeError())
    wire.gate.set()
    outbox = Outbox(wire, spawn)

    outbox.offer(b"one")

    outbox.wait_until_ended()
    outbox.wait_for_room()
    outbox.offer(b"two")
    outbox.end(CloseCode.SERVICE_RESTART, "restarting")
    assert wire.aborted.is_set()
    assert not wire.closed


def test_a_peer_that_does_not_answer_our_close_is_cut() -> None:
    wire = GatedWire(peer_hangs_up=False)
    outbox = Outbox(wire, spawn)

    outbox.end(CloseCode.UNAUTHENTICATED, "unauthenticated")
    outbox.wait_until_ended()

    assert (wire.closed, wire.aborted.is_set()) == ([4401], True)


@given(size=st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000]), text=st.text())
def test_a_frame_of_ours_is_what_a_client_reads(size: int, text: str) -> None:
    message = text + "é" * (size // 2) + "x" * (size % 2)
    client = Connection(ConnectionType.CLIENT)

    client.receive_data(text_frame(message))

    events = list(client.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert "".join(str(event.data) for event in events) == message  # type: ignore[attr-defined] # asserted above
