"""Random stories of one job against real web processes: no watcher ever meets a silent gap.

The rules are in tests/watchers_life.py. CI plays the same few stories each time; `make watchers
EXAMPLES=2000` plays others, and for longer.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.watcher_stage import open_stage
from tests.watchers_life import WatchersLife

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack import Clients, LocalStack
    from tests.watcher_stage import Stage

EXAMPLES = int(os.environ.get("WATCHERS_EXAMPLES", "0"))
FEW = 50
STEPS = 30


@pytest.fixture(scope="module")
def stage(
    stand_ins: LocalStack, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with open_stage(stand_ins, clients, tmp_path_factory.mktemp("watchers")) as opened:
        yield opened


@pytest.mark.timeout(300 if not EXAMPLES else 0)
def test_no_watcher_meets_a_silent_gap_whatever_breaks(stage: Stage) -> None:
    class Machine(WatchersLife):
        pass

    Machine.stage = stage
    chosen = settings(
        max_examples=EXAMPLES or FEW,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate],  # shrinking a story of real processes would take minutes
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Machine, settings=chosen)

    for web in stage.webs:
        assert "Traceback" not in web.output
