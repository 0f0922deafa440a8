"""Pages: the texts of documents with their page numbers, cut and told so that answers can refer."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from jobs.document import MediaType
from jobs.placing import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobs.document import DocumentText

_UNFIT_FOR_A_MARKER = re.compile(r"[\[\]\s]+")
_MARKER_TOKENS = 4  # what a marker and the line breaks around it add, beside its name


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page, or a piece of one that is too long.

    `number` is None in a document that has no pages of its own, and `name` empty in a job's only
    document that has.
    """

    document: str
    name: str
    number: int | None
    text: str

    @property
    def marker(self) -> str:
        """How the model is told the page, and how it is to refer to it."""
        page = "" if self.number is None else f"page {self.number}"
        return f"[{', '.join(filter(None, (self.name, page)))}]"

    @property
    def told(self) -> str:
        """The page as the model reads it."""
        return f"{self.marker}\n{self.text}"

    @property
    def tokens(self) -> int:
        """About how many tokens it has as it is told."""
        return estimate_tokens(self.told) + _MARKER_TOKENS


def pages_of(texts: Sequence[DocumentText]) -> list[Page]:
    """Give all pages in order; one that says nothing is left out, and the numbers stay."""
    is_alone = len(texts) == 1
    return [page for text in texts for page in _pages_of(text, is_alone=is_alone) if page.text]


def _pages_of(text: DocumentText, *, is_alone: bool) -> Iterator[Page]:
    document = text.document
    has_pages = document.media_type is MediaType.PDF
    name = "" if is_alone and has_pages else _UNFIT_FOR_A_MARKER.sub(" ", document.name).strip()
    for number, page in enumerate(text.pages, start=1):
        yield Page(
            document=document.name,
            name=name,
            number=number if has_pages else None,
            text=page.strip(),
        )


def tell(pages: Sequence[Page]) -> str:
    """Write pages as the model reads them."""
    return "\n\n".join(page.told for page in pages)


def range_of(pages: Sequence[Page]) -> str:
    """Say which pages these are: `pages 1 to 40 of "a.pdf", page 1 of "b.txt"`."""
    told: list[str] = []
    for document, run in groupby(pages, key=lambda page: page.document):
        numbers = [page.number for page in run]
        first, last = numbers[0], numbers[-1]
        if first is None:
            told.append(f'"{document}"')
        else:
            which = f"page {first}" if first == last else f"pages {first} to {last}"
            told.append(f'{which} of "{document}"')
    return ", ".join(told)


def cut(page: Page, most: int) -> Iterator[Page]:
    """Cut a page into pieces of at most `most` tokens: between lines, or in a line too long."""
    if page.tokens <= most:
        yield page
        return
    room = most - replace(page, text="").tokens
    text = ""
    for line in _short_lines(page.text, room):
        if text and estimate_tokens(text + line) > room:
            yield replace(page, text=text.strip())
            text = ""
        text += line
    if text.strip():
        yield replace(page, text=text.strip())


def _short_lines(text: str, room: int) -> Iterator[str]:
    """Give the lines of a text, each of at most `room` tokens."""
    most = max(1, room * 3 // 4)  # characters: of four bytes each at the most
    for line in text.splitlines(keepends=True):
        for start in range(0, len(line), most):
            yield line[start : start + most]
