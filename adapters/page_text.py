"""The text that a web page shows, out of a parser's events and without a tree.

A tree of strangers' tags costs their depth again for each of them, by HTML5's own rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIDDEN = """
    audio canvas datalist desc iframe metadata noembed noframes noscript rp script style template
    title video
"""
_HIDDEN_TAGS = frozenset(_HIDDEN.split())
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE
)
_APART = "blockquote dl figure form h1 h2 h3 h4 h5 h6 hr ol p pre table ul"
_LINES = """
    address article aside body caption center dd details dialog dir div dt fieldset figcaption
    footer header hgroup legend li main menu nav optgroup option search section select summary text
    tr
"""
_BREAKS = dict.fromkeys(_LINES.split(), "\n") | dict.fromkeys(_APART.split(), "\n\n")
_OF_TABLES = frozenset({"table", "tr"})
_CELLS = frozenset({"td", "th"})
_AS_WRITTEN = frozenset({"listing", "pre", "textarea"})
_BLANK = " \t\n\r\f"  # what HTML collapses; a no-break space is none of it
_BLANKS = re.compile(f"[{_BLANK}]+")


def text_of(page: str) -> str:
    """Give a page's title and what its body shows, a row of a table as one line with tabs."""
    shown = _Shown()
    parser = etree.HTMLParser(target=shown, huge_tree=True)
    parser.feed(page)
    parser.close()
    title = " ".join("".join(shown.title).split())
    return _without_blank_runs(f"{title}\n\n{''.join(shown.words)}")


@dataclass
class _Row:
    """A row of a table: where its open cell begins, and the breaks that are in its cells."""

    cell_at: int
    cells: int = 0
    breaks: list[int] = field(default_factory=list)


class _Shown:
    """What the parser tells; it ends each element that it has begun, said or not."""

    def __init__(self) -> None:
        self.title: list[str] = []
        self.words: list[str] = []
        self._gap = ""  # what parts the next word from the last one
        self._is_gap_soft = True  # a space would do, were it in a cell of a row
        self._hidden = 0  # elements in one another, the outermost of which is not shown
        self._as_written = 0
        self._pictures = 0  # whose titles are not the page's
        self._rows: list[_Row] = []
        self._is_in_title = False
        self._has_title = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._hidden or tag in _HIDDEN_TAGS or _hides(attributes):
            if tag == "title" and not (self._hidden or self._has_title or self._pictures):
                self._is_in_title = self._has_title = True
            self._hidden += 1
            return
        self._pictures += tag == "svg"
        if tag in _CELLS and self._rows:
            self._begin_cell(self._rows[-1])
        elif tag == "br":
            self._part("\n\n" if self._gap.startswith("\n") else "\n")
        else:
            self._part(_BREAKS.get(tag, ""), soft=tag not in _OF_TABLES)
        if tag == "tr":
            self._rows.append(_Row(len(self.words)))
        self._as_written += tag in _AS_WRITTEN

    def end(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
            self._is_in_title = self._is_in_title and self._hidden > 0
            return
        self._pictures -= tag == "svg"
        self._as_written -= tag in _AS_WRITTEN
        if tag == "tr" and self._rows:
            self._end_row(self._rows.pop())
        self._part(_BREAKS.get(tag, ""), soft=tag not in _OF_TABLES)

    def data(self, text: str) -> None:
        if self._is_in_title:
            self.title.append(text)
        if self._hidden:
            return
        if self._as_written:
            self._say(text)
            return
        inner = text.strip(_BLANK)
        if text[:1] in _BLANK:
            self._part(" ")
        if inner:
            self._say(_BLANKS.sub(" ", inner))
            if text[-1] in _BLANK:
                self._part(" ")

    def close(self) -> None:
        """End, as lxml wants to be able to tell."""

    def _say(self, text: str) -> None:
        if self._gap:
            if self._rows and self._is_gap_soft and self._gap != " ":
                self._rows[-1].breaks.append(len(self.words))
            self.words.append(self._gap)
            self._gap = ""
        self.words.append(text)

    def _part(self, gap: str, *, soft: bool = True) -> None:
        """Note what parts the last word from the next; of several the greatest does."""
        is_fresh = not self.words or (
            bool(self._rows) and len(self.words) == self._rows[-1].cell_at
        )
        if not gap or is_fresh or (gap == " " and self.words[-1].endswith(("\n", "\t"))):
            return
        self._is_gap_soft = soft and (self._is_gap_soft or not self._gap)
        self._gap = max(self._gap, gap, key=lambda one: (one.count("\n"), len(one)))

    def _begin_cell(self, row: _Row) -> None:
        if row.cells:
            is_empty_so_far = len(self.words) == row.cell_at and row.cells == 1
            self.words.append(f"{self._gap if is_empty_so_far else ''}\t")
            self._gap = ""
        row.cells += 1
        row.cell_at = len(self.words)

    def _end_row(self, row: _Row) -> None:
        """Make one line of a row of cells; what a single cell holds keeps its lines."""
        if row.cells > 1:
            for at in row.breaks:
                self.words[at] = " "


def _hides(attributes: Mapping[str, str]) -> bool:
    return bool(attributes) and (
        "hidden" in attributes or _HIDING_STYLE.search(attributes.get("style", "")) is not None
    )


def _without_blank_runs(text: str) -> str:
    """Leave one blank line where there are several; in one pass, whatever the spaces are."""
    kept: list[str] = []
    for line in (line.rstrip(" \t") for line in text.split("\n")):
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n")
