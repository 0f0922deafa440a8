import json
import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import Misconfigured, ModelError
from jobs.retry import (
    DEFAULT_POLICY,
    GiveUp,
    JitterStrategy,
    Retrier,
    RetryAfter,
    RetryPolicy,
)
from tests.builders import rejected, throttled

# The pattern's own block, as it stands in a state machine.
PATTERNS_BLOCK = """
[{
    "ErrorEquals": [
        "Bedrock.ThrottlingException",
        "Bedrock.ModelNotReadyException",
        "Bedrock.ServiceUnavailableException",
        "Bedrock.InternalServerException",
        "Bedrock.ModelStreamErrorException"
    ],
    "IntervalSeconds": 3,
    "MaxAttempts": 4,
    "BackoffRate": 2.0
}]
"""


def an_error(name: str) -> ModelError:
    return ModelError("no", name=name, error_code="model_error", retryable=True)


def a_policy(*retriers: Retrier) -> RetryPolicy:
    return RetryPolicy(retriers=retriers)


def seconds_of_each_retry(policy: RetryPolicy, error: ModelError) -> list[float]:
    delays: list[float] = []
    counts: tuple[int, ...] = ()
    while isinstance(decision := policy.after(error, counts=counts, jitter=0.5), RetryAfter):
        delays.append(decision.delay.total_seconds())
        counts = decision.counts
    return delays


def test_the_default_policy_waits_3_6_12_and_24_seconds_and_gives_up() -> None:
    assert seconds_of_each_retry(DEFAULT_POLICY, throttled()) == [3, 6, 12, 24]


def test_four_retries_cost_five_calls_at_most() -> None:
    assert DEFAULT_POLICY.max_calls == 5


def test_the_most_calls_count_every_retriers_retries() -> None:
    policy = a_policy(
        Retrier(error_equals=("A",), max_attempts=2), Retrier(error_equals=("B",), max_attempts=3)
    )

    assert policy.max_calls == 6


def test_a_policy_without_retriers_gives_up_at_once() -> None:
    assert RetryPolicy.from_asl([]).max_calls == 1
    assert isinstance(RetryPolicy.from_asl([]).after(throttled(), counts=(), jitter=0.0), GiveUp)


def test_an_error_that_no_retrier_names_is_not_retried() -> None:
    decision = DEFAULT_POLICY.after(rejected(), counts=(), jitter=0.0)

    assert decision == GiveUp(reason="Bedrock.ValidationException: no retrier names it")


def test_max_attempts_of_zero_means_never_retry() -> None:
    policy = a_policy(
        Retrier(error_equals=("A",), max_attempts=0), Retrier(error_equals=("States.ALL",))
    )

    assert isinstance(policy.after(an_error("A"), counts=(), jitter=0.0), GiveUp)
    assert isinstance(policy.after(an_error("B"), counts=(), jitter=0.0), RetryAfter)


def test_the_first_retrier_that_matches_decides_alone() -> None:
    policy = a_policy(
        Retrier(error_equals=("A",), max_attempts=1, interval=timedelta(seconds=7)),
        Retrier(error_equals=("A", "B"), max_attempts=9),
    )

    assert seconds_of_each_retry(policy, an_error("A")) == [7]


def test_each_retrier_counts_its_own_retries() -> None:
    policy = a_policy(
        Retrier(error_equals=("A",), max_attempts=2, interval=timedelta(seconds=10)),
        Retrier(error_equals=("B",), max_attempts=2, interval=timedelta(seconds=1)),
    )

    first = policy.after(an_error("A"), counts=(), jitter=0.0)
    assert first == RetryAfter(delay=timedelta(seconds=10), counts=(1, 0))
    second = policy.after(an_error("B"), counts=first.counts, jitter=0.0)
    assert second == RetryAfter(delay=timedelta(seconds=1), counts=(1, 1))
    third = policy.after(an_error("A"), counts=second.counts, jitter=0.0)
    assert third == RetryAfter(delay=timedelta(seconds=20), counts=(2, 1))
    assert isinstance(policy.after(an_error("A"), counts=third.counts, jitter=0.0), GiveUp)


def test_counts_of_a_policy_that_has_since_shrunk_do_no_harm() -> None:
    policy = a_policy(Retrier(error_equals=("A",)))

    decision = policy.after(an_error("A"), counts=(1, 5, 5), jitter=0.0)

    assert isinstance(decision, RetryAfter)
    assert decision.counts[0] == 2


def test_states_all_matches_every_error() -> None:
    retrier = Retrier(error_equals=("States.ALL",))

    assert retrier.matches("States.Timeout")
    assert retrier.matches("Longhaul.ConnectionLost")


