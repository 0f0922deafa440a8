"""Watching on a terminal: text that comes live, and what is told beside it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import longhaul_client as lh
from longhaul_client.cli.screen import Screen
from longhaul_client.cli.watch import watch
from tests.client_server import JOB_ID, Script, event_json, sent

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = lh.Retry(base_seconds=0, tries=2)
STARTED = event_json(1_000_001, "job.started")
DELTA = event_json(1_000_002, "job.delta", text="Hal")
COMPLETED = event_json(1_000_009, "job.completed")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(*answers: httpx.Response) -> tuple[int, str, str]:
    out, err = Terminal(), Terminal()
    screen = Screen(out, err, {"NO_COLOR": "1"})
    http = httpx.Client(transport=httpx.MockTransport(Script.of(*answers)))
    with lh.Longhaul("http://longhaul.test", http=http, retry=AT_ONCE) as client:
        status = watch(client, screen, JOB_ID, after=0, as_json=False)
    screen.close()
    return status, out.getvalue(), err.getvalue()


def test_text_that_became_void_is_said_to_be_and_comes_anew() -> None:
    retrying = event_json(1_000_003, "job.retrying", delay_s=3, error={"code": "c", "message": "m"})
    again = event_json(2_000_002, "job.delta", text="Whole")

    status, out, err = watched(
        sent(STARTED, DELTA, retrying, again, {**COMPLETED, "seq": 2_000_003})
    )

    assert (status, out) == (0, "HalWhole\n")
    assert "\nlonghaul: what stands above is void; the text begins anew\n" in err
    assert "longhaul: attempt 1 failed: c: m\n" in err
    assert "the next attempt begins in 3 s" in err


def test_after_a_gap_the_whole_text_is_shown_at_the_end() -> None:
    gap = event_json(1_000_003, "stream.gap", seq_from=1_000_003)
    end = {**COMPLETED, "result": {"text": "Whole"}}

    status, out, err = watched(sent(STARTED, DELTA, gap, end))

    assert (status, out) == (0, "HalWhole\n")
    assert "events are missing" in err


def test_the_parts_of_a_divided_job_are_a_bar() -> None:
    progress = event_json(1_000_002, "job.progress", done=3, total=4)

    status, out, err = watched(sent(progress, COMPLETED))

    assert (status, out) == (0, "")
    assert f"{JOB_ID} [##################......]  75% 3 of 4 parts" in err


def test_the_last_moving_line_is_taken_away() -> None:
    _, _, err = watched(sent(STARTED, COMPLETED))

    assert err.endswith("\r\x1b[2K")


@pytest.mark.parametrize("seen", [[], [STARTED]])
def test_an_interrupt_says_how_to_come_back(
    seen: Sequence[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(pieces: list[bytes]) -> Any:  # noqa: ANN401 - a generator
        yield from pieces
        raise KeyboardInterrupt

    stream = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    blocks = [f"data: {json.dumps(one)}\n\n".encode() for one in seen]
    monkeypatch.setattr(httpx.Response, "iter_bytes", lambda _: interrupted(blocks))
    err = io.StringIO()
    screen = Screen(io.StringIO(), err, {})

    with lh.Longhaul("http://longhaul.test", http=stream) as client:
        assert watch(client, screen, JOB_ID, after=0, as_json=False) == 130

    assert f"come back with: longhaul watch {JOB_ID}" in err.getvalue()
