"""Event numbers: strictly increasing over a job's whole life, with no counter in Redis.

Every claim, and every change that takes a job from its holder, raises the row's epoch in the same
conditional write. Each epoch owns a block of numbers, and within it only the holder counts. So two
processes never give one number twice, a fenced worker's numbers lie below its successor's, and a
wiped Redis changes nothing. Within a block the numbers have no holes: a hole is a missed event.
While a job's parts run it has no holder: each part that is noted raises the row's number by one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1_000_000  # an event every 50 ms fills it in 14 hours; 2**53 / BLOCK epochs fit JavaScript

QUEUED = 1  # of epoch 0: `job.queued`, the first event of every job


def first_in(epoch: int) -> int:
    """Give the first number of an epoch's block; the block's first event is a state event."""
    return epoch * BLOCK + 1


def epoch_of(number: int) -> int:
    """Give the epoch in whose block a number lies."""
    return (number - 1) // BLOCK


def is_first(number: int) -> bool:
    """Tell whether a number is the first of its block."""
    return number == first_in(epoch_of(number))


def next_first(epoch: int) -> int:
    """Give the first number of the next block, for who takes the job from epoch `epoch`."""
    return first_in(epoch + 1)


def numbers_after_first(epoch: int) -> Iterator[int]:
    """Count on from the block's first number, which its state event has taken."""
    return itertools.count(first_in(epoch) + 1)