def test_states_task_failed_matches_every_error_but_a_timeout() -> None:
    retrier = Retrier(error_equals=("States.TaskFailed",))

    assert retrier.matches("Bedrock.ThrottlingException")
    assert not retrier.matches("States.Timeout")


def test_a_timeout_that_is_named_beside_states_task_failed_matches() -> None:
    assert Retrier(error_equals=("States.TaskFailed", "States.Timeout")).matches("States.Timeout")


def test_an_error_name_matches_as_a_whole_and_not_as_a_part() -> None:
    retrier = Retrier(error_equals=("Bedrock.Throttling",))

    assert not retrier.matches("Bedrock.ThrottlingException")
    assert not retrier.matches("bedrock.throttling")


def test_max_delay_seconds_caps_every_delay() -> None:
    policy = a_policy(
        Retrier(
            error_equals=("A",),
            interval=timedelta(seconds=3),
            max_attempts=5,
            max_delay=timedelta(seconds=10),
        )
    )

    assert seconds_of_each_retry(policy, an_error("A")) == [3, 6, 10, 10, 10]


def test_a_max_delay_below_the_interval_caps_the_first_delay_too() -> None:
    policy = RetryPolicy.from_asl(
        [{"ErrorEquals": ["A"], "IntervalSeconds": 5, "MaxDelaySeconds": 2, "MaxAttempts": 2}]
    )

    assert seconds_of_each_retry(policy, an_error("A")) == [2, 2]


def test_a_backoff_rate_of_one_keeps_the_delay() -> None:
    policy = a_policy(Retrier(error_equals=("A",), max_attempts=3, backoff_rate=1.0))

    assert seconds_of_each_retry(policy, an_error("A")) == [1, 1, 1]


@settings(deadline=None)
@given(retry=st.integers(1, 40), jitter=st.floats(0, 1, exclude_max=True))
def test_full_jitter_stays_between_nothing_and_the_delay(retry: int, jitter: float) -> None:
    plain = Retrier(error_equals=("A",), max_delay=timedelta(hours=1))
    full = Retrier(error_equals=("A",), max_delay=timedelta(hours=1), jitter=JitterStrategy.FULL)

    delay = full.delay(retry, jitter=jitter)

    assert timedelta(0) <= delay <= plain.delay(retry, jitter=jitter)
    assert delay == plain.delay(retry, jitter=0.0) * jitter


def test_without_jitter_chance_changes_nothing() -> None:
    retrier = Retrier(error_equals=("A",))

    assert retrier.delay(2, jitter=0.0) == retrier.delay(2, jitter=0.999)


@settings(deadline=None)
@given(
    retry=st.integers(1, 99_999_999),
    rate=st.floats(1, 99_999_999),
    interval=st.integers(1, 99_999_999),
)
def test_huge_exponents_do_not_overflow(retry: int, rate: float, interval: int) -> None:
    retrier = Retrier(error_equals=("A",), interval=timedelta(seconds=interval), backoff_rate=rate)

    assert timedelta(0) < retrier.delay(retry, jitter=0.5) <= timedelta(days=366)


@settings(deadline=None)
@given(
    rate=st.floats(1, 1000),
    interval=st.integers(1, 3600),
    retries=st.lists(st.integers(1, 1000), min_size=2, max_size=2),
)
def test_a_later_retry_never_waits_less(rate: float, interval: int, retries: list[int]) -> None:
    retrier = Retrier(error_equals=("A",), interval=timedelta(seconds=interval), backoff_rate=rate)

    assert retrier.delay(min(retries), jitter=0.0) <= retrier.delay(max(retries), jitter=0.0)


def test_the_patterns_own_block_is_the_default_policy() -> None:
    assert RetryPolicy.from_asl(json.loads(PATTERNS_BLOCK)) == DEFAULT_POLICY


def test_a_retrier_that_names_errors_alone_gets_asls_defaults() -> None:
    policy = RetryPolicy.from_asl([{"ErrorEquals": ["A"]}])

    assert policy == a_policy(
        Retrier(
            error_equals=("A",),
            interval=timedelta(seconds=1),
            max_attempts=3,
            backoff_rate=2.0,
            max_delay=None,
            jitter=JitterStrategy.NONE,
        )
    )


def test_every_field_of_asls_retrier_is_read() -> None:
    policy = RetryPolicy.from_asl(
        [
            {
                "Comment": "as slow as can be",
                "ErrorEquals": ["A", "B"],
                "IntervalSeconds": 5,
                "MaxAttempts": 0,
                "BackoffRate": 1,
                "MaxDelaySeconds": 31_622_399,
                "JitterStrategy": "FULL",
            }
        ]
    )

    assert policy == a_policy(
        Retrier(
            error_equals=("A", "B"),
            interval=timedelta(seconds=5),
            max_attempts=0,
            backoff_rate=1.0,
            max_delay=timedelta(seconds=31_622_399),
            jitter=JitterStrategy.FULL,
        )
    )


