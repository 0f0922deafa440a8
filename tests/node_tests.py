"""The JavaScript client's own tests, which Node runs and pytest reports."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLIENT = REPO_ROOT / "clients" / "javascript"
WITHIN_SECONDS = 110


def node_tests(folder: str) -> list[Path]:
    """Give the test files of a folder."""
    found = sorted((CLIENT / "tests" / folder).glob("*.test.js"))
    assert found, f"no tests in {folder}"
    return found


def run_node(*arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run Node, and give what it says. Fails with that where Node does."""
    node = shutil.which("node")
    assert node is not None, "no node on PATH: apt-get install npm brings it"
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [node, *arguments],
            cwd=CLIENT,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"") + (late.stderr or b"")
        pytest.fail(f"not done within {WITHIN_SECONDS} s:\n{said.decode(errors='replace')}")
    if done.returncode:
        pytest.fail(f"{done.stdout}{done.stderr}")
    return done.stdout
