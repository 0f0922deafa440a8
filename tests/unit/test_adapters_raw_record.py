import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.raw_record import LARGEST_BYTES, raw_json

AT = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)
KEYS = {"JobId": {"S": "job_1"}}


def a_record(**images: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's own shape
    return {
        "eventID": "1",
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": AT,
            "Keys": KEYS,
            "SequenceNumber": "5",
            **images,
        },
    }


def test_a_small_record_is_written_whole() -> None:
    record = a_record(NewImage={"Text": {"S": "Größe ☕"}, "JobStatus": {"S": "DREAMING"}})

    written = json.loads(raw_json(record))

    expected = record["dynamodb"] | {"ApproximateCreationDateTime": AT.isoformat()}
    assert written == record | {"dynamodb": expected}


def test_bytes_are_written_as_dynamodbs_own_json_has_them() -> None:
    image = {"Key": {"B": b"\x00\xff"}, "Keys": {"BS": [b"a", b"b"]}}

    written = json.loads(raw_json(a_record(NewImage=image)))

    assert written["dynamodb"]["NewImage"] == {
        "Key": {"B": "AP8="},
        "Keys": {"BS": ["YQ==", "Yg=="]},
    }


def test_of_a_large_record_the_long_values_are_cut_and_say_so() -> None:
    image = {"JobStatus": {"S": "DREAMING"}, "PromptContext": {"S": "x" * 390_000}}

    text = raw_json(a_record(NewImage=image, OldImage=image))

    written = json.loads(text)
    assert len(text.encode()) <= LARGEST_BYTES
    assert written["Truncated"] is True
    assert written["dynamodb"]["Keys"] == KEYS
    for name in ("NewImage", "OldImage"):
        cut = written["dynamodb"][name]
        assert cut["JobStatus"] == {"S": "DREAMING"}
        assert cut["PromptContext"]["S"].endswith("[cut from 390008 bytes]")


def test_of_a_large_record_of_short_values_the_images_are_left_out() -> None:
    image = {f"Attribute{number}": {"S": "x" * 500} for number in range(700)}

    written = json.loads(raw_json(a_record(NewImage=image)))

    assert written["Truncated"] is True
    assert written["dynamodb"]["Keys"] == KEYS
    assert written["dynamodb"]["NewImage"].startswith("[cut from ")


def test_of_a_record_that_is_large_elsewhere_the_beginning_is_kept() -> None:
    written = json.loads(raw_json({"userIdentity": "x" * LARGEST_BYTES}))

    assert set(written) == {"Truncated", "Beginning"}


@pytest.mark.parametrize("record", [{}, {"dynamodb": None}, {"dynamodb": {"NewImage": [1]}}])
def test_a_record_of_any_shape_is_written(record: dict[str, Any]) -> None:
    assert json.loads(raw_json(record)) == record


@settings(deadline=None)
@given(
    image=st.dictionaries(
        st.text(max_size=20),
        st.binary(max_size=5_000) | st.text(max_size=5_000) | st.sets(st.integers()),
        max_size=5,
    ),
    times=st.integers(1, 300),
)
def test_whatever_stands_in_a_record_fits_an_item(image: dict[str, Any], times: int) -> None:
    many = {f"{name}{number}": value for number in range(times) for name, value in image.items()}

    text = raw_json(a_record(NewImage=many))

    assert len(text.encode()) <= LARGEST_BYTES
    json.loads(text)
