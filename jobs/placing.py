"""Placing: how each document of a job reaches its model, as a pure decision.

A model that takes documents gets them as they are, up to its limits; others, and what is beyond the
limits, as extracted text. Tokens are estimated at one for three bytes of UTF-8: English has about
four, and scripts whose letters take three bytes have about one token a letter. Where a job would
be too long by that estimate, nothing is paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.document import MOST_DOCUMENTS, MediaType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.document import DocumentText
    from jobs.model_limits import ModelLimits

_BYTES_A_TOKEN = 3
_FRAME_TOKENS = 100  # a document's name, and a page's mark in few words
_MARK_TOKENS = 8
# Models get these as they are; of the others the text alone.
_WRITTEN = frozenset({MediaType.HTML, MediaType.MARKDOWN, MediaType.CSV, MediaType.TEXT})


@dataclass(frozen=True, kw_only=True, slots=True)
class AsBlock:
    """The document goes as it was uploaded."""

    text: DocumentText


@dataclass(frozen=True, kw_only=True, slots=True)
class AsText:
    """The document goes as its extracted text."""

    text: DocumentText


@dataclass(frozen=True, kw_only=True, slots=True)
class TooLong:
    """The job does not fit the model: about `tokens` are asked of `room`, the answer's included."""

    tokens: int
    room: int


Placed = AsBlock | AsText


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """What else the call has: `tokens` of prompt and answer, and blocks of the caller's own."""

    tokens: int
    blocks: int = 0


def estimate_tokens(text: str) -> int:
    """Estimate from above how many tokens a text is."""
    return -(-len(text.encode()) // _BYTES_A_TOKEN)


def place_documents(
    texts: Sequence[DocumentText], *, limits: ModelLimits, rest: Rest
) -> tuple[Placed, ...] | TooLong:
    """Decide for each document, in order, how it goes; or that all are too long together.

    HTML as it is may be far longer than its text: what does not fit as blocks may fit as text.
    """
    for placed in (_by_limits(texts, limits, rest.blocks), _all_as_text(texts)):
        tokens = rest.tokens + sum(_tokens_of(one) for one in placed)
        if tokens <= limits.context_tokens:
            return placed
    return TooLong(tokens=tokens, room=limits.context_tokens)


def _by_limits(
    texts: Sequence[DocumentText], limits: ModelLimits, taken: int
) -> tuple[Placed, ...]:
    """Give blocks to those that come first, while there are blocks, and pages, left."""
    placed: list[Placed] = []
    blocks, pages = MOST_DOCUMENTS - taken, limits.pdf_pages
    for text in texts:
        document = text.document
        of_pages = len(text.pages) if document.media_type is MediaType.PDF else 0
        fits = limits.takes_documents and blocks > 0 and document.size <= limits.block_bytes
        if not fits or (pages is not None and of_pages > pages):
            placed.append(AsText(text=text))
            continue
        placed.append(AsBlock(text=text))
        blocks -= 1
        pages = None if pages is None else pages - of_pages
    return tuple(placed)


def _all_as_text(texts: Sequence[DocumentText]) -> tuple[Placed, ...]:
    return tuple(AsText(text=text) for text in texts)


def _tokens_of(placed: Placed) -> int:
    document, pages = placed.text.document, placed.text.pages
    tokens = _FRAME_TOKENS + sum(_MARK_TOKENS + estimate_tokens(page) for page in pages)
    if isinstance(placed, AsBlock) and document.media_type in _WRITTEN:
        return max(tokens, document.size // _BYTES_A_TOKEN)
    return tokens
