"""Logs: one line an event, JSON in production and readable on a terminal."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Protocol, TextIO

import structlog

from adapters.guarded_lines import guard, guarded, write_exception

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from adapters.settings import Settings
    from jobs.ports import Log

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


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
    handler = logging.StreamHandler(sys.stderr)
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
    threading.excepthook = lambda told: _tell_end(told.exc_type, told.exc_value, told.exc_traceback)


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
