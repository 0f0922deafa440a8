"""jobs.retry speaks ASL: real interpreters, fed with the same block and errors, wait the same.

Who is right where they differ is told by the specification, https://states-language.net/spec.html,
and by AWS's guide, https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
Each difference stands here as a test of its own, at the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asl import Refused, Run, run_ministack, run_moto, run_ours

if TYPE_CHECKING:
    from tests.asl import Reader

THROTTLED = "Bedrock.ThrottlingException"
TIMEOUT = "States.Timeout"
FULL = {"JitterStrategy": "FULL"}


class Story(NamedTuple):
    """One `Retry` block, a Task's errors, and what ASL makes of them."""

    retry: list[dict[str, object]]
    errors: list[str]
    waits: list[float]
    ended_with: str | None = None


def retrier(*names: str, **fields: object) -> dict[str, object]:
    return {"ErrorEquals": list(names), **fields}


# The specification's own example under "Complex retry scenarios".
A_OR_B_AND_C = [
    retrier("A", "B", IntervalSeconds=1, BackoffRate=2, MaxAttempts=2),
    retrier("C", IntervalSeconds=5),
]
BUT_TIMEOUTS = [retrier(TIMEOUT, MaxAttempts=0), retrier("States.ALL")]
FAILED_OR_TIMEOUT = [
    retrier("States.TaskFailed", IntervalSeconds=2),
    retrier(TIMEOUT, IntervalSeconds=7, MaxAttempts=1),
]
THE_PATTERNS = [retrier(THROTTLED, IntervalSeconds=3, MaxAttempts=4, BackoffRate=2.0)]

STORIES = {
    "no error": Story(THE_PATTERNS, [], []),
    "no retrier": Story([], ["A"], [], "A"),
    "one error, then success": Story(THE_PATTERNS, [THROTTLED], [3]),
    "the last retry succeeds": Story(THE_PATTERNS, [THROTTLED] * 4, [3, 6, 12, 24]),
    "retries used up": Story(THE_PATTERNS, [THROTTLED] * 5, [3, 6, 12, 24], THROTTLED),
    "ASL's defaults": Story([retrier("A")], ["A"] * 9, [1, 2, 4], "A"),
    "unmatched error": Story(
        THE_PATTERNS, ["Bedrock.ValidationException"], [], "Bedrock.ValidationException"
    ),
    "unmatched after a retry": Story(THE_PATTERNS, [THROTTLED, "A"], [3], "A"),
    "names match as a whole": Story([retrier("Bedrock.Throttling")], [THROTTLED], [], THROTTLED),
    "names match by case": Story([retrier("a")], ["A"], [], "A"),
    "rate 1.0": Story(
        [retrier("A", IntervalSeconds=5, BackoffRate=1.0)], ["A"] * 4, [5, 5, 5], "A"
    ),
    "rate 1.5": Story(
        [retrier("A", IntervalSeconds=2, BackoffRate=1.5, MaxAttempts=4)],
        ["A"] * 5,
        [2, 3, 4.5, 6.75],
        "A",
    ),
    "rate 10": Story([retrier("A", BackoffRate=10, MaxAttempts=2)], ["A"] * 2, [1, 10]),
    "no retry at all": Story([retrier("A", MaxAttempts=0)], ["A"], [], "A"),
    "no retry of one error": Story(BUT_TIMEOUTS, [TIMEOUT], [], TIMEOUT),
    "all the others": Story(BUT_TIMEOUTS, ["A", "B", "C", "D"], [1, 2, 4], "D"),
    "one timeout among others": Story(BUT_TIMEOUTS, ["A", "B", TIMEOUT], [1, 2], TIMEOUT),
    "the specification's example": Story(A_OR_B_AND_C, ["A", "B", "C", "B"], [1, 2, 5], "B"),
    "each counts its own": Story(A_OR_B_AND_C, list("CACBCC"), [5, 1, 10, 2, 20], "C"),
    "the first match decides alone": Story(
        [retrier("A", MaxAttempts=1), retrier("States.ALL", MaxAttempts=9)],
        ["B", "A", "A"],
        [1, 1],
        "A",
    ),
    "two retriers name one error": Story(
        [retrier("A", MaxAttempts=1, IntervalSeconds=7), retrier("A", "B")], ["A", "A"], [7], "A"
    ),
    "any failure, but no timeout": Story(
        [retrier("States.TaskFailed")], [THROTTLED, TIMEOUT], [1], TIMEOUT
    ),
    "failures and timeouts": Story(
        FAILED_OR_TIMEOUT, ["A", TIMEOUT, "B", TIMEOUT], [2, 7, 4], TIMEOUT
    ),
    "a timeout beside any failure": Story(
        [retrier("States.TaskFailed", TIMEOUT)], ["A", TIMEOUT], [1, 2]
    ),
    "all includes timeouts": Story([retrier("States.ALL")], [TIMEOUT, "A"], [1, 2]),
    "one retry of anything": Story([retrier("States.ALL", MaxAttempts=1)], ["A", "B"], [1], "B"),
    "a comment": Story([retrier("A", Comment="why")], ["A"], [1]),
}

