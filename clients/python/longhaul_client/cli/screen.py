"""What people see: text on stdout, everything else on stderr, and one line that moves.

The line that moves (a bar, a countdown) is drawn where stderr is a terminal, in colour unless
NO_COLOR is set. Elsewhere stderr gets whole lines only.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_REDRAW_SECONDS = 0.2
_CLEAR_LINE = "\r\x1b[2K"
_RESET = "\x1b[0m"
COLOURS: Mapping[str, str] = {
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
    "dim": "\x1b[2m",
}
_BAR_CELLS = 24
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


class Screen:
    """stdout and stderr of one command; a thread redraws the line that moves."""

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._err = err
        self.shows_text_live = out.isatty()
        can_move = environ.get("TERM") != "dumb"
        has_colour = can_move and not environ.get("NO_COLOR")
        self._is_live = err.isatty() and can_move
        self._has_colour = self._is_live and has_colour
        self._has_coloured_lines = self.shows_text_live and has_colour
        self._lock = threading.RLock()
        self._draw: Callable[[], str] | None = None
        self._is_drawn = False
        self._is_mid_line = False  # the last text did not end its line
        self._stopped = threading.Event()
        self._ticker: threading.Thread | None = None

    def text(self, text: str) -> None:
        """Write text for whoever reads stdout: as it is, but that it steers no terminal."""
        if self.shows_text_live:
            text = _CONTROLS.sub("?", text)
        self._write(text)

    def line(self, text: str, colour: str | None = None) -> None:
        """Write one line of the command's own to stdout."""
        shown = printable(text)
        if colour is not None and self._has_coloured_lines:
            shown = f"{COLOURS[colour]}{shown}{_RESET}"
        self._write(f"{shown}\n")

    def json(self, value: object) -> None:
        """Write JSON for people and programs."""
        self.text(json.dumps(value, indent=2) + "\n")

    def json_line(self, value: object) -> None:
        """Write JSON as one line of many."""
        self.text(json.dumps(value, separators=(",", ":")) + "\n")

    def end_text(self) -> None:
        """End a line of text: a prompt, or the next line of a file, begins a new one."""
        with self._lock:
            if self._is_mid_line:
                self.text("\n")

    def note(self, text: str, colour: str = "dim") -> None:
        """Tell a person something, on a line of its own."""
        with self._lock:
            self.settle()
            self._leave_text()
            self._err.write(f"{self._coloured(f'longhaul: {printable(text)}', colour)}\n")
            self._err.flush()

    def error_json(self, value: object) -> None:
        """Write an error for programs, as one line on stderr."""
        with self._lock:
            self.settle()
            self._err.write(json.dumps(value, separators=(",", ":")) + "\n")
            self._err.flush()

    def moving(self, draw: Callable[[], str]) -> None:
        """Keep a line in view that is drawn anew again and again, until something else is told."""
        with self._lock:
            if not self._is_live or draw is self._draw:
                return
            self._leave_text()
            self._draw = draw
            self._redraw()
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, daemon=True)
                self._ticker.start()

    def settle(self) -> None:
        """Take the line that moves away."""
        with self._lock:
            self._draw = None
            if self._is_drawn:
                self._err.write(_CLEAR_LINE)
                self._err.flush()
                self._is_drawn = False

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.settle()
        self.end_text()
        self._stopped.set()

    def _write(self, text: str) -> None:
        with self._lock:
            self.settle()
            self._out.write(text)
            self._out.flush()
            if text:
                self._is_mid_line = not text.endswith("\n")

    def _leave_text(self) -> None:
        if not self.shows_text_live:
            return  # what is told on stderr does not stand on stdout's line
        if self._is_mid_line and self._is_live:
            self._err.write("\n")
        self._is_mid_line = False

    def _tick(self) -> None:
        while not self._stopped.wait(_REDRAW_SECONDS):
            with self._lock:
                self._redraw()

    def _redraw(self) -> None:
        if self._draw is None:
            return
        width = max(shutil.get_terminal_size().columns - 1, 20)
        line = printable(self._draw())[:width]
        self._err.write(f"{_CLEAR_LINE}{self._coloured(line, 'dim')}")
        self._err.flush()
        self._is_drawn = True

    def _coloured(self, text: str, colour: str) -> str:
        return f"{COLOURS[colour]}{text}{_RESET}" if self._has_colour else text


def printable(text: str) -> str:
    """Keep what a server says from steering the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def bar(done: int, total: int) -> str:
    """Draw how much is done."""
    part = min(done / total, 1.0) if total else 1.0
    cells = int(part * _BAR_CELLS)
    return f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {part:4.0%}"


def elapsed(label: str) -> Callable[[], str]:
    """Draw a label with the seconds since now."""
    since = time.monotonic()
    return lambda: f"{label} ({time.monotonic() - since:.0f} s)"


def countdown(label: str, seconds: float, *, then: str) -> Callable[[], str]:
    """Draw a label with the whole seconds that are left of so many, and `then` once none is."""
    until = time.monotonic() + seconds

    def draw() -> str:
        left = until - time.monotonic()
        return f"{label} {math.ceil(left)} s" if left > 0 else then

    return draw


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows in columns."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
