"""Attach: put documents into the first turn of a prompt, before what is asked of them.

The shapes are Converse's own, as the prompt's are:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.document import DocumentText, MediaType
from jobs.placing import Rest, estimate_tokens
from jobs.prompt import Prompt
from jobs.uploads import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobs.document import Document

_FORMATS = {
    MediaType.PDF: "pdf",
    MediaType.DOCX: "docx",
    MediaType.HTML: "html",
    MediaType.MARKDOWN: "md",
    MediaType.CSV: "csv",
    MediaType.TEXT: "txt",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_LONGEST_NAME = 190  # of Bedrock's 200: a number may follow


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A document as it was uploaded, with its bytes."""

    document: Document
    content: bytes


Attachment = Block | DocumentText


def attach(prompt: Prompt, attachments: Sequence[Attachment]) -> Prompt:
    """Put the attachments before the first turn's own content, with a text block beside them."""
    first, *others = prompt.messages or [_turn_of(prompt)]
    assert isinstance(first, dict)  # noqa: S101 - checked where it entered; narrowed for the reader
    content = first["content"]
    names = _Names(_names_in(prompt))
    blocks = [_write(one, names) for one in attachments]
    if not any("text" in block for block in (*blocks, *content)):
        blocks.append({"text": "See the attached documents."})  # Bedrock wants words beside them
    turn = {**first, "content": [*blocks, *content]}
    return Prompt(messages=[turn, *others], system=prompt.system)


def rest_of(prompt: Prompt, *, answer_tokens: int) -> Rest:
    """Count what a call has beside its attachments: every text of the prompt, and the answer."""
    texts = [prompt.system or "", prompt.text or "", *_texts_in(prompt.messages)]
    return Rest(
        tokens=answer_tokens + sum(map(estimate_tokens, texts)), blocks=len(_names_in(prompt))
    )


def _turn_of(prompt: Prompt) -> object:
    return {"role": "user", "content": [{"text": prompt.text}]}


def _write(one: Attachment, names: _Names) -> dict[str, object]:
    match one:
        case Block(document=document, content=content):
            return {
                "document": {
                    "format": _FORMATS[document.media_type],
                    "name": names.take(document.name),
                    "source": {"bytes": content},
                }
            }
        case DocumentText():
            return {"text": write_text(one)}


def write_text(text: DocumentText) -> str:
    """Write a document's text between its name and its end, each page of a PDF under its number."""
    name, pages = text.document.name, text.pages
    if text.document.media_type is MediaType.PDF:
        pages = tuple(f"[page {number}]\n{page}" for number, page in enumerate(pages, 1))
    return "\n\n".join([f"[document: {name}]", *pages, f"[end of document: {name}]"])


class _Names:
    """Names as Bedrock demands them: of few characters, and each once in a request."""

    def __init__(self, taken: Sequence[str]) -> None:
        self._taken = set(taken)

    def take(self, name: str) -> str:
        """Make a name that nobody has yet."""
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        base = _NOT_IN_NAMES.sub(" ", plain).strip()[:_LONGEST_NAME].strip() or DEFAULT_NAME
        candidate, number = base, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{base} ({number})"
        self._taken.add(candidate)
        return candidate


def _names_in(prompt: Prompt) -> list[str]:
    """Give the names of the caller's own document blocks."""
    return [
        str(block["document"].get("name"))
        for message in prompt.messages or ()
        if isinstance(message, dict)
        for block in message["content"]
        if isinstance(block.get("document"), dict)
    ]


def _texts_in(value: object) -> Iterator[str]:
    """Give every text of a conversation but for what stands for bytes, which is no text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "bytes":
                yield from _texts_in(item)
