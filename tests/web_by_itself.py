"""A second web process of a stack, on a port of its own, to be killed and started again."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.free_ports import free_base
from tests.stack import BIN, Program, answers, clean_environ

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.stack import LocalStack


class WebByItself:
    """The Procfile's web process without its honcho, which would end everything with it."""

    def __init__(self, stack: LocalStack, folder: Path, **settings: str) -> None:
        self.port = free_base(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "web.log"
        self._environ: Mapping[str, str] = {
            **clean_environ(),
            **stack.environ,
            "PORT": str(self.port),
            **settings,
        }
        self._program: Program | None = None

    def start(self) -> None:
        command = (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app")
        self._program = Program(command, environ=self._environ, log=self._log)
        self._program.wait_for(lambda: answers(f"{self.url}/readyz"), "the web process is ready")

    def freeze(self) -> None:
        """Let it hold its connections and say nothing more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to it and its workers, if it runs."""
        if self._program is not None:
            self._program.kill()
            self._program = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._program is not None, "the web process was not started"
        for pid in (self._program.pid, *self._program.children()):
            os.kill(pid, number)
