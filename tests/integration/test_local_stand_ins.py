"""The real `python -m deploy.local` and `deploy.local.attach`, in a folder of their own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
import redis
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_s3 import S3Client

from deploy.local.environment import REPO_ROOT
from deploy.local.lock import take_lock
from tests.free_ports import free_base

DEADLINE_SECONDS = 60.0
# With AWS elsewhere only the Redis stand-in runs, which is up in no time.
ONLY_REDIS = {"AWS_ENDPOINT_URL": "http://aws.example.com"}
NOT_BEDROCK = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://bedrock.example.com"}


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)  # between two looks at a condition, not in place of one


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@dataclass
class Run:
    """One command under test, its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def prints(self, text: str) -> None:
        wait_for(lambda: text in self.output or self.process.poll() is not None, text)
        assert text in self.output, self.output

    def children(self) -> dict[str, int]:
        """Return the pid of each server, by a word of its command line."""
        pid = self.process.pid
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        commands = {int(one): Path(f"/proc/{one}/cmdline").read_text() for one in pids}
        words = ("ministack", "valkey", "bedrock")
        return {word: pid for pid, line in commands.items() for word in words if word in line}

    def ends(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def stop(self) -> int:
        self.process.terminate()
        return self.ends()


@dataclass
class Place:
    """A folder and a port base of its own, and what was started there."""

    folder: Path
    base: int
    runs: list[Run] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def environ(self, named: Mapping[str, str]) -> dict[str, str]:
        ours = ("AWS_", "LONGHAUL_", "HONCHO_", "REDIS_", "PORT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        place = {"LONGHAUL_PORT_BASE": str(self.base), "LONGHAUL_LOCAL_DIR": str(self.data_dir)}
        return {**kept, **place, **named}

    def run(self, *arguments: str, named: Mapping[str, str]) -> Run:
        self.folder.mkdir(exist_ok=True)
        log = self.folder / f"{len(self.runs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", *arguments],
                env=self.environ(named),
                cwd=REPO_ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def local(self, named: Mapping[str, str]) -> Run:
        run = self.run("deploy.local", named=named)
        run.prints("the stand-ins are ready")
        return run

    def attach(self, *command: str, named: Mapping[str, str]) -> Run:
        return self.run("deploy.local.attach", *command, named=named)

    def redis(self) -> "redis.Redis":
        return redis.Redis(port=self.base + 2, socket_timeout=5)

    def dynamodb(self) -> DynamoDBClient:
        return self._session().client("dynamodb", endpoint_url=self._aws)

    def s3(self) -> S3Client:
        return self._session().client("s3", endpoint_url=self._aws)

    @property
    def _aws(self) -> str:
        return f"http://127.0.0.1:{self.base + 1}"

    def _session(self) -> boto3.Session:
        return boto3.Session("local", "local", region_name="us-east-1")

    def put_away(self) -> None:
        for run in reversed(self.runs):
            if run.process.poll() is None:
                run.stop()
            if run.process.stdin:
                run.process.stdin.close()


ANSWERS_READYZ = """
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "one", free_base(4))
    yield place
    place.put_away()


@pytest.fixture
def other_place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "other", free_base(4))
    yield place
    place.put_away()


def keep_something(place: Place) -> None:
    with closing(place.redis()) as store:
        store.set("key", "kept")
    with closing(place.dynamodb()) as table:
        table.put_item(TableName="LLM_Jobs", Item={"JobId": {"S": "kept"}})
    with closing(place.s3()) as objects:
        objects.put_object(Bucket="longhaul-local", Key="key", Body=b"kept")


def assert_kept(place: Place) -> None:
    with closing(place.redis()) as store:
        assert store.get("key") == b"kept"
    with closing(place.dynamodb()) as table:
        found = table.get_item(TableName="LLM_Jobs", Key={"JobId": {"S": "kept"}})
        assert found["Item"]["JobId"]["S"] == "kept"
    with closing(place.s3()) as objects:
        body = objects.get_object(Bucket="longhaul-local", Key="key")["Body"]
        assert body.read() == b"kept"


def listening_addresses(pid: int) -> set[str]:
    """Return the addresses, as the kernel writes them, of a process' listening TCP sockets."""
    listening = "0A"
    addresses = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == listening:
                addresses[f"socket:[{columns[9]}]"] = columns[1].partition(":")[0]
    links = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    return {address for link, address in addresses.items() if link in links}


def test_every_stand_in_answers_and_all_end_with_sigterm(place: Place) -> None:
    local = place.local({})
    children = local.children()

    with closing(place.redis()) as store:
        assert store.ping()
        assert store.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with closing(place.dynamodb()) as table:
        assert "LLM_Jobs" in table.list_tables()["TableNames"]
    with closing(http.client.HTTPConnection("127.0.0.1", place.base + 3)) as bedrock:
        bedrock.request("GET", "/_stand-in/health")
        assert bedrock.getresponse().status == 200
    assert json.loads((place.data_dir / "ready.json").read_text())["pid"] == local.process.pid

    assert local.stop() == 0
    assert len(children) == 3
    assert not any(is_running(pid) for pid in children.values())
    assert not (place.data_dir / "ready.json").exists()


def test_nothing_listens_beyond_loopback(place: Place) -> None:
    local = place.local({})

    for name, pid in local.children().items():
        assert listening_addresses(pid) == {"0100007F"}, name  # 127.0.0.1, low byte first


def test_data_is_kept_over_a_restart(place: Place) -> None:
    first = place.local(NOT_BEDROCK)
    keep_something(place)
    first.stop()

    place.local(NOT_BEDROCK)

    assert_kept(place)


def test_servers_end_and_save_when_their_supervisor_is_killed(place: Place) -> None:
    first = place.local(NOT_BEDROCK)
    children = first.children()
    keep_something(place)

    first.process.kill()
    first.ends()
    second = place.local(NOT_BEDROCK)

    assert not any(is_running(pid) for pid in children.values())
    assert_kept(place)
    assert second.stop() == 0


def test_a_server_that_dies_is_brought_back_with_its_table(place: Place) -> None:
    local = place.local(NOT_BEDROCK)

    os.kill(local.children()["ministack"], signal.SIGKILL)
    local.prints("aws died: signal SIGKILL")
    local.prints("aws is up again")

    with closing(place.dynamodb()) as table:
        wait_for(lambda: "LLM_Jobs" in table.list_tables()["TableNames"], "the table made anew")


def test_ctrl_c_stops_cleanly(place: Place) -> None:
    local = place.local(ONLY_REDIS)

    local.process.send_signal(signal.SIGINT)

    assert local.ends() == 0
    assert "stopped" in local.output


def test_the_address_is_told_once_the_web_process_is_ready(place: Place) -> None:
    local = place.local(ONLY_REDIS)
    assert "ready: open" not in local.output

    place.attach(sys.executable, "-c", ANSWERS_READYZ, str(place.base), named=ONLY_REDIS)

    local.prints(f"ready: open http://127.0.0.1:{place.base}/")


def test_a_second_one_is_refused_before_anything_is_started(place: Place) -> None:
    assert place.run("deploy.local", "may-start", named=ONLY_REDIS).ends() == 0
    first = place.local(ONLY_REDIS)

    asked = place.run("deploy.local", "may-start", named=ONLY_REDIS)

    assert asked.ends() == 2
    assert asked.output.startswith(
        f"local: already running for {place.data_dir} (pid {first.process.pid})"
    )
    assert len(asked.output.splitlines()) == 1


def test_a_second_one_for_the_same_folder_is_refused(place: Place) -> None:
    first = place.local(ONLY_REDIS)

    second = place.run("deploy.local", named={**ONLY_REDIS, "LONGHAUL_PORT_BASE": "32100"})

    assert second.ends() == 1
    assert f"already running for {place.data_dir} (pid {first.process.pid})" in second.output
    with closing(place.redis()) as store:
        assert store.ping()


def test_every_taken_port_is_named_and_nothing_is_started(place: Place) -> None:
    with (
        socket.create_server(("127.0.0.1", place.base)),
        socket.create_server(("127.0.0.1", place.base + 2)),
    ):
        local = place.run("deploy.local", named={})

        assert local.ends() == 1
    assert f"port {place.base} (web) cannot be opened" in local.output
    assert f"port {place.base + 2} (redis) cannot be opened" in local.output
    assert f"port {place.base + 1}" not in local.output
    assert "LONGHAUL_PORT_BASE" in local.output
    assert "REDIS_URL" in local.output
    assert not (place.data_dir / "logs").exists()


def test_a_named_redis_is_used_and_none_is_started(place: Place, other_place: Place) -> None:
    own = f"redis://:secret@127.0.0.1:{other_place.base + 2}/0"

    local = place.local({**NOT_BEDROCK, "REDIS_URL": own})

    assert set(local.children()) == {"ministack"}
    assert f"redis: redis://127.0.0.1:{other_place.base + 2}/0 (named" in local.output
    assert "secret" not in local.output


def test_two_systems_run_side_by_side(place: Place, other_place: Place) -> None:
    place.local(NOT_BEDROCK)
    other_place.local(NOT_BEDROCK)

    keep_something(place)

    with closing(other_place.redis()) as store:
        assert store.get("key") is None
    with closing(other_place.dynamodb()) as table:
        assert "Item" not in table.get_item(TableName="LLM_Jobs", Key={"JobId": {"S": "kept"}})


def test_an_attached_command_waits_for_local_and_learns_where_all_is(place: Place) -> None:
    attached = place.attach("env", named=ONLY_REDIS)
    place.local(ONLY_REDIS)

    assert attached.ends() == 0
    assert f"REDIS_URL=redis://127.0.0.1:{place.base + 2}/0" in attached.output
    assert f"PORT={place.base}" in attached.output
    assert f"attach: redis redis://127.0.0.1:{place.base + 2}/0 (stand-in)" in attached.output


def test_the_stand_ins_outlive_the_attached_commands_work(place: Place) -> None:
    local = place.local(ONLY_REDIS)
    attached = place.attach("cat", named=ONLY_REDIS)
    attached.prints("attach:")

    local.process.terminate()
    local.prints("waiting for attached processes to finish")
    with closing(place.redis()) as store:
        assert store.ping()
    attached.stop()

    assert local.ends() == 0


def test_an_attached_command_is_refused_where_nothing_is_named(place: Place) -> None:
    attached = place.attach("env", named={})

    assert attached.ends() == 2
    assert "REDIS_URL and an AWS region" in attached.output
    assert "honcho start" in attached.output


def test_an_attached_command_does_not_go_to_aws_when_local_fails(place: Place) -> None:
    lock = take_lock(place.data_dir)  # as a `local` does that is about to start its servers
    assert lock is not None
    meant_for_aws = {"REDIS_URL": "redis://r.example.com", "AWS_REGION": "us-east-1"}

    attached = place.attach("env", named=meant_for_aws)
    attached.prints("waiting for `local`")
    os.close(lock)

    assert attached.ends() == 1
    assert "`local` ended before it was ready" in attached.output


def test_a_full_environment_runs_at_once_as_it_is(place: Place) -> None:
    attached = place.attach("env", named={**ONLY_REDIS, "REDIS_URL": "redis://r.example.com"})

    assert attached.ends() == 0
    assert "REDIS_URL=redis://r.example.com\n" in attached.output
    assert "attach:" not in attached.output


def test_aws_is_used_where_it_is_meant_and_said(place: Place) -> None:
    named = {"REDIS_URL": "redis://r.example.com", "AWS_REGION": "eu-west-1"}

    attached = place.attach("env", named=named)

    assert attached.ends() == 0
    assert "using AWS for dynamodb, streams, s3, bedrock" in attached.output
    assert "AWS_ENDPOINT_URL" not in attached.output


def test_an_unknown_command_is_named(place: Place) -> None:
    named = {**ONLY_REDIS, "REDIS_URL": "redis://r.example.com"}

    attached = place.attach("no-such-command", named=named)

    assert attached.ends() == 127
    assert "cannot run no-such-command: No such file or directory" in attached.output
