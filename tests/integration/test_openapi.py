"""schemathesis asks the running system whatever /openapi.json allows, and what it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stack import BIN, LocalStack, System, clean_environ, http

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parent / "schemathesis.toml"
KEY = "key-of-ada-0123456789"
SEED = 4711
BUDGET_SECONDS = 75
SETTINGS = {
    "LONGHAUL_API_KEYS": f"ada:{KEY}",
    "LONGHAUL_ALLOW_ANONYMOUS": "false",
    "LONGHAUL_WEBHOOK_SECRETS": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system whose every caller needs a key."""
    with (
        LocalStack(tmp_path_factory.mktemp("openapi")) as stack,
        System(stack, settings=SETTINGS) as running,
    ):
        yield running


@pytest.mark.timeout(300)
def test_nothing_that_can_be_asked_is_answered_otherwise_than_described(
    guarded: System, tmp_path: Path
) -> None:
    command = [
        *(f"{BIN}/schemathesis", "--no-color", "--config-file", str(CONFIG)),
        *("run", f"{guarded.url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"),
        *("--seed", str(SEED), "--max-time", str(BUDGET_SECONDS)),
        *("--phases", "examples,coverage,fuzzing,stateful"),
    ]
    log = tmp_path / "schemathesis.log"
    with log.open("wb") as output:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command,
            cwd=tmp_path,
            env=clean_environ(),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=240,
            check=False,
        )

    said = log.read_text(errors="replace")
    assert done.returncode == 0, said
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in said, said
    assert not guarded.log_lines(event="request_failed"), said
    assert http.get(f"{guarded.url}/readyz").json()["status"] == "ready"
