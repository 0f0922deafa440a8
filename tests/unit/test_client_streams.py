"""Streams of the client: they come back by themselves, and the text stays right."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longhaul_client as lh
from longhaul_client.api import Api
from longhaul_client.blocking import run
from longhaul_client.endpoint import Endpoint
from longhaul_client.follow import Follower
from longhaul_client.sse import SentEvents
from longhaul_client.transport import BlockingTransport
from tests.client_server import JOB_ID, URL, Pieces, Script, event_json, problem, sent
from tests.client_ways import WAYS, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT_ONCE = lh.Retry(base_seconds=0, longest_asked_seconds=0, tries=4)
QUEUED = event_json(1, "job.queued")
STARTED = event_json(1_000_001, "job.started")
HALLO = event_json(1_000_002, "job.delta", text="Hal")
LO = event_json(1_000_003, "job.delta", text="lo\u2028!")
COMPLETED = event_json(1_000_004, "job.completed")

pytestmark = pytest.mark.parametrize("way", WAYS)


def followed(way: str, script: Script, after: int = 0) -> list[lh.Event]:
    with client_of(way, URL, "k" * 16, handler=script, retry=AT_ONCE) as client:
        return list(client.jobs.stream(JOB_ID, after=after))


def shown(changes: Sequence[lh.TextChange]) -> str:
    text = ""
    for change in changes:
        text = change.added if change.anew else text + change.added
    return text


def test_a_stream_ends_after_the_jobs_last_event(way: str) -> None:
    script = Script.of(sent(QUEUED, STARTED, HALLO, LO, COMPLETED))

    events = followed(way, script)

    assert [type(event) for event in events] == [
        lh.JobQueued,
        lh.JobStarted,
        lh.JobDelta,
        lh.JobDelta,
        lh.JobCompleted,
    ]
    assert len(script.requests) == 1


def test_a_stream_that_breaks_goes_on_where_it_was(way: str) -> None:
    script = Script.of(
        sent(QUEUED, STARTED, HALLO, breaks=True),
        httpx.ConnectError("refused (test)"),
        problem(503, "draining", Retry_After="1"),
        sent(),
        sent(HALLO, LO),
        sent(COMPLETED),
    )

    events = followed(way, script)

    assert [event.seq for event in events] == [1, 1_000_001, 1_000_002, 1_000_003, 1_000_004]
    assert [request.headers["Last-Event-ID"] for request in script.requests] == [
        "0",
        "1000002",
        "1000002",
        "1000002",
        "1000002",
        "1000003",
    ]


def test_who_has_seen_the_end_is_told_nothing_more(way: str) -> None:
    script = Script.of(httpx.Response(204))

    assert followed(way, script, after=1_000_004) == []
    assert script.requests[0].headers["Last-Event-ID"] == "1000004"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_stream_that_is_refused_is_not_asked_for_again(way: str, status: int) -> None:
    script = Script.of(sent(QUEUED, breaks=True), problem(status, "why"))

    with pytest.raises(lh.Problem):
        followed(way, script)

    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused (test)"), httpx.ReadError("broken (test)")],
    ids=["refused", "broken"],
)
def test_a_server_that_was_never_reached_is_given_up_after_some_tries(
    way: str, failure: Exception
) -> None:
    script = Script.of(failure)

    with pytest.raises(lh.Unreachable):
        followed(way, script)

    assert len(script.requests) == AT_ONCE.tries


def test_what_is_no_event_is_an_answer_of_something_else(way: str) -> None:
    script = Script.of(httpx.Response(200, content=b"data: {}\n\n"))

    with pytest.raises(lh.AnswerUnreadable):
        followed(way, script)


def test_events_of_a_kind_that_is_new_are_passed_on(way: str) -> None:
    new = event_json(1_000_002, "job.dreaming", sheep=3)

    told = followed(way, Script.of(sent(STARTED, new, COMPLETED)))

    assert (told[1].type, told[1].raw["sheep"]) == ("job.dreaming", 3)


def test_the_text_begins_anew_with_each_attempt(way: str) -> None:
    error = {"code": "model_throttled", "message": "m", "retryable": True}
    retrying = event_json(1_000_003, "job.retrying", delay_s=3, error=error)
    again = [
        event_json(2_000_001, "job.started"),
        event_json(2_000_002, "job.delta", text="Whole"),
        event_json(2_000_003, "job.completed"),
    ]
    script = Script.of(sent(QUEUED, STARTED, HALLO, retrying, *again))

    with client_of(way, URL, handler=script) as client:
        changes = list(client.jobs.text_stream(JOB_ID))

    assert changes == [
        lh.TextChange(added="Hal"),
        lh.TextChange(added="", anew=True),
        lh.TextChange(added="Whole"),
    ]


def test_after_a_gap_the_whole_text_comes_with_the_end(way: str) -> None:
    gap = event_json(1_000_003, "stream.gap", seq_from=1_000_003)
    end = event_json(1_000_009, "job.completed", result={"text": "Whole"})
    script = Script.of(sent(STARTED, HALLO, gap, end))

    with client_of(way, URL, handler=script) as client:
        assert shown(list(client.jobs.text_stream(JOB_ID))) == "Whole"


def test_a_long_text_is_fetched_where_the_end_says_it_is(way: str) -> None:
    end = event_json(1_000_009, "job.completed", result={"url": "/v1/there", "bytes": 5})
    elsewhere = httpx.Response(303, headers={"Location": "http://s3.test/r"})
    script = Script.of(sent(STARTED, HALLO, end), elsewhere, httpx.Response(200, text="Whole"))

    with client_of(way, URL, handler=script) as client:
        changes = list(client.jobs.text_stream(JOB_ID))

    assert shown(changes) == "Whole"
    assert changes[-1] == lh.TextChange(added="Whole", anew=True)


@pytest.mark.parametrize("kind", ["job.failed", "job.cancelled", "job.expired"])
def test_a_text_that_will_not_be_whole_says_so(way: str, kind: str) -> None:
    script = Script.of(sent(STARTED, HALLO, event_json(1_000_003, kind)))

    with (
        client_of(way, URL, handler=script) as client,
        pytest.raises(lh.JobNotCompleted, match=kind),
    ):
        list(client.jobs.text_stream(JOB_ID))


def test_who_leaves_early_closes_the_connection(way: str) -> None:
    pieces = Pieces([b"data: " + json.dumps(QUEUED).encode() + b"\n\n"] * 2, breaks=False)
    answer = httpx.Response(200, stream=pieces)

    with client_of(way, URL, handler=Script.of(answer)) as client:
        events = client.jobs.stream(JOB_ID)
        next(events)
        events.close()

        assert pieces.is_closed


@pytest.mark.parametrize(
    "answer",
    [
        sent,
        lambda: problem(503, "unavailable"),
    ],
    ids=["ends at once", "refuses"],
)
def test_a_server_that_is_there_and_tells_nothing_is_waited_for(
    way: str, answer: Callable[[], httpx.Response]
) -> None:
    away = [answer() for _ in range(3 * AT_ONCE.tries)]
    script = Script.of(*away, sent(QUEUED, COMPLETED))

    events = followed(way, script)

    assert [event.seq for event in events] == [1, 1_000_004]


def test_a_result_that_is_only_named_is_worth_the_patience_of_the_watch(way: str) -> None:
    named = event_json(1_000_004, "job.completed", result={"url": "/r", "bytes": 3})
    away = [problem(503, "unavailable") for _ in range(2 * AT_ONCE.tries)]
    script = Script.of(sent(QUEUED, named), *away, httpx.Response(200, text="Hi."))

    with client_of(way, URL, handler=script, retry=AT_ONCE) as client:
        changes = list(client.jobs.text_stream(JOB_ID))

    assert shown(changes) == "Hi."


@pytest.mark.parametrize(
    "answers",
    [
        (sent(QUEUED, breaks=True), httpx.ConnectError("refused (test)")),
        (problem(503, "unavailable"),),
    ],
    ids=["heard", "only answered"],
)
def test_patience_ends_a_while_after_the_last_sign_of_life(
    way: str, answers: Sequence[httpx.Response | Exception]
) -> None:
    del way  # the core alone, under a clock of its own
    now = iter(range(0, 10_000, 100))
    script = Script.of(*answers)
    api = Api(
        endpoint=Endpoint(url=URL, key=None),
        transport=BlockingTransport(httpx.Client(transport=httpx.MockTransport(script))),
        retry=AT_ONCE,
        clock=lambda: float(next(now)),
    )

    async def follow() -> None:
        async for _ in Follower(api, "/v1/jobs/x/events", 0).events():
            pass

    with pytest.raises((lh.NotConnected, lh.Unavailable)):
        run(follow())

    assert len(script.requests) == 4  # at 100, 200, 300 and 400 s, with a patience of 300 s


@given(
    st.lists(st.integers(min_value=0, max_value=200), max_size=20),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_messages_are_the_same_however_their_bytes_come(
    way: str, cuts: list[int], end: str
) -> None:
    del way
    lines = [
        ": hi",
        "data: a\u2028b é",
        "data:c",
        "id: 7",
        "",
        "retry: 5",
        "",
        "data",
        "",
        "data: x",
    ]
    content = (end.join([*lines, "", ""])).encode() + (b" " if end == "\r" else b"")
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    reader = SentEvents()

    messages = [
        data for start, stop in pairwise(places) for data in reader.feed(content[start:stop])
    ]

    assert messages == ["a\u2028b é\nc", "", "x"]
    assert reader.heard == 4
