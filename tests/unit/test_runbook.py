"""The runbook: each command in it is one that its reader can run."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from deploy import cli
from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    import argparse

OPERATIONS = (REPO_ROOT / "docs" / "operations.md").read_text()
WORDS = {
    "CODE": "model_throttled",
    "ID": "job_01jz0000000000000000000000",
    "N": "3",
    "SECONDS": "30",
    "TIME": "2h",
    "URL": "http://127.0.0.1:5000",
}


def commands() -> list[str]:
    """Give what stands in a code span, or in a line of a block, from `longhaul` on."""
    flowing = re.sub(r"^```.*?^```", "", OPERATIONS, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]*)`", re.sub(r"\s*\n\s*", " ", flowing))
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", OPERATIONS, flags=re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    found = (re.search(r"(?:^|-- |attach )longhaul ([a-z].*)", text) for text in (*spans, *lines))
    return sorted({one[1].strip() for one in found if one is not None and ":" not in one[1][:12]})


def as_typed(command: str) -> list[str]:
    """Give a command with all that may be left out, the first of what is to choose from."""
    text = re.sub(r"\[([^]|]*)\|[^]]*\]", r"[\1]", command.replace("...", ""))
    text = re.sub(r"[][]", "", text).partition(" | ")[0]
    return [WORDS.get(word, word) for word in shlex.split(text)]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_runbook_is_the_operators_own(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the client: a user's command shows that user's jobs, and on call is somebody else."""
    asked: list[argparse.Namespace] = []

    def run(options: argparse.Namespace) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    monkeypatch.setattr(cli, "_run", run)
    words = as_typed(command)

    if len(words) == 1:  # a command's name
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--help"])
        assert ended.value.code == 0
    else:
        assert cli.main(words) == 0
        assert len(asked) == 1


def test_the_runbook_has_commands() -> None:
    assert {"jobs --stuck", "jobs ID", "doctor", "drain"} <= set(commands())
