"""The spool: a folder of this machine that holds paid answers while no store can be reached.

They are users' data: the folder is its owner's alone, and each file, too.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.schema import ANSWERS_KEPT_DAYS
from jobs.answer import PaidAnswer
from jobs.errors import Unavailable
from jobs.job import JobId, parse_job_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.ports import Clock, Log

_NAME = re.compile(r"(?P<job>[^.]+)\.(?P<attempt>\d+)\.json")
_UNFINISHED = ".unfinished"
_MOST_BYTES = 2**30
_OLDEST = timedelta(days=ANSWERS_KEPT_DAYS)


class AnswerSpool:
    """jobs.answer.KeptAnswers and LeftAnswers in a folder, which is made when it is needed.

    It holds up to `most_bytes`; a disk that is full or read-only is Unavailable.
    """

    def __init__(
        self, folder: Path, *, clock: Clock, log: Log, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._log = log
        self._most_bytes = most_bytes
        self._warned: set[str] = set()

    def prepare(self) -> None:
        """Make the folder, unless it is there, and see that files can be made in it."""
        with _translating():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._folder).close()

    def keep(self, answer: PaidAnswer) -> None:
        """Write a file whole and for good: under another name, to the disk, then renamed."""
        if parse_job_id(answer.job) is None:
            raise Unavailable("spool", "only ids that Longhaul made can be names of files")
        written = answer.to_json().encode()
        with _translating():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = sum(facts.st_size for _, facts in self._files())
            if held + len(written) > self._most_bytes:
                raise Unavailable("spool", f"{self._folder} holds {held} bytes already")
            self._write(self._file(answer.job, answer.attempt), written)
        self._log.info(
            "answer_spooled", job_id=answer.job, attempt=answer.attempt, trace_id=answer.trace_id
        )

    def find(self, job_id: JobId, attempt: int) -> PaidAnswer | None:
        """Read the answer, if it is there and is this call's."""
        if parse_job_id(job_id) is None:
            return None
        return self._read(self._file(job_id, attempt), job_id, attempt)

    def forget(self, answer: PaidAnswer) -> None:
        """Remove the file."""
        with _translating():
            self._file(answer.job, answer.attempt).unlink(missing_ok=True)

    def find_left(self) -> Iterator[PaidAnswer]:
        """Give what is here, the oldest first; what is too old is removed."""
        with _translating():
            for file, facts in sorted(self._files(), key=lambda found: found[1].st_mtime):
                name = _NAME.fullmatch(file.name)
                if self._clock.now().timestamp() - facts.st_mtime > _OLDEST.total_seconds():
                    self._log.warning("answer_too_old", file=file.name)
                    file.unlink(missing_ok=True)
                elif name is not None:
                    answer = self._read(file, JobId(name["job"]), int(name["attempt"]))
                    if answer is not None:
                        yield answer

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """List our files, finished or not, which may vanish meanwhile; others' are not ours."""
        if not self._folder.is_dir():
            return
        for file in self._folder.iterdir():
            if _NAME.fullmatch(file.name) or file.name.endswith(_UNFINISHED):
                with suppress(FileNotFoundError):
                    yield file, file.stat()

    def _file(self, job_id: JobId, attempt: int) -> Path:
        return self._folder / f"{job_id}.{attempt}.json"

    def _write(self, file: Path, written: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=_UNFINISHED)  # 0600
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "wb") as output:
                output.write(written)
                output.flush()
                os.fsync(handle)
            unfinished.replace(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too
        finally:
            os.close(folder)

    def _read(self, file: Path, job_id: JobId, attempt: int) -> PaidAnswer | None:
        try:
            return PaidAnswer.from_json(file.read_text(), job=job_id, attempt=attempt)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if file.name not in self._warned:
                self._warned.add(file.name)
                self._log.warning("answer_unreadable", file=file.name, reason=type(error).__name__)
            return None


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("spool", f"the disk says {error.strerror or error}") from error
