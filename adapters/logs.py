"""Logs: one line an event, JSON in production and readable on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Protocol, TextIO

import structlog

from adapters.guarded_lines import guard, guarded, write_exception
from jobs.ports import Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from adapters.settings import Settings

_STDERR = 2
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


# How a line is made, as it was configured last; for lines that are written past every lock.
_urgent_form: list[structlog.typing.Processor] = []


class UrgentLog(Log, Protocol):
    """jobs.ports.Log that can also tell of the worst."""

    def critical(self, event: str, /, **keys: object) -> None:
        """Log what ended something that should not have."""


class Measure(Protocol):
    """Who counts lines: `take` of adapters/line_meters.py."""

    def __call__(self, level: str, event: str, keys: Mapping[str, object]) -> None:
        """Take one line; never raises."""


def configure_logs(settings: Settings, *, measure: Measure | None = None) -> None:
    """Send our logs and every library's to stderr in one form; call once, at a process's start.

    Libraries tell warnings, whatever our own level: their DEBUG lines hold bodies and signatures.
    `measure` is given each line of ours, also those that are under the level that is shown.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=False,
            pad_event_to=24,
            sort_keys=False,
            # The default quotes errors, and prints local variables where rich is installed.
            exception_formatter=_write_plain,
        )
    )
    exceptions: list[structlog.typing.Processor] = (
        [structlog.processors.ExceptionRenderer(write_exception)]
        if settings.log_format == "json"
        else []
    )
    measuring = [] if measure is None else [_measuring(measure, settings.log_level)]
    structlog.configure(
        processors=[*measuring, *_SHARED, *exceptions, guard, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            settings.log_level if measure is None else logging.NOTSET
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write
        cache_logger_on_first_use=True,
    )
    _urgent_form[:] = [*_SHARED, *exceptions, guard, renderer]
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *exceptions,
                guard,
                renderer,
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _tell_end
    sys.unraisablehook = _tell_passed_over
    threading.excepthook = lambda told: _tell_end(told.exc_type, told.exc_value, told.exc_traceback)


class _Handler(logging.StreamHandler[TextIO]):
    """Says of a line that cannot be made where it is from; Python would quote its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Tell of it."""
        get_urgent_log().warning("line_broke", logger=record.name, exc_info=sys.exc_info())


class _PastLocks:
    """Writes a line by one call of the system, and takes no lock."""

    def write(self, line: str) -> None:
        """Write it."""
        os.write(_STDERR, f"{line}\n".encode(errors="replace"))

    info = warning = error = critical = write


def get_urgent_log() -> UrgentLog:
    """Give the log for a signal's handler, and wherever else a lock may be held by its own thread.

    Its lines have the form of all others, and are not measured.
    """
    log: UrgentLog = structlog.wrap_logger(
        _PastLocks(),
        processors=_urgent_form,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log


def _tell_passed_over(told: sys.UnraisableHookArgs) -> None:
    """Log an error that Python cannot raise anywhere, as while it collects garbage."""
    exc_info = (told.exc_type, told.exc_value, told.exc_traceback)
    get_urgent_log().warning("error_passed_over", exc_info=exc_info)


def _tell_end(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Log what ends a thread or the process; Python's own way would quote the error."""
    if isinstance(error, KeyboardInterrupt):
        return
    structlog.get_logger().critical("thread_ended", exc_info=(kind, error, trace))


def _write_plain(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    out.write(f"\n{guarded(write_exception(exc_info))}")


def _measuring(measure: Measure, shown: str) -> structlog.typing.Processor:
    """Count each line, and drop those under the level that is shown."""
    least = logging.getLevelNamesMapping()[shown]
    levels = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
    levels["exception"] = logging.ERROR

    def take(
        _: object, method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        measure(method, str(line["event"]), line)
        if levels.get(method, logging.CRITICAL) < least:
            raise structlog.DropEvent
        return line

    return take


def get_log() -> Log:
    """Give the log that use cases write to."""
    log: Log = structlog.get_logger()
    return log