CAPPED = {
    "the specification's example": Story(
        [retrier(TIMEOUT, IntervalSeconds=3, MaxAttempts=2, BackoffRate=2.0, MaxDelaySeconds=4)],
        [TIMEOUT] * 3,
        [3, 4],
        TIMEOUT,
    ),
    "every later wait": Story(
        [retrier("A", IntervalSeconds=3, MaxAttempts=5, MaxDelaySeconds=10)],
        ["A"] * 6,
        [3, 6, 10, 10, 10],
        "A",
    ),
    "never reached": Story([retrier("A", MaxDelaySeconds=31_622_399)], ["A"] * 3, [1, 2, 4]),
    "as long as the interval": Story(
        [retrier("A", IntervalSeconds=5, MaxDelaySeconds=5)], ["A"] * 2, [5, 5]
    ),
    "below the interval": Story(
        [retrier("A", IntervalSeconds=5, MaxDelaySeconds=2)], ["A"] * 2, [2, 2]
    ),
    "of one retrier alone": Story(
        [retrier("A", IntervalSeconds=8, MaxDelaySeconds=9), retrier("B", IntervalSeconds=8)],
        ["A", "B", "A", "B"],
        [8, 8, 9, 16],
    ),
    "with a rate of 1.5": Story(
        [retrier("A", IntervalSeconds=4, BackoffRate=1.5, MaxDelaySeconds=7)],
        ["A"] * 3,
        [4, 6, 7],
    ),
}

JITTERED = {
    "plain": Story([retrier("A", **FULL)], ["A"] * 4, [1, 2, 4], "A"),
    "capped before chance": Story(
        [retrier("A", IntervalSeconds=3, MaxDelaySeconds=4, **FULL)], ["A"] * 3, [3, 4, 4]
    ),
    "of one retrier alone": Story(
        [retrier("A", **FULL), retrier("B", IntervalSeconds=8, **FULL)], list("ABAB"), [1, 8, 2, 16]
    ),
}

every_reader = pytest.mark.parametrize("run", [run_ours, run_moto, run_ministack])
honours_every_field = pytest.mark.parametrize("run", [run_ours, run_moto])


def told(stories: dict[str, Story]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("story", stories.values(), ids=stories)


def check(run: Run, expected: Run) -> None:
    """Compare two runs; the policy's waits are rounded to a microsecond."""
    assert run.waits == pytest.approx(expected.waits, rel=1e-9, abs=1e-6)
    assert (run.calls, run.ended_with) == (expected.calls, expected.ended_with)


def as_told(story: Story, *, times: float = 1.0) -> Run:
    waits = tuple(wait * times for wait in story.waits)
    return Run(calls=len(waits) + 1, waits=waits, ended_with=story.ended_with)


@every_reader
@told(STORIES)
def test_the_same_errors_make_the_same_calls_at_the_same_distances(
    run: Reader, story: Story
) -> None:
    check(run(story.retry, story.errors), as_told(story))


@honours_every_field
@told(CAPPED)
def test_max_delay_seconds_caps_the_same_waits(run: Reader, story: Story) -> None:
    check(run(story.retry, story.errors), as_told(story))


@honours_every_field
@told(JITTERED)
@pytest.mark.parametrize("jitter", [0.0, 0.25, math.nextafter(1, 0)])
def test_full_jitter_shortens_each_wait_by_the_same_chance(
    run: Reader, story: Story, jitter: float
) -> None:
    check(run(story.retry, story.errors, jitter=jitter), as_told(story, times=jitter))


@honours_every_field
def test_jitter_none_leaves_nothing_to_chance(run: Reader) -> None:
    retry = [retrier("A", JitterStrategy="NONE")]

    assert run(retry, ["A"] * 2, jitter=0.0) == run(retry, ["A"] * 2, jitter=0.9)


@honours_every_field
@pytest.mark.parametrize(
    "retry",
    [
        {"ErrorEquals": ["A"]},
        "A",
        None,
        ["A"],
        [{}],
        [{"MaxAttempts": 1}],
        [retrier()],
        [{"ErrorEquals": "A"}],
        [{"ErrorEquals": ["A", 1]}],
        [retrier("A", IntervalSeconds=0)],
        [retrier("A", IntervalSeconds=-1)],
        [retrier("A", IntervalSeconds=1.5)],
        [retrier("A", IntervalSeconds="3")],
        [retrier("A", IntervalSeconds=100_000_000)],
        [retrier("A", MaxAttempts=-1)],
        [retrier("A", MaxAttempts=2.0)],
        [retrier("A", MaxAttempts=True)],
        [retrier("A", MaxAttempts=None)],
        [retrier("A", MaxAttempts=100_000_000)],
        [retrier("A", BackoffRate=0.99)],
        [retrier("A", BackoffRate=-2)],
        [retrier("A", BackoffRate="2.0")],
        [retrier("A", MaxDelaySeconds=0)],
        [retrier("A", MaxDelaySeconds=60.5)],
        [retrier("A", MaxDelaySeconds=31_622_402)],
        [retrier("A", JitterStrategy="full")],
        [retrier("A", JitterStrategy=None)],
        [retrier("A", Backoff=2.0)],
        [retrier("A"), retrier("B", maxAttempts=2)],
        [retrier("States.ALL", "A")],
    ],
    ids=str,
)
def test_the_same_malformed_blocks_are_refused(run: Reader, retry: object) -> None:
    with pytest.raises(Refused):
        run(retry, [])


names = st.sampled_from(["A", "B", THROTTLED, TIMEOUT, "States.TaskFailed"])
plain_fields = {
    "IntervalSeconds": st.integers(1, 3600),
    "MaxAttempts": st.integers(0, 4),
    "BackoffRate": st.sampled_from([1, 1.0, 1.5, 2, 2.0]) | st.floats(1, 4),
}
every_field = plain_fields | {
    "MaxDelaySeconds": st.integers(1, 20_000),
    "JitterStrategy": st.sampled_from(["NONE", "FULL"]),
}
sequences_of_errors = st.lists(names | st.just("C"), max_size=8)


@st.composite
def blocks(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]]) -> list[dict[str, object]]:
    """Draw a `Retry` block; `States.ALL`, if at all, alone in the last retrier."""
    some_names = st.lists(names, min_size=1, max_size=3)
    retriers = draw(
        st.lists(st.fixed_dictionaries({"ErrorEquals": some_names}, optional=fields), max_size=3)
    )
    for_all = st.fixed_dictionaries({"ErrorEquals": st.just(["States.ALL"])}, optional=fields)
    return [*retriers, *draw(st.lists(for_all, max_size=1))]


