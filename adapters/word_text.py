"""The text of a Word document's body, out of a parser's events and without a tree.

Paragraphs and tables come at any depth: in content controls, tracked insertions and text boxes.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK_BYTES = 64 * 1024
_WORD = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",  # the strict form of the standard
)
_MATHS = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_NAMES = {f"{space}{name}": name for space in _WORD for name in (
    "body", "br", "cr", "del", "moveFrom", "noBreakHyphen", "p", "pPr", "ptab", "rPr", "sectPr",
    "t", "tab", "tc", "tr",
)} | {f"{_MATHS}t": "t", f"{_COMPATIBILITY}Fallback": "Fallback"}  # fmt: skip
# What was deleted or moved away, what says the same again for older readers, and mere properties.
_SKIPPED = frozenset({"Fallback", "del", "moveFrom", "pPr", "rPr", "sectPr"})
_SIGNS = {"br": "\n", "cr": "\n", "tab": "\t", "ptab": "\t", "noBreakHyphen": "-"}


def text_of(body: IO[bytes]) -> str:
    """Give paragraphs and tables in the order of the text, a row of a table as one line.

    Raises lxml's XMLSyntaxError where it is no XML.
    """
    told = _Told()
    parser = etree.XMLParser(target=told, resolve_entities=False, no_network=True)
    while chunk := body.read(_CHUNK_BYTES):
        parser.feed(chunk)
    parser.close()
    return "\n".join(told.lines)


class _Told:
    """What the parser tells: words make paragraphs, these make cells, and these make rows."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._places = [self.lines]  # the body, and the open cells in one another
        self._rows: list[list[str]] = []
        self._paragraphs: list[list[str]] = []  # a text box stands in a paragraph
        self._skipped = 0  # elements in one another, the outermost of which is not told
        self._is_text = False

    def start(self, tag: str, _attributes: Mapping[str, str]) -> None:
        name = _NAMES.get(tag, "")
        if self._skipped or name in _SKIPPED:
            self._skipped += 1
            return
        self._is_text = name == "t"
        match name:
            case "p":
                self._paragraphs.append([])
            case "tr":
                self._rows.append([])
            case "tc":
                self._places.append([])
            case _ if name in _SIGNS and self._paragraphs:
                self._paragraphs[-1].append(_SIGNS[name])

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        self._is_text = False
        match _NAMES.get(tag):
            case "p":
                self._places[-1].append("".join(self._paragraphs.pop()))
            case "tr":
                self._places[-1].append("\t".join(self._rows.pop()))
            case "tc":
                cell = " ".join(self._places.pop()).replace("\n", " ")
                (self._rows[-1] if self._rows else self._places[-1]).append(cell)

    def data(self, text: str) -> None:
        if self._is_text and not self._skipped and self._paragraphs:
            self._paragraphs[-1].append(text)

    def close(self) -> None:
        """End, as lxml wants to be able to tell."""
