"""The image without an engine: its own build steps in a plain folder, and what they make is run.

Each RUN and COPY of deploy/Dockerfile is carried out, `/opt` and `/source` led into the folder.
What comes of it runs outside the checkout, and shows that the distribution has all it needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from deploy.local.environment import REPO_ROOT
from tests.dockerfile import environment_of, only, read_stages
from tests.free_ports import free_base
from tests.stack import LocalStack, Program, answers, clean_environ, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(500)  # whichever test is first waits for the build
BUILD, FINAL = read_stages()
NOT_COPIED = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
NOWHERE = "/dev/null"  # as a HOME: nothing can be made under it, by root neither


@dataclass(frozen=True, kw_only=True)
class Image:
    """The folder that stands for the image's root."""

    root: Path

    @property
    def installed(self) -> Path:
        return self.root / "opt" / "longhaul"

    @property
    def wheel(self) -> Path:
        [wheel] = (self.root / "source" / "wheels").glob("*.whl")
        return wheel

    def build(self) -> None:
        """Carry out the build stage, with a Python of its own that has pip and nothing else."""
        python, source = self.root / "python", self.root / "source"
        self._shell(f"{sys.executable} -m venv {python}", path="")
        source.mkdir(parents=True)
        for one in BUILD:
            if one.name == "RUN":
                self._shell(self._led_here(one.rest), path=f"{python}/bin:")
            elif one.name == "COPY":
                *names, place = one.words
                for name in names:
                    self._copy(REPO_ROOT / name, source / place)

    def files(self) -> set[str]:
        return {str(file.relative_to(self.root)) for file in self.installed.rglob("*")}

    def command(self, *arguments: str) -> tuple[str, ...]:
        python, *entry = only(FINAL, "ENTRYPOINT").words
        return (f"{self.installed}/bin/{python}", *entry, *arguments)

    def _copy(self, source: Path, place: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, place, ignore=NOT_COPIED)
        else:
            place.mkdir(exist_ok=True)
            shutil.copy(source, place)

    def _led_here(self, command: str) -> str:
        return command.replace("/opt/", f"{self.root}/opt/").replace(
            "/source/", f"{self.root}/source/"
        )

    def _shell(self, command: str, *, path: str) -> None:
        source = self.root / "source"
        environ = {**clean_environ(), **environment_of(BUILD)}
        environ.pop("VIRTUAL_ENV", None)
        done = subprocess.run(  # noqa: S602 - the Dockerfile's own shell form
            command,
            shell=True,
            cwd=source if source.exists() else None,
            env={**environ, "PATH": path + environ["PATH"]},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    image = Image(root=tmp_path_factory.mktemp("image"))
    image.build()
    return image


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def test_what_the_recipe_makes_runs_outside_of_the_checkout(
    image: Image, stack: LocalStack, tmp_path: Path
) -> None:
    before, port = image.files(), free_base(1)
    url = f"http://127.0.0.1:{port}"
    ours = environment_of(FINAL) | {"HOME": NOWHERE, "LONGHAUL_HOST": "127.0.0.1"}
    del ours["PATH"]
    environ = {**clean_environ(), **stack.environ, **ours, "PORT": str(port), "TMPDIR": "/tmp"}  # noqa: S108 - the image's
    environ.pop("VIRTUAL_ENV", None)
    started: dict[str, Program] = {}
    try:
        for process in ("web", "worker", "feed"):
            started[process] = Program(
                image.command(process), environ=environ, log=tmp_path / process, cwd=tmp_path
            )
        started["web"].wait_for(lambda: answers(f"{url}/readyz"), "web is ready")
        for process in ("worker", "feed"):
            program = started[process]
            program.wait_for(lambda p=program: "_started" in p.output, process)  # type: ignore[misc]
        job = http.post(f"{url}/v1/jobs", json={"prompt": "Hi <<stand-in: tokens=3>>"}).json()
        own = f"{url}/v1/jobs/{job['id']}"
        wait_until(lambda: http.get(own).json()["status"] == "COMPLETED", "the job's end")
        assert http.get(f"{url}/asyncapi.json").is_success
        health = subprocess.run(  # noqa: S603 - the image's own command
            [f"{image.installed}/bin/python", "-m", "deploy.healthy"],
            env=environ,
            cwd=tmp_path,
            check=False,
            timeout=30,
        )
        assert health.returncode == 0
        assert [program.stop() for program in started.values()] == [0, 0, 0]
    finally:
        for program in list(started.values()):
            program.kill()

    assert image.files() == before, "something was written beside /tmp"


def test_the_operators_command_is_in_the_image(image: Image, stack: LocalStack) -> None:
    done = subprocess.run(  # noqa: S603 - the image's own command
        [f"{image.installed}/bin/longhaul", "check"],
        env={**clean_environ(), **stack.environ, "HOME": NOWHERE},
        cwd=image.root,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_has_what_a_wheel_of_the_whole_checkout_has(image: Image, tmp_path: Path) -> None:
    whole = tmp_path / "checkout"
    shutil.copytree(
        REPO_ROOT,
        whole,
        ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules", "*.egg-info", "tests"),
    )
    subprocess.run(  # noqa: S603 - our own arguments
        [
            f"{image.root}/python/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps",
            "--no-build-isolation", "--wheel-dir", str(tmp_path / "wheels"), str(whole),
        ],
        env=clean_environ(),
        check=True,
        timeout=120,
    )  # fmt: skip
    [wheel] = (tmp_path / "wheels").glob("*.whl")

    assert names_in(image.wheel) == names_in(wheel)


def test_neither_pip_nor_an_extra_is_in_the_image(image: Image) -> None:
    packages = {folder.name.partition("-")[0] for folder in image.installed.rglob("*.dist-info")}

    assert "longhaul" in packages
    assert packages & {"pip", "setuptools", "ministack", "aiohttp", "pytest", "uv"} == set()


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())
