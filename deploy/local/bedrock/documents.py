"""Reads the document blocks of Converse: text formats as text, others by name only."""

import base64
import binascii
import csv
import io
import re
from collections.abc import Mapping
from html.parser import HTMLParser

from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.fields import as_list, as_object, as_text, filled_text

FORMATS = frozenset({"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"})
MOST_DOCUMENTS = 5
MOST_DOCUMENT_BYTES = (
    4_500_000  # PDFs on newer Claude models may be larger; Bedrock checks those alone
)

_TEXT_FORMATS = frozenset({"txt", "md", "html", "csv"})
# The rule of https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
_NAME = re.compile(r"(?!.*\s\s)[A-Za-z0-9\s\-()\[\]]{1,200}")
_BLOCK_TAGS = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "section",
        "article",
        "title",
    ]  # each begins a line
)
_ROWS_READ = 40


def read_document(block: Mapping[str, object], where: str) -> tuple[str, str | None]:
    """Return the text of a document block, and how to name it when the stand-in cannot read it.

    Raises ValidationException as Bedrock does: bad name, unknown format, no or too large a source.
    """
    name = as_text(block.get("name"), f"{where}.name")
    if not _NAME.fullmatch(name):
        raise invalid(
            "The document file name can only contain alphanumeric characters, whitespace, "
            "hyphens, parentheses, and square brackets. The name can't contain more than one "
            "consecutive whitespace character."
        )
    form = as_text(block.get("format", "txt"), f"{where}.format")
    if form not in FORMATS:
        raise invalid(f"Unknown document format {form!r} at {where}.format.")
    source = as_object(block.get("source"), f"{where}.source")
    if "text" in source:
        return as_text(source["text"], f"{where}.source.text"), None
    if "content" in source:
        return _content_text(as_list(source["content"], f"{where}.source.content"), where), None
    if "s3Location" in source:
        return "", f"{name} (in S3)"
    content = _decode(source.get("bytes"), f"{where}.source.bytes")
    if form not in _TEXT_FORMATS:
        return "", f"{name} ({form})"
    return _text_of(content.decode("utf-8", errors="replace"), form), None


def _decode(value: object, where: str) -> bytes:
    try:
        content = base64.b64decode(as_text(value, where), validate=True)
    except binascii.Error as error:
        raise invalid(f"The bytes at {where} are not base64.") from error
    if not content:
        raise invalid(f"The document at {where} is empty.")
    if len(content) > MOST_DOCUMENT_BYTES:
        raise invalid(f"The document at {where} exceeds the maximum size of 4.5 MB.")
    return content


def _content_text(items: list[object], where: str) -> str:
    texts = (
        filled_text(as_object(item, where).get("text"), f"{where}.source.content.{index}.text")
        for index, item in enumerate(items)
    )
    return "\n\n".join(texts)


def _text_of(content: str, form: str) -> str:
    match form:
        case "html":
            page = _Page()
            page.feed(content)
            page.close()
            return page.text()
        case "csv":
            return _table_text(content)
        case _:
            return content


def _table_text(content: str) -> str:
    """Tell a table: its columns, its size, then its first rows as one line each."""
    lines = content.splitlines()
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines[: _ROWS_READ + 1]))))
    except csv.Error:
        return content
    if not rows:
        return content
    told = [f"A table with the columns {', '.join(rows[0])} and {len(lines) - 1} rows."]
    told += [", ".join(row) + "." for row in rows[1:]]
    return "\n\n".join(told)


class _Page(HTMLParser):
    """Collects what a page shows: its text without scripts and styles, a line for each block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._hidden_in: str | None = None

    def text(self) -> str:
        """Return the text read so far."""
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser calls it so
        if tag in {"script", "style"}:
            self._hidden_in = tag
        elif tag in _BLOCK_TAGS:
            self._parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden_in:
            self._hidden_in = None
        elif tag in _BLOCK_TAGS:
            self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._hidden_in is None:
            self._parts.append(data)
