"""How the operator's commands write what came from a table: as a table, and harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def printable(text: str) -> str:
    """Keep what someone wrote into the table from steering the operator's terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write rows of equal length as lines whose columns stand under each other."""
    told = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    for row in told:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
