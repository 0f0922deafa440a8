"""jobs.document.DocumentReader: each promise of its docstrings, and what only files can do."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import docx
import pytest

from adapters.documents import BoundedReader, ReadingBounds
from adapters.memory import ManualClock
from adapters.memory_uploads import MemoryUploads, PlainReader
from jobs.document import MediaType, UploadId
from jobs.errors import DocumentRefused, HandedOver, NoResult
from jobs.job import UserId
from jobs.uploads import Declared
from tests.documents import (
    a_docx,
    a_docx_bomb,
    a_pdf,
    a_pdf_bomb,
    a_slow_pdf,
    an_encrypted_pdf,
)
from tests.stack import descendants, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.document import Document, DocumentReader, DocumentText

ADA = UserId("ada")
_MIB = 1024 * 1024
BOUNDS = ReadingBounds(characters=100_000, seconds=60, memory_bytes=1024 * _MIB)


@pytest.fixture
def uploads() -> MemoryUploads:
    return MemoryUploads(ManualClock())


@pytest.fixture(params=["plain", "bounded"])
def reader(request: pytest.FixtureRequest, uploads: MemoryUploads) -> DocumentReader:
    return PlainReader(uploads=uploads) if request.param == "plain" else bounded(uploads)


def bounded(uploads: MemoryUploads, bounds: ReadingBounds = BOUNDS) -> BoundedReader:
    return BoundedReader(uploads=uploads, bounds=bounds, at_once=2)


def put(uploads: MemoryUploads, content: bytes, kind: MediaType = MediaType.TEXT) -> Document:
    one = UploadId("upl_1")
    declared = Declared(
        user=ADA,
        name="report",
        media_type=kind,
        size=len(content),
        sha256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
    )
    signed = uploads.sign(one, declared, lifetime=timedelta(minutes=1))
    uploads.put(signed.url, signed.headers, content)
    document = uploads.find(ADA, one)
    assert document is not None
    return document


def read(uploads: MemoryUploads, content: bytes, kind: MediaType) -> DocumentText:
    return bounded(uploads).read(put(uploads, content, kind))


def reason_of(reader: DocumentReader, document: Document) -> str:
    with pytest.raises(DocumentRefused) as refused:
        reader.read(document)
    return refused.value.reason


def test_a_text_is_one_page(reader: DocumentReader, uploads: MemoryUploads) -> None:
    document = put(uploads, "Zoë drinks ☕\n".encode())

    text = reader.read(document)

    assert (text.document, text.pages) == (document, ("Zoë drinks ☕\n",))


def test_a_byte_order_mark_is_no_text(reader: DocumentReader, uploads: MemoryUploads) -> None:
    assert reader.read(put(uploads, b"\xef\xbb\xbfHello")).pages == ("Hello",)


def test_what_is_no_text_is_broken(reader: DocumentReader, uploads: MemoryUploads) -> None:
    assert reason_of(reader, put(uploads, b"Caf\xe9")) == "document_broken"


def test_blank_text_is_none(reader: DocumentReader, uploads: MemoryUploads) -> None:
    assert reason_of(reader, put(uploads, b" \n\t\n")) == "document_without_text"


def test_bytes_that_are_gone_are_said_to_be(reader: DocumentReader, uploads: MemoryUploads) -> None:
    document = put(uploads, b"soon gone")
    uploads.delete(document.key)

    with pytest.raises(NoResult):
        reader.read(document)


def test_bytes_that_were_not_declared_are_refused(
    reader: DocumentReader, uploads: MemoryUploads
) -> None:
    document = put(uploads, b"as declared")
    uploads.spoil(document.key, b"as no one said")

    assert reason_of(reader, document) == "document_broken"


def test_what_the_check_raises_ends_the_reading(
    reader: DocumentReader, uploads: MemoryUploads
) -> None:
    def drained() -> None:
        raise HandedOver("the worker drains")

    with pytest.raises(HandedOver):
        reader.read(put(uploads, b"Hello"), check=drained)


def test_a_pdf_has_a_text_a_page(uploads: MemoryUploads) -> None:
    content = a_pdf("The first page", "", "The third page")

    text = read(uploads, content, MediaType.PDF)

    assert text.pages == ("The first page", "", "The third page")


def test_a_word_document_has_its_paragraphs_and_tables_in_order(uploads: MemoryUploads) -> None:
    content = a_docx("Minutes", "All agreed.", table=(("who", "what"), ("Zoë", "coffee ☕")))

    [page] = read(uploads, content, MediaType.DOCX).pages

    assert page == "Minutes\nAll agreed.\nwho\twhat\nZoë\tcoffee ☕"


def test_a_cell_that_spans_columns_is_read_once(uploads: MemoryUploads) -> None:
    document = docx.Document()
    table = document.add_table(rows=1, cols=3)
    table.rows[0].cells[0].merge(table.rows[0].cells[1]).text = "wide"
    table.rows[0].cells[2].text = "narrow"
    file = io.BytesIO()
    document.save(file)

    [page] = read(uploads, file.getvalue(), MediaType.DOCX).pages

    assert page == "wide\tnarrow"


def test_runs_of_blanks_in_a_web_page_are_read_in_one_pass(uploads: MemoryUploads) -> None:
    content = b"<p>x" + b" " * 90_000 + b"y</p>" + b"\n \n" * 1000 + b"<p>z</p>"

    [page] = read(uploads, content, MediaType.HTML).pages

    assert page.split() == ["x", "y", "z"]
    assert "\n\n\n" not in page


def test_a_web_page_has_what_it_shows(uploads: MemoryUploads) -> None:
    content = (
        b"<!doctype html><html><head><title>Coffee &amp; tea</title><style>p{}</style></head><body>"
        b"<script>steal()</script><h1>Hello</h1><p>W<b>or</b>ld</p><template>x</template>"
        b"<ul><li>One<li>Two</ul></body></html>"
    )

    [page] = read(uploads, content, MediaType.HTML).pages

    assert page.split() == ["Coffee", "&", "tea", "Hello", "World", "One", "Two"]


def test_tags_in_tags_in_tags_cost_no_more_than_others(uploads: MemoryUploads) -> None:
    deep = b"<div>" * 60_000 + b"the bottom" + b"</div>" * 60_000
    hidden = b"the bottom" + b"<noscript>" * 60_000 + b"<p>not this"

    for content in (deep, b"<b>" * 60_000 + b"the bottom", hidden):
        [page] = read(uploads, content, MediaType.HTML).pages
        assert page.strip() == "the bottom"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"<head><title>T</title><style>p{}</style><body>shown", "T\n\nshown"),
        (b"<script>if (a<b) '</p>'</script>shown", "shown"),
        (b"a<template>b<template>c</template>d</template>e", "ae"),
        (b"a</template>b</div>c", "ab\nc"),
        (b"<svg><title>one</title></svg><title>two</title>x", "one\n\nonetwox"),
        (b"a<!-- b --><?c?><![CDATA[d]]>e", "ade"),
        (b"a &lt; b &nbsp;&#x41;", "a < b \u00a0A"),
    ],
    ids=["head", "script", "template", "ends", "titles", "comments", "references"],
)
def test_markup_as_it_is_found_shows_what_a_page_does(
    uploads: MemoryUploads, content: bytes, shown: str
) -> None:
    assert read(uploads, content, MediaType.HTML).pages == (shown,)


@pytest.mark.parametrize("kind", [MediaType.CSV, MediaType.MARKDOWN])
def test_written_text_is_as_it_was_written(uploads: MemoryUploads, kind: MediaType) -> None:
    assert read(uploads, b"# a,b\n\n1,2\n", kind).pages == ("# a,b\n\n1,2\n",)


def test_control_characters_are_left_out(uploads: MemoryUploads) -> None:
    assert read(uploads, b"a\x07b\x1b[0m\tc\n", MediaType.TEXT).pages == ("ab[0m\tc\n",)


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (an_encrypted_pdf("secret"), MediaType.PDF, "document_encrypted"),
        (an_encrypted_pdf("", owner="x"), MediaType.PDF, "document_encrypted"),
        (b"%PDF-1.7\nnothing more", MediaType.PDF, "document_broken"),
        (b"%PDF-1.7\n" + b"\x00\xff" * 5_000, MediaType.PDF, "document_broken"),
        (a_docx("Not a PDF"), MediaType.PDF, "document_broken"),
        (b"plain", MediaType.PDF, "document_broken"),
        (a_pdf_bomb(), MediaType.PDF, "document_too_large"),
        (a_pdf(*["x" * 60_000] * 2), MediaType.PDF, "document_too_large"),
        (a_pdf(""), MediaType.PDF, "document_without_text"),
        (a_docx_bomb(), MediaType.DOCX, "document_too_large"),
        (a_docx(), MediaType.DOCX, "document_without_text"),
        (a_pdf("Not a DOCX"), MediaType.DOCX, "document_broken"),
        (b"PK\x03\x04 and so on", MediaType.DOCX, "document_broken"),
        (a_docx("Cut")[:-400], MediaType.DOCX, "document_broken"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 90, MediaType.DOCX, "document_encrypted"),
        (b"<script>only()</script>", MediaType.HTML, "document_without_text"),
        (a_pdf("Not a text"), MediaType.TEXT, "document_broken"),
        ("text".encode("utf-16"), MediaType.TEXT, "document_broken"),
        (b"a,b\x00c", MediaType.CSV, "document_broken"),
        (b"x" * 100_001, MediaType.TEXT, "document_too_large"),
    ],
    ids=[
        "password",
        "owner's password",
        "pdf, cut",
        "pdf, noise",
        "pdf, a zip",
        "pdf, a text",
        "pdf, a bomb",
        "pdf, too much text",
        "pdf, blank",
        "docx, a bomb",
        "docx, blank",
        "docx, a pdf",
        "docx, noise",
        "docx, cut",
        "docx, password",
        "html, blank",
        "text, a pdf",
        "text, utf-16",
        "csv, zeros",
        "text, too much",
    ],
)
def test_what_cannot_be_read_says_why(
    uploads: MemoryUploads, content: bytes, kind: MediaType, reason: str
) -> None:
    with pytest.raises(DocumentRefused) as refused:
        read(uploads, content, kind)

    assert refused.value.reason == reason
    assert str(refused.value).startswith("report ")


def test_what_takes_too_long_is_ended(uploads: MemoryUploads) -> None:
    bounds = ReadingBounds(characters=10_000_000, seconds=1, memory_bytes=1024 * _MIB)
    document = put(uploads, a_slow_pdf(), MediaType.PDF)

    assert reason_of(bounded(uploads, bounds), document) == "document_too_large"


def test_what_takes_too_much_memory_is_ended(uploads: MemoryUploads) -> None:
    bounds = ReadingBounds(characters=10_000_000, seconds=60, memory_bytes=160 * _MIB)
    document = put(uploads, a_slow_pdf(), MediaType.PDF)

    assert reason_of(bounded(uploads, bounds), document) == "document_too_large"


def test_a_drain_ends_the_process_that_reads(uploads: MemoryUploads) -> None:
    document, drains = put(uploads, a_slow_pdf(), MediaType.PDF), threading.Event()
    ended: list[Exception] = []

    def check() -> None:
        if drains.is_set():
            raise HandedOver("the worker drains")

    def run() -> None:
        try:
            bounded(uploads).read(document, check=check)
        except HandedOver as error:
            ended.append(error)

    before = descendants(os.getpid())
    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: descendants(os.getpid()) - before, "the process reads")

    drains.set()

    thread.join(30)
    assert len(ended) == 1
    assert not descendants(os.getpid()) - before


def test_a_reader_reads_few_at_a_time(uploads: MemoryUploads) -> None:
    document, waited = put(uploads, a_slow_pdf(), MediaType.PDF), threading.Event()
    reader = BoundedReader(uploads=uploads, bounds=BOUNDS, at_once=1)
    drains = threading.Event()

    def until_drained() -> None:
        if drains.is_set():
            raise HandedOver("the worker drains")

    def read_slowly() -> None:
        with pytest.raises(HandedOver):
            reader.read(document, check=until_drained)

    def wait_in_vain() -> None:
        waited.set()
        raise HandedOver("the worker drains")

    before = descendants(os.getpid())
    thread = threading.Thread(target=read_slowly)
    thread.start()
    wait_until(lambda: descendants(os.getpid()) - before, "the first one reads")
    running = descendants(os.getpid())

    with pytest.raises(HandedOver):
        reader.read(document, check=wait_in_vain)

    assert waited.is_set()
    assert descendants(os.getpid()) <= running
    drains.set()
    thread.join(30)


def test_a_program_of_ours_that_fails_is_no_fault_of_the_document(
    uploads: MemoryUploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "extract_text.py"
    program.write_text("import a_parser_that_nobody_installed")
    monkeypatch.setattr("adapters.documents._PROGRAM", program)

    with pytest.raises(RuntimeError, match="a_parser_that_nobody_installed"):
        read(uploads, b"Hello", MediaType.TEXT)
