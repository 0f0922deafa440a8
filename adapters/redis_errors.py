"""Redis's errors in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis

from jobs.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def translating_redis(part: str, *, told: str = "Redis does not answer") -> Iterator[None]:
    """Raise Unavailable for what Redis or the way to it raises."""
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(part, f"{told} ({type(error).__name__})") from error