def test_bedrock_runtimes_names_mean_bedrocks() -> None:
    policy = RetryPolicy.from_asl([{"ErrorEquals": ["BedrockRuntime.ThrottlingException"]}])

    assert isinstance(policy.after(throttled(), counts=(), jitter=0.0), RetryAfter)


@pytest.mark.parametrize("retry", [None, {}, "[]", 4, {"ErrorEquals": ["A"]}])
def test_a_policy_that_is_no_list_is_refused(retry: object) -> None:
    with pytest.raises(Misconfigured, match="must be a JSON list"):
        RetryPolicy.from_asl(retry)


@pytest.mark.parametrize("entry", [None, [], "A", 4, ["ErrorEquals"]])
def test_an_entry_that_is_no_object_is_refused(entry: object) -> None:
    with pytest.raises(Misconfigured, match=r"Retry\[1\] must be a JSON object"):
        RetryPolicy.from_asl([{"ErrorEquals": ["A"]}, entry])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ErrorEquals", None),
        ("ErrorEquals", []),
        ("ErrorEquals", "States.ALL"),
        ("ErrorEquals", {"A": 1}),
        ("ErrorEquals", ["A", 1]),
        ("ErrorEquals", ["A", None]),
        ("IntervalSeconds", 0),
        ("IntervalSeconds", -1),
        ("IntervalSeconds", 1.5),
        ("IntervalSeconds", "3"),
        ("IntervalSeconds", True),
        ("IntervalSeconds", None),
        ("IntervalSeconds", math.inf),
        ("IntervalSeconds", 100_000_000),
        ("MaxAttempts", -1),
        ("MaxAttempts", 2.0),
        ("MaxAttempts", False),
        ("MaxAttempts", "4"),
        ("MaxAttempts", [4]),
        ("MaxAttempts", math.nan),
        ("MaxAttempts", 100_000_000),
        pytest.param("MaxAttempts", 10**400, id="MaxAttempts-beyond-float"),
        ("BackoffRate", 0.99),
        ("BackoffRate", 0),
        ("BackoffRate", -2.0),
        ("BackoffRate", math.nan),
        ("BackoffRate", math.inf),
        ("BackoffRate", -math.inf),
        ("BackoffRate", "2.0"),
        ("BackoffRate", True),
        pytest.param("BackoffRate", 10**400, id="BackoffRate-beyond-float"),
        ("MaxDelaySeconds", 0),
        ("MaxDelaySeconds", -5),
        ("MaxDelaySeconds", 31_622_400),
        ("MaxDelaySeconds", 60.5),
        ("MaxDelaySeconds", "60"),
        ("MaxDelaySeconds", True),
        ("JitterStrategy", "full"),
        ("JitterStrategy", ""),
        ("JitterStrategy", None),
        ("JitterStrategy", 1),
        ("JitterStrategy", ["FULL"]),
        ("JitterStrategy", {}),
        ("Backoff", 2.0),
        ("errorEquals", ["A"]),
    ],
)
def test_a_malformed_retrier_is_refused_and_its_field_named(field: str, value: object) -> None:
    entry = {"ErrorEquals": ["A"]} | {field: value}

    with pytest.raises(Misconfigured, match=rf"^Retry\[0\]\.{field}\b"):
        RetryPolicy.from_asl([entry])


@pytest.mark.parametrize(
    "retry",
    [
        [{"ErrorEquals": ["States.ALL", "A"]}],
        [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}],
    ],
)
def test_states_all_must_stand_alone_in_the_last_entry(retry: object) -> None:
    with pytest.raises(Misconfigured, match=r"^Retry\[0\]\.ErrorEquals: States\.ALL must stand"):
        RetryPolicy.from_asl(retry)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
retrier_like = st.fixed_dictionaries(
    {},
    optional={
        "ErrorEquals": st.just(["A"]) | json_values,
        "IntervalSeconds": json_values,
        "MaxAttempts": json_values,
        "BackoffRate": json_values,
        "MaxDelaySeconds": json_values,
        "JitterStrategy": json_values,
    },
)


@settings(deadline=None)
@given(retry=json_values | st.lists(retrier_like, max_size=3))
def test_whatever_json_stands_there_is_a_policy_or_misconfigured(retry: object) -> None:
    try:
        policy = RetryPolicy.from_asl(retry)
    except Misconfigured:
        return
    assert policy.max_calls >= 1
