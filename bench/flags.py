"""A benchmark's command line: numbers that can be, and places that can be written."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Flags(argparse.ArgumentParser):
    """A parser whose help tells defaults, and which takes no flag cut short."""

    def __init__(self, module: str, doc: str | None) -> None:
        super().__init__(
            prog=f"python -m {module}",
            description=doc,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )
        sys.excepthook = _told


def count(text: str) -> int:
    """Read a whole number of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def amount(text: str) -> float:
    """Read a number above 0."""
    number = float(text)
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError("a number above 0")
    return number


def document(text: str) -> Path:
    """Read the path of a file that can be written: a run must not end in vain."""
    path = Path(text)
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no file in a folder that is there")
    return path


def folder(text: str) -> Path:
    """Read the path of a folder that is there, or can be made."""
    path = Path(text)
    if any(above.exists() and not above.is_dir() for above in (path, *path.resolve().parents)):
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a word that Ctrl-C ended it, and everything else as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted; nothing was written\n")
        sys.stderr.flush()
        return
    sys.__excepthook__(kind, error, trace)
