"""The client's decision to try again."""

import pytest

from longhaul_client import NotConnected, NotFound, Retry, Unavailable


def test_waits_double_to_a_ceiling_and_half_of_each_is_chance() -> None:
    retry = Retry(tries=8)
    failure = NotConnected("away")

    shortest = [retry.after(failure, tries=tries, jitter=0) for tries in range(1, 9)]
    longest = [retry.after(failure, tries=tries, jitter=1) for tries in range(1, 9)]

    assert shortest == [0.25, 0.5, 1, 2, 4, 5, 5, None]
    assert longest == [0.5, 1, 2, 4, 8, 10, 10, None]


@pytest.mark.parametrize(("asked", "waited"), [(None, 0.5), (0, 0.5), (7, 7), (86_400, 60)])
def test_a_server_that_asks_for_more_gets_it_within_bounds(
    asked: float | None, waited: float
) -> None:
    failure = Unavailable("away", status=503, code="unavailable", retry_after=asked)

    assert Retry().after(failure, tries=1, jitter=1) == waited


def test_what_will_not_pass_is_not_tried_again() -> None:
    failure = NotFound("no", status=404, code="job_not_found")

    assert Retry().after(failure, tries=1, jitter=0) is None
