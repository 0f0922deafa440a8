"""Who watches a job outlasts Redis, whether they came before it went or while it was away."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.credentials import SETTINGS_KEY, Place, running_place
from tests.stack import BIN, clean_environ, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# More than the command asks a server that it cannot reach.
_TRIES = 6


class Watch:
    """`longhaul watch` in a pipe."""

    def __init__(self, place: Place, job_id: str, folder: Path, name: str) -> None:
        self._said = folder / f"{name}.err"
        environ = {
            **clean_environ(),
            "LONGHAUL_URL": place.system.url,
            "LONGHAUL_API_KEY": SETTINGS_KEY,
        }
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [f"{BIN}/longhaul", "watch", job_id],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=90)
        return self.process.returncode, out.decode()


@contextmanager
def watching(*args: object) -> Iterator[Watch]:
    watch = Watch(*args)  # type: ignore[arg-type] # its own
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.wait(30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("place")) as running:
        yield running


def test_a_watch_goes_on_trying_until_redis_is_back_and_ends_with_the_result(
    place: Place, tmp_path: Path
) -> None:
    job_id = place.submit(SETTINGS_KEY, "Hi <<stand-in: duration_s=15; tokens=200>>")
    wait_until(lambda: _status(place, job_id) == "RUNNING", "it runs")

    with watching(place, job_id, tmp_path, "before") as before:
        place.redis.kill()
        with watching(place, job_id, tmp_path, "within") as within:
            wait_until(lambda: within.said.count("; again in") > _TRIES, "it has tried", within=90)
            assert within.process.poll() is None
            place.redis.start()

            ends = [before.end(), within.end()]

    result = place.call(SETTINGS_KEY, f"/v1/jobs/{job_id}/result").text
    assert _status(place, job_id) == "COMPLETED"
    assert ends == [(0, f"{result}\n"), (0, f"{result}\n")]
    assert re.search(r"^longhaul: .+; again in \d+\.\d s$", within.said, re.MULTILINE)


def _status(place: Place, job_id: str) -> str:
    status: str = place.call(SETTINGS_KEY, f"/v1/jobs/{job_id}").json()["status"]
    return status
