import subprocess
import sys

import pytest

from tests import free_ports
from tests.free_ports import free_base

ASKS_FOR_ONE_PORT = """
import sys
from tests import free_ports
free_ports.LOWEST = int(sys.argv[1])
free_ports.HIGHEST = free_ports.LOWEST + 2
try:
    print(free_ports.free_base(1))
except RuntimeError:
    print("none")
"""


def asked_elsewhere(port: int) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", ASKS_FOR_ONE_PORT, str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_port_that_was_given_is_given_to_no_other_process() -> None:
    base = free_base(4)

    assert [asked_elsewhere(base + number) for number in range(4)] == ["none"] * 4


def test_a_port_that_was_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_base(1)
    monkeypatch.setattr(free_ports, "LOWEST", port)
    monkeypatch.setattr(free_ports, "HIGHEST", port + 2)

    with pytest.raises(RuntimeError, match="no 1 free ports"):
        free_base(1)
