"""Documents read in processes of their own, so that no file harms a worker.

A few at a time, because reading takes a processor. Each process has bounds of time and of
memory, an environment without credentials, and is killed when its job must end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from adapters.fair_turns import FairTurns
from jobs.document import DocumentText
from jobs.errors import DocumentRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.document import Document
    from jobs.uploads import Uploads

_PROGRAM = Path(__file__).with_name("extract_text.py")
_LOOK_SECONDS = 0.1  # between two looks at whether the job may go on
_WAIT_SECONDS = 0.5  # the same for those who wait for their turn, of whom there may be hundreds
_OUT_OF_MEMORY = 3  # as extract_text.py says
# The kernel's words for a bound that was passed; SIGKILL is also how it ends what takes all memory.
_BOUNDS = frozenset({-signal.SIGXCPU, -signal.SIGKILL, _OUT_OF_MEMORY})
_SHOWN = 2_000  # characters of what a program of ours said before it failed


@dataclass(frozen=True, kw_only=True)
class ReadingBounds:
    """How much one document may take: characters of text, seconds, and bytes of memory."""

    characters: int
    seconds: float
    memory_bytes: int


class BoundedReader:
    """jobs.document.DocumentReader that reads `at_once` documents at a time, for users in turn."""

    def __init__(self, *, uploads: Uploads, bounds: ReadingBounds, at_once: int) -> None:
        self._uploads = uploads
        self._bounds = bounds
        self._turns = FairTurns(at_once, look_seconds=_WAIT_SECONDS)

    def read(
        self, document: Document, *, check: Callable[[], object] | None = None
    ) -> DocumentText:
        """Read a document once it is its turn; files on disk hold it meanwhile, not memory."""
        check = check or _nothing
        with self._turns.one(_owner_of(document), check), tempfile.TemporaryFile() as source:
            self._uploads.copy(document, source)
            source.seek(0)
            with tempfile.TemporaryFile() as told:
                status = self._run(document, source, told, check)
                told.seek(0)
                output = told.read().decode(errors="replace")
        if status in _BOUNDS:
            raise _refused(document, "document_too_large", "takes too much to read")
        if status != 0:
            raise RuntimeError(f"the reader of documents failed ({status}): {output[-_SHOWN:]}")
        return _understand(document, json.loads(output))

    def _run(
        self,
        document: Document,
        source: IO[bytes],
        told: IO[bytes],
        check: Callable[[], object],
    ) -> int:
        """Run the program and give its status; out of time it is killed, as by the kernel."""
        bounds = self._bounds
        arguments = (document.media_type, bounds.characters, int(bounds.seconds) + 1)
        program = subprocess.Popen(  # noqa: S603 - our own program and our own numbers
            [
                sys.executable,
                "-I",
                str(_PROGRAM),
                *map(str, (*arguments, bounds.memory_bytes, os.getpid())),
            ],
            stdin=source,
            stdout=told,
            stderr=subprocess.STDOUT,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        )
        deadline = time.monotonic() + bounds.seconds
        try:
            while time.monotonic() < deadline:
                check()
                try:
                    return program.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
            return -signal.SIGKILL
        finally:
            program.kill()
            program.wait()


def _owner_of(document: Document) -> str:
    """Tell users apart: the folder of an upload is its user's own (jobs/uploads.py)."""
    return document.key.rpartition("/")[0]


def _understand(document: Document, answer: Any) -> DocumentText:  # noqa: ANN401 - our program's JSON
    if "refused" in answer:
        raise _refused(document, answer["refused"], answer["message"])
    return DocumentText(document=document, pages=tuple(answer["pages"]))


def _refused(document: Document, reason: str, message: str) -> DocumentRefused:
    return DocumentRefused(f"{document.name} {message}", reason=reason)


def _nothing() -> None:
    """Check nothing."""
