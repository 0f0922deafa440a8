"""`make bench` runs every benchmark, whatever becomes of the others."""

import re
import subprocess
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

FAILS_AT_ONE = """\
#!/bin/sh
echo "$2" >> "$(dirname "$0")/ran"
[ "$2" != bench.accept ]
"""


def test_one_that_fails_keeps_none_from_running_and_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(FAILS_AT_ONE)
    python.chmod(0o700)
    peers = tmp_path / "peers-are-ready"
    peers.touch()

    done = subprocess.run(  # noqa: S603 - our own command
        ["make", "bench", f"BIN={tmp_path}", f"PEERS_READY={peers}"],  # noqa: S607 - whichever make runs the tests
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "bench-accept" in done.stderr
    assert (tmp_path / "ran").read_text().split() == [f"bench.{name}" for name in _benchmarks()]


def _benchmarks() -> list[str]:
    """Name what has a target of its own, in the Makefile's order of running."""
    makefile = (REPO_ROOT / "Makefile").read_text()
    names = re.findall(r"^bench-([a-z]+):", makefile, re.MULTILINE)
    [order] = re.findall(r"^BENCHMARKS := (.*)$", makefile, re.MULTILINE)
    assert set(names) == set(order.split())
    return str(order).split()
