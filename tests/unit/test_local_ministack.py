"""ministack's garbage collector lets old rows be."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from deploy.local.ministack import let_the_old_be

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_was_there_when_everything_was_looked_at_is_looked_at_no_more() -> None:
    let_the_old_be("stop", {"generation": 2})

    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(("phase", "generation"), [("start", 2), ("stop", 1), ("stop", 0)])
def test_a_look_at_the_young_changes_nothing(phase: str, generation: int) -> None:
    before = gc.get_freeze_count()

    let_the_old_be(phase, {"generation": generation})

    assert gc.get_freeze_count() == before
