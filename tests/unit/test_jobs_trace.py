from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.trace import Trace, TraceId
from tests.builders import NOW

ROOT = "1-6922915b-0123456789abcdef01234567"
NOTHING = "Root=1-00000000-000000000000000000000000"
SPAN = "53995c3f42cd8ad8"
W3C = "6922915b0123456789abcdef01234567"


def hex_of(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits)


traces = st.builds(
    lambda epoch, unique, parent, sampled: Trace(
        id=TraceId(f"1-{epoch}-{unique}"), parent=parent, sampled=sampled
    ),
    hex_of(8),
    hex_of(24),
    st.none() | hex_of(16),
    st.none() | st.booleans(),
)


@pytest.mark.parametrize(
    "header",
    [
        f"Root={ROOT};Parent={SPAN};Sampled=1",
        f"Sampled=1;Parent={SPAN};Root={ROOT}",
        f"Self=1-67891234-12456789abcdef0123456789;Root={ROOT};Parent={SPAN};Sampled=1",
        f"Root={ROOT};Parent={SPAN};Sampled=1;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2",
        f"  Root={ROOT} ; Parent={SPAN} ;Sampled=1 ; ",
        f"ROOT={ROOT.upper()};PARENT={SPAN.upper()};SAMPLED=1",
        f"root={ROOT};parent={SPAN};sampled=1",
        f"nonsense;Root={ROOT};Parent={SPAN};Sampled=1;;=;a=b=c",
    ],
)
def test_an_xray_header_is_read_in_every_form(header: str) -> None:
    assert Trace.from_xray(header) == Trace(id=TraceId(ROOT), parent=SPAN, sampled=True)


def test_an_xray_header_with_a_root_alone_says_nothing_of_parent_and_sampling() -> None:
    assert Trace.from_xray(f"Root={ROOT}") == Trace(id=TraceId(ROOT))


def test_an_xray_header_that_says_not_to_sample_is_believed() -> None:
    assert Trace.from_xray(f"Root={ROOT};Sampled=0") == Trace(id=TraceId(ROOT), sampled=False)


@pytest.mark.parametrize("sampled", ["?", "2", "true", ""])
def test_a_sampling_decision_that_is_still_open_stays_open(sampled: str) -> None:
    assert Trace.from_xray(f"Root={ROOT};Sampled={sampled}") == Trace(id=TraceId(ROOT))


@pytest.mark.parametrize("header", [NOTHING, f"{NOTHING};Parent={SPAN};Sampled=1", "Root=1"])
def test_a_caller_who_names_no_trace_but_zeros_names_none(header: str) -> None:
    assert Trace.from_callers_xray(header) is None


def test_a_callers_parent_of_zeros_is_left_out() -> None:
    read = Trace.from_callers_xray(f"Root={ROOT};Parent={'0' * 16};Sampled=1")

    assert read == Trace(id=TraceId(ROOT), sampled=True)


def test_a_row_of_an_older_version_with_zeros_is_read_as_it_was_written() -> None:
    assert Trace.from_xray(NOTHING) == Trace(id=TraceId(NOTHING.removeprefix("Root=")))


@pytest.mark.parametrize("parent", ["me", SPAN[1:], f"{SPAN}0"])
def test_a_parent_that_is_no_span_is_left_out(parent: str) -> None:
    assert Trace.from_xray(f"Root={ROOT};Parent={parent}") == Trace(id=TraceId(ROOT))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Root",
        "Root=",
        f"Self={ROOT}",
        f"Parent={SPAN};Sampled=1",
        f"Root=2{ROOT[1:]}",
        f"Root={ROOT}0",
        f"Root={ROOT[:-1]}",
        f"Root={ROOT[:-1]}g",
        f"Root={W3C}",
        f"Root={ROOT},Sampled=1",
        f"Root={ROOT} {ROOT}",
        f"Root=1-{ROOT[2:].replace('-', '')}",
    ],
)
def test_what_is_no_xray_header_is_none(header: str) -> None:
    assert Trace.from_xray(header) is None


@settings(deadline=None)
@given(
    header=st.text()
    | st.lists(
        st.sampled_from(["Root=", "Parent=", "Sampled=", "Self=", ";", "=", ROOT, SPAN, "1", " "])
    ).map("".join)
)
def test_no_header_whatsoever_raises(header: str) -> None:
    for trace in (Trace.from_xray(header), Trace.from_traceparent(header)):
        assert trace is None or Trace.from_xray(trace.header) == trace


@settings(deadline=None)
@given(trace=traces)
def test_a_trace_survives_its_own_header(trace: Trace) -> None:
    assert Trace.from_xray(trace.header) == trace


def test_the_header_says_no_more_than_is_known() -> None:
    trace = Trace(id=TraceId(ROOT))

    assert trace.header == f"Root={ROOT}"
    assert Trace(id=TraceId(ROOT), sampled=False).header == f"Root={ROOT};Sampled=0"
    assert (
        Trace(id=TraceId(ROOT), parent=SPAN, sampled=True).header
        == f"Root={ROOT};Parent={SPAN};Sampled=1"
    )


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_a_traceparent_is_read_with_its_sampled_flag(flags: str, sampled: bool) -> None:  # noqa: FBT001 - a table
    trace = Trace.from_traceparent(f"00-{W3C}-{SPAN}-{flags}")

    assert trace == Trace(id=TraceId(ROOT), parent=SPAN, sampled=sampled)


def test_spaces_around_a_traceparent_do_no_harm() -> None:
    assert Trace.from_traceparent(f" 00-{W3C}-{SPAN}-01\t") is not None


def test_a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    known = Trace(id=TraceId(ROOT), parent=SPAN, sampled=True)

    assert Trace.from_traceparent(f"cc-{W3C}-{SPAN}-01") == known
    assert Trace.from_traceparent(f"cc-{W3C}-{SPAN}-01-what-the-future-will-be-like") == known


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{W3C}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{W3C}-{'0' * 16}-01",
        f"00-{W3C.upper()}-{SPAN}-01",
        f"00-{W3C}-{SPAN}",
        f"00-{W3C}-{SPAN}-1",
        f"00-{W3C}-{SPAN}-01.",
        f"cc-{W3C}-{SPAN}-01.what-the-future-will-not-be-like",
        f"00-{W3C[:-1]}-{SPAN}-01",
        f"00_{W3C}_{SPAN}_01",
        f"0-{W3C}-{SPAN}-01",
        # The specification's own test suite: version 00 has nothing behind its flags.
        f"00-{W3C}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_what_is_no_traceparent_is_none(header: str) -> None:
    assert Trace.from_traceparent(header) is None


@settings(deadline=None)
@given(trace=hex_of(32), span=hex_of(16))
def test_both_headers_carry_one_id(trace: str, span: str) -> None:
    read = Trace.from_traceparent(f"00-{trace}-{span}-01")

    assert (read is None) == (trace == "0" * 32 or span == "0" * 16)
    if read is not None:
        assert read.id.removeprefix("1-").replace("-", "") == trace


def test_a_new_trace_carries_its_time_and_its_entropy() -> None:
    trace = Trace.start(NOW, bytes(range(12)))

    assert trace == Trace(id=TraceId(f"1-{int(NOW.timestamp()):08x}-000102030405060708090a0b"))


@settings(deadline=None)
@given(
    now=st.datetimes(
        min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - the same
        timezones=st.just(UTC),
    ),
    entropy=st.binary(max_size=24),
)
def test_a_new_trace_is_one_that_can_be_read(now: datetime, entropy: bytes) -> None:
    trace = Trace.start(now, entropy)

    assert Trace.from_xray(trace.header) == trace
