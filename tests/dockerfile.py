"""deploy/Dockerfile, read: its stages, and each one's instructions in order."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKERFILE = REPO_ROOT / "deploy" / "Dockerfile"


def version() -> str:
    """Give the project's version, which is the tag of its images."""
    project = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text())["project"]
    number: str = project["version"]
    return number


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, its lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The words of either form, JSON's list or a shell's."""
        if self.rest.startswith("["):
            words: list[str] = json.loads(self.rest)
            return words
        return shlex.split(self.rest)


def read_stages() -> list[list[Instruction]]:
    """Read the file; what stands before the first FROM belongs to no stage."""
    stages: list[list[Instruction]] = []
    for instruction in _instructions(DOCKERFILE.read_text()):
        if instruction.name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(instruction)
    return stages


def only(stage: list[Instruction], name: str) -> Instruction:
    """Give the stage's one instruction of a name."""
    [found] = [one for one in stage if one.name == name]
    return found


def environment_of(stage: list[Instruction]) -> dict[str, str]:
    """Give what the stage's ENVs set."""
    pairs = [word for one in stage if one.name == "ENV" for word in one.words]
    return dict(pair.split("=", 1) for pair in pairs)


def copied(stage: list[Instruction]) -> list[str]:
    """Give what the stage copies from the checkout."""
    return [
        source
        for one in stage
        if one.name == "COPY" and "--from" not in one.rest
        for source in one.words[:-1]
    ]


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        yield Instruction(name=name, rest=rest.strip())
