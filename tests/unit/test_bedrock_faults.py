from collections.abc import Mapping

import pytest

from deploy.local.bedrock.answer import Answer, StopReason
from deploy.local.bedrock.errors import BedrockError
from deploy.local.bedrock.faults import Faults, StreamFaults, read_faults, take_directives
from deploy.local.bedrock.ledger import Ledger
from deploy.local.bedrock.pace import Pace, schedule_answer
from deploy.local.bedrock.quota import Quota
from deploy.local.bedrock.request import Identity

_PACE = Pace(first_token_s=0.5, tokens_per_second=10)


def test_a_directive_is_taken_out_of_the_text() -> None:
    text, faults = take_directives("Tell me <<stand-in: throttle_first=2; tokens=50>>the tides.")

    assert text == "Tell me the tides."
    assert faults == Faults(throttle_first=2, tokens=50)


def test_a_text_without_a_directive_stays_as_it_is() -> None:
    assert take_directives(" a << b >> c ") == (" a << b >> c ", Faults())


def test_several_directives_add_up_and_the_last_wins() -> None:
    _, faults = take_directives("<<stand-in: tokens=1; stall_s=2>><<stand-in: tokens=3>>")

    assert faults == Faults(tokens=3, stall_s=2.0)


@pytest.mark.parametrize(
    ("directive", "key"),
    [
        ("<<stand-in: typo=1>>", "typo"),
        ("<<stand-in: tokens>>", "tokens"),
        ("<<stand-in: tokens=many>>", "tokens"),
        ("<<stand-in: tokens=0>>", "tokens"),
        ("<<stand-in: cut_after=-1>>", "cut_after"),
        ("<<stand-in: stall_s=nan>>", "stall_s"),
        ("<<stand-in: tokens_per_second=0>>", "tokens_per_second"),
        ("<<stand-in: error=oops>>", "error"),
        ("<<stand-in: error_first=1>>", "error_first"),
        ("<<stand-in: stream_error=NoSuchThing>>", "stream_error"),
        ("<<stand-in: tokens=1", "<<stand-in:"),
    ],
)
def test_a_bad_directive_is_refused_by_the_name_of_its_key(directive: str, key: str) -> None:
    with pytest.raises(BedrockError, match=key) as caught:
        take_directives(directive)

    assert caught.value.name == "ValidationException"


@pytest.mark.parametrize(
    "pairs", [{"tokens": True}, {"tokens": 1.5}, {"stall_s": []}, {"echo": ""}, {"error": None}]
)
def test_json_of_a_wrong_type_is_refused(pairs: Mapping[str, object]) -> None:
    with pytest.raises(BedrockError, match=next(iter(pairs))):
        read_faults(pairs)


def test_only_the_first_calls_of_a_job_are_refused() -> None:
    faults = Faults(throttle_first=2)

    assert _refusals(faults, calls=3) == ["ThrottlingException", "ThrottlingException", None]


def test_refusals_come_one_after_the_other() -> None:
    faults = Faults(
        throttle_first=1,
        internal_error_first=2,
        unavailable_first=3,
        error="ModelTimeoutException",
        error_first=4,
    )

    assert _refusals(faults, calls=5) == [
        "ThrottlingException",
        "InternalServerException",
        "ServiceUnavailableException",
        "ModelTimeoutException",
        None,
    ]


def test_an_error_without_a_count_refuses_every_call() -> None:
    refusals = _refusals(Faults(error="ModelNotReadyException"), calls=3)

    assert refusals == ["ModelNotReadyException"] * 3


def test_a_validation_error_comes_every_time_with_its_message() -> None:
    refusal = Faults(validation_error="no such thing").refusal(9)

    assert refusal is not None
    assert (refusal.name, refusal.message) == ("ValidationException", "no such thing")


def test_stream_faults_end_after_the_calls_they_are_meant_for() -> None:
    faults = Faults(cut_after=3, stream_faults_first=1)

    assert faults.in_stream(1) == StreamFaults(cut_after=3)
    assert faults.in_stream(2) == StreamFaults()


def test_a_job_s_own_faults_stand_over_those_of_every_job() -> None:
    merged = Faults(tokens=5).over(Faults(tokens=1, cut_after=2))

    assert merged == Faults(tokens=5, cut_after=2)


def test_tokens_come_evenly_at_the_pace() -> None:
    schedule = schedule_answer(_answer(tokens=5), _PACE, Faults())

    assert len(schedule.chunks) == 5
    assert schedule.first_token_s == 0.5
    assert schedule.interval_s == pytest.approx(0.1)
    assert schedule.lasts_s == pytest.approx(0.4)


def test_a_duration_sets_the_pace() -> None:
    schedule = schedule_answer(_answer(tokens=11), _PACE, Faults(duration_s=5, first_token_s=0))

    assert schedule.interval_s == pytest.approx(0.5)
    assert schedule.lasts_s == 5


def test_a_fast_answer_puts_several_tokens_in_a_chunk() -> None:
    schedule = schedule_answer(_answer(tokens=10), _PACE, Faults(tokens_per_second=1000))

    assert [len(chunk.split()) for chunk in schedule.chunks] == [5, 5]
    assert "".join(schedule.chunks) == _answer(tokens=10).text


def test_an_answer_without_tokens_has_no_chunks() -> None:
    schedule = schedule_answer(_answer(tokens=0), _PACE, Faults(duration_s=0))

    assert schedule.chunks == ()


def test_a_quota_admits_a_second_s_worth_at_once_and_then_its_rate() -> None:
    quota = Quota(2)

    admitted = [quota.admits(now=now) for now in (0.0, 0.0, 0.0, 0.5, 0.5)]

    assert admitted == [True, True, False, True, False]


def test_no_quota_admits_every_call() -> None:
    assert all(Quota().admits(now=0) for _ in range(100))


def test_the_ledger_numbers_the_calls_of_each_job() -> None:
    ledger = Ledger()

    numbers = [
        ledger.begin(Identity(job=job, attempt=None), operation="Converse", model="m", at=0).n
        for job in ("a", "a", "b", "a")
    ]

    assert numbers == [1, 2, 1, 3]


def test_the_first_outcome_of_a_call_stands() -> None:
    ledger = Ledger()
    call = ledger.begin(Identity(job="a", attempt=1), operation="Converse", model="m", at=0)

    ledger.end(call, "completed", at=1)
    ledger.end(call, "client_gone", at=2)

    assert (call.outcome, call.ended_at) == ("completed", 1)
    assert ledger.summary()["outcomes"] == {"completed": 1}


def test_the_ledger_forgets_the_oldest_calls() -> None:
    ledger = Ledger(most=2)
    for job in ("a", "b", "c"):
        ledger.begin(Identity(job=job, attempt=None), operation="Converse", model="m", at=0)

    assert [call.job for call in ledger.calls(None)] == ["b", "c"]


def _refusals(faults: Faults, *, calls: int) -> list[str | None]:
    refusals = (faults.refusal(number) for number in range(1, calls + 1))
    return [refusal.name if refusal else None for refusal in refusals]


def _answer(*, tokens: int) -> Answer:
    return Answer(
        tokens=tuple(f" {number}" for number in range(tokens)),
        stop_reason=StopReason.END_TURN,
        stop_sequence=None,
        input_tokens=1,
    )
