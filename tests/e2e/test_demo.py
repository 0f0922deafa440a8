import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.free_ports import free_base

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120
# Faster than a model, and still a stream: the whole answer takes some two seconds.
PACE = {"LONGHAUL_BEDROCK_TOKENS_PER_SECOND": "150"}
DYNAMODB_ITEM_BYTES = 400 * 1024
# A short result goes into the row with the outcome: there is no step `stored`.
STEPS = [
    "accepted",
    "written",
    "seen",
    "enqueued",
    "claimed",
    "invoked",
    "first_token",
    "completed",
    "settled",
]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Ports and a data folder that no other system has."""

    base: int
    data_dir: Path

    @property
    def ports(self) -> dict[str, int]:
        names = ("web", "aws", "redis", "bedrock")
        return {name: self.base + offset for offset, name in enumerate(names)}

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"

    @property
    def environ(self) -> dict[str, str]:
        ours = ("LONGHAUL_", "AWS_", "HONCHO_", "REDIS_URL", "PORT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        own = {"LONGHAUL_PORT_BASE": str(self.base), "LONGHAUL_LOCAL_DIR": str(self.data_dir)}
        return {**kept, **PACE, **own}

    def processes(self) -> list[str]:
        """Return the commands of every process that was told this folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                command, told = read(entry / "cmdline"), read(entry / "environ")
                if str(self.data_dir).encode() in command + told:
                    found.append(command.replace(b"\0", b" ").decode())
        return found

    def open_ports(self) -> list[str]:
        return [name for name, port in self.ports.items() if answers(port)]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a demo that has ended had shown."""

    exit_code: int
    output: str

    @property
    def last_line(self) -> str:
        return self.output.rstrip().splitlines()[-1]

    @property
    def state_events(self) -> list[tuple[int, str]]:
        return [
            (int(seq), event) for seq, event in re.findall(r"seq (\d+) +(job\.\w+)", self.output)
        ]

    @property
    def timeline(self) -> list[str]:
        rows = self.output.partition("\ntimeline:\n")[2].partition("\n\n")[0].splitlines()
        return [row.split()[0] for row in rows[1:]]

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.output)
        assert match, f"no {pattern} in:\n{self.output}"
        return match[1]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process has just ended


def answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def started(place: Place, *command: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=place.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def run_demo(place: Place) -> Shown:
    with started(place, "deploy.local.demo") as process:
        output, _ = process.communicate(timeout=DEADLINE_S)
        return Shown(exit_code=process.returncode, output=output)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(base=free_base(4), data_dir=tmp_path / "local")


@pytest.fixture(scope="module")
def running_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give the place of a system that somebody else runs."""
    place = Place(base=free_base(4), data_dir=tmp_path_factory.mktemp("running") / "local")
    log = place.data_dir.with_name("honcho.log")
    with log.open("wb") as output:
        honcho = subprocess.Popen(
            [sys.executable, "-m", "honcho", "start"],
            cwd=ROOT,
            env=place.environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with honcho:
        try:
            wait_until(lambda: is_ready(place) or honcho.poll() is not None)
            assert honcho.poll() is None, log.read_text()
            yield place
            assert honcho.poll() is None, log.read_text()
        finally:
            honcho.terminate()
    wait_until(lambda: not place.processes())


def is_ready(place: Place) -> bool:
    try:
        return httpx.get(f"{place.web}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def faults(running_place: Place) -> Iterator[Callable[..., None]]:
    """Give what tells the running system's model to fail."""
    address = f"http://127.0.0.1:{running_place.ports['bedrock']}/_stand-in/faults"

    def command(**wanted: object) -> None:
        httpx.post(address, json=wanted, trust_env=False).raise_for_status()

    yield command
    httpx.delete(address, trust_env=False).raise_for_status()


@pytest.mark.timeout(240)
def test_the_demo_shows_one_job_from_post_to_push_and_leaves_nothing_behind(place: Place) -> None:
    shown = run_demo(place)

    assert shown.exit_code == 0, shown.output
    assert re.search(r"^HTTP/1.1 202 ", shown.output, re.MULTILINE)
    assert shown.found(r"Location: /v1/jobs/(\S+)") == shown.found(r'"id": "(\S+)"')
    assert int(shown.found(r"\(([\d,]+) bytes\)").replace(",", "")) > DYNAMODB_ITEM_BYTES
    assert "Extractive summary by the local stand-in" in shown.output
    assert shown.timeline == STEPS
    assert "\nstreamed text equals the stored result" in shown.output
    assert (place.processes(), place.open_ports()) == ([], [])


@pytest.mark.timeout(240)
def test_every_event_is_shown_in_the_order_of_its_number(running_place: Place) -> None:
    shown = run_demo(running_place)

    seqs, events = zip(*shown.state_events, strict=True)
    first, last = (int(seq) for seq in re.findall(r"events, seq (\d+) to (\d+)", shown.output)[0])
    assert events == ("job.queued", "job.started", "job.completed")
    assert list(seqs) == sorted(set(seqs))
    assert seqs[1] < first < last < seqs[2]


@pytest.mark.timeout(240)
def test_a_system_that_runs_already_is_used_and_left_running(running_place: Place) -> None:
    shown = run_demo(running_place)

    assert shown.exit_code == 0, shown.output
    assert "using the system that runs already" in shown.output
    assert is_ready(running_place)


@pytest.mark.timeout(240)
def test_text_of_an_attempt_that_broke_is_void(
    running_place: Place, faults: Callable[..., None]
) -> None:
    faults(stream_error_after=20, stream_faults_first=1)

    shown = run_demo(running_place)

    events = [event for _, event in shown.state_events]
    assert shown.exit_code == 0, shown.output
    assert events == ["job.queued", "job.started", "job.retrying", "job.started", "job.completed"]
    assert "the text so far is void" in shown.output
    assert "\nstreamed text equals the stored result" in shown.output


@pytest.mark.timeout(240)
def test_a_job_that_fails_fails_the_demo_with_the_models_message(
    running_place: Place, faults: Callable[..., None]
) -> None:
    faults(validation_error="This model reads no manuals.")

    shown = run_demo(running_place)

    assert shown.exit_code == 1, shown.output
    assert shown.last_line.startswith("demo: the job ended FAILED: ")
    assert "This model reads no manuals." in shown.last_line
    assert shown.state_events[-1][1] == "job.failed"
    assert shown.timeline[-2:] == ["failed", "settled"]


@pytest.mark.timeout(240)
def test_a_port_that_is_taken_is_named_and_nothing_is_left(place: Place) -> None:
    port = place.ports["bedrock"]
    with closing(socket.create_server(("127.0.0.1", port))):
        shown = run_demo(place)

        assert shown.exit_code == 1, shown.output
        assert shown.last_line.startswith("demo: the system did not start: local: ")
        assert f"port {port} (bedrock) cannot be opened" in shown.last_line
        assert (place.processes(), place.open_ports()) == ([], ["bedrock"])


@pytest.mark.timeout(240)
def test_ctrl_c_stops_everything(place: Place) -> None:
    with started(place, "deploy.local.demo") as demo:
        assert demo.stdout is not None
        seen = next((line for line in demo.stdout if "job.started" in line), None)
        assert seen, "the demo ended before its job had started"

        demo.send_signal(signal.SIGINT)
        output = demo.stdout.read()

    assert demo.returncode == 130, output
    assert (place.processes(), place.open_ports()) == ([], [])
