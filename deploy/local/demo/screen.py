"""What the demo writes: lines, what it waits for, and text that flows as it comes."""

import re
import unicodedata
from typing import Final, TextIO

INDENT: Final = "    "
_PIECES: Final = re.compile(r"\n|[^\S\n]+|\S+")
_CLEAR_LINE: Final = "\r\x1b[K"


class Screen:
    """Writes to one stream. On a terminal, what is waited for is one line that comes and goes."""

    def __init__(self, stream: TextIO, *, width: int, is_terminal: bool) -> None:
        self._stream = stream
        self._width = width
        self._is_terminal = is_terminal
        self._flow: Flow | None = None
        self._waits = False

    def line(self, text: str = "") -> None:
        """Write a line; text that flows ends before it."""
        self.end_text()
        self._write(f"{text}\n")

    def waiting(self, text: str) -> None:
        """Say what is waited for, until the next line; only a terminal can take it back."""
        if self._is_terminal:
            self._write(text[: self._width - 1])
            self._waits = True

    def text(self, piece: str) -> None:
        """Write a piece of running text, wrapped and indented."""
        if self._flow is None:
            self._flow = Flow(width=self._width, indent=INDENT)
        self._write(self._flow.add(printable(piece)))

    def end_text(self) -> None:
        """End the running text, if there is any."""
        if self._flow is not None:
            self._write(self._flow.end())
            self._flow = None

    def _write(self, text: str) -> None:
        if self._waits:
            text = _CLEAR_LINE + text
            self._waits = False
        self._stream.write(text)
        self._stream.flush()


class Flow:
    """Wraps text that comes in pieces: each word is given out as soon as it is whole."""

    def __init__(self, *, width: int, indent: str) -> None:
        self._width = width
        self._indent = indent
        self._column = 0
        self._space = ""
        self._held = ""

    def add(self, piece: str) -> str:
        """Take a piece; return what can be printed now."""
        pieces = _PIECES.findall(self._held + piece)
        # The last word may go on in the next piece.
        self._held = pieces.pop() if pieces and not pieces[-1].isspace() else ""
        return "".join(self._place(piece) for piece in pieces)

    def end(self) -> str:
        """Return what is left, and the end of the last line."""
        rest = self._place(self._held) if self._held else ""
        return f"{rest}\n" if self._column else rest

    def _place(self, piece: str) -> str:
        if piece == "\n":
            self._column, self._space = 0, ""
            return piece
        if piece.isspace():
            self._space = piece if self._column else ""
            return ""
        before = self._space
        self._space = ""
        fits = self._column + len(before) + len(piece) <= self._width
        if self._column and fits:
            self._column += len(before) + len(piece)
            return before + piece
        line_end = "\n" if self._column else ""
        self._column = len(self._indent) + len(piece)
        return line_end + self._indent + piece


def printable(text: str) -> str:
    """Replace what could steer a terminal: a model's text may hold anything."""
    return "".join(one if _is_shown(one) else "\ufffd" for one in text)


def _is_shown(one: str) -> bool:
    # Unicode's other spaces do not count as printable, but do no harm.
    return one.isprintable() or one in "\n\t" or unicodedata.category(one) == "Zs"
