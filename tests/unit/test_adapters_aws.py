from typing import Any

import pytest

from adapters.aws import connect_dynamodb


@pytest.mark.parametrize(
    ("whose", "tries"),
    [({}, 3), ({"for_callers": True}, 2), ({"for_runs": True}, 1)],
    ids=["the feed", "a caller", "a run"],
)
def test_a_run_sees_the_first_failure_of_the_store(
    monkeypatch: pytest.MonkeyPatch, whose: dict[str, Any], tries: int
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)

    client = connect_dynamodb(connections=1, **whose)

    made = client.meta.config.retries  # type: ignore[attr-defined] # botocore sets it by name
    assert made["total_max_attempts"] == tries
    client.close()
