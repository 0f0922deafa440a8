import threading
from pathlib import Path

import pytest

from adapters.kept_answers import AnswersInObjects
from adapters.memory import ManualClock
from adapters.spool import AnswerSpool
from jobs.answer import PaidAnswer
from jobs.errors import Unavailable
from jobs.trace import TraceId
from tests.builders import JOB_ID, RecordingLog, ShakyObjectStore
from tests.stack import wait_until
from workers import carrier
from workers.carrier import Carrier

DEADLINE = 10.0  # seconds until a test gives up on a condition
TRACE_ID = TraceId("1-6922915b-0123456789abcdef01234567")
ANSWER = PaidAnswer(
    job=JOB_ID, attempt=1, text="Hello", usage=None, stop_reason=None, trace_id=TRACE_ID
)


class ToldObjects(ShakyObjectStore):
    """Says when something has been put."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(put=failures)
        self.has_put = threading.Event()

    def put(self, key, text, *, content_type):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - the port's
        super().put(key, text, content_type=content_type)
        self.has_put.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "_EVERY_SECONDS", 0.001)


def carry_until_put(folder: Path, *failures: Exception) -> tuple[AnswersInObjects, RecordingLog]:
    log, objects = RecordingLog(), ToldObjects(*failures)
    home = AnswersInObjects(objects=objects, log=log)
    left = AnswerSpool(folder, clock=ManualClock(), log=log)
    left.keep(ANSWER)
    carrier = Carrier(left=left, home=home, log=log)
    carrier.start()
    assert objects.has_put.wait(DEADLINE)
    carrier.stop()
    return home, log


def test_what_a_dead_worker_left_is_brought_home_at_the_start(tmp_path: Path) -> None:
    home, log = carry_until_put(tmp_path)

    assert home.find(JOB_ID, 1) == ANSWER
    wait_until(lambda: log.count("answer_brought_home"), "the line", within=DEADLINE)
    told = {"job_id": JOB_ID, "attempt": 1, "trace_id": TRACE_ID}
    assert [line.keys for line in log.lines if line.event.startswith("answer_")] == [told, told]


def test_the_carrier_outlives_what_is_away_and_what_breaks(tmp_path: Path) -> None:
    home, log = carry_until_put(tmp_path, Unavailable("objects", "away"), ValueError("a bug"))

    assert home.find(JOB_ID, 1) == ANSWER
    assert (log.count("carrier_waits"), log.count("carrier_broke")) == (1, 1)