@settings(deadline=None, max_examples=60)
@given(retry=blocks(every_field), errors=sequences_of_errors, jitter=st.floats(0, 0.999))
def test_any_block_and_any_errors_run_as_in_moto(
    retry: list[dict[str, object]], errors: list[str], jitter: float
) -> None:
    check(run_ours(retry, errors, jitter=jitter), run_moto(retry, errors, jitter=jitter))


@settings(deadline=None)
@given(retry=blocks(plain_fields), errors=sequences_of_errors)
def test_any_block_and_any_errors_run_as_in_ministack_up_to_its_minute(
    retry: list[dict[str, object]], errors: list[str]
) -> None:
    ours = run_ours(retry, errors)

    within_a_minute = tuple(min(wait, 60) for wait in ours.waits)
    check(
        run_ministack(retry, errors),
        Run(calls=ours.calls, waits=within_a_minute, ended_with=ours.ended_with),
    )


# What an interpreter does differently, and who is right.


def test_ministack_knows_neither_max_delay_seconds_nor_jitter_and_waits_a_minute_at_most() -> None:
    """The specification has MaxDelaySeconds and JitterStrategy, and no such minute."""
    retry = [retrier("A", IntervalSeconds=20, MaxDelaySeconds=30, **FULL)]

    assert run_ours(retry, ["A"] * 3, jitter=0.1).waits == pytest.approx((2, 3, 3))
    assert run_ministack(retry, ["A"] * 3, jitter=0.1).waits == (20, 40, 60)


def test_moto_keeps_reserved_errors_from_states_task_failed() -> None:
    """AWS's guide: it "matches any known error name except for States.Timeout"."""
    retry, errors = [retrier("States.TaskFailed")], ["States.HeartbeatTimeout"]

    assert run_ours(retry, errors) == run_ministack(retry, errors)
    assert run_ours(retry, errors).ended_with is None
    assert run_moto(retry, errors).ended_with == "States.HeartbeatTimeout"


def test_moto_refuses_reserved_names_that_aws_has_added_since() -> None:
    """AWS's HTTP Tasks report States.Http.Socket; who moves such a block here may keep it."""
    retry = [retrier("States.Http.Socket"), retrier("A")]

    assert run_ours(retry, ["A"]).ended_with is None
    with pytest.raises(Refused):
        run_moto(retry, ["A"])


@pytest.mark.parametrize(
    "retry",
    [
        # The specification: it "MUST appear in the last Retrier".
        pytest.param([retrier("States.ALL"), retrier("A")], id="States.ALL before the last"),
        # AWS's guide: "greater than 0 and less than 31622400".
        pytest.param([retrier("A", MaxDelaySeconds=31_622_400)], id="a cap of a year"),
        # Ours alone: a rate of which one retry outgrows every cap is a slip of the keyboard.
        pytest.param([retrier("A", BackoffRate=100_000_000)], id="a rate without sense"),
    ],
)
def test_moto_takes_what_we_refuse(retry: object) -> None:
    assert run_moto(retry, []).calls == 1
    with pytest.raises(Refused):
        run_ours(retry, [])


def test_without_max_delay_seconds_moto_ends_a_second_after_our_year() -> None:
    """AWS: no limit but the longest run of a state machine, which is a year."""
    retry = [retrier("A", IntervalSeconds=99_999_999)]

    assert run_ours(retry, ["A"]).waits == (31_622_400,)
    assert run_moto(retry, ["A"]).waits == (31_622_401,)
