"""jobs.document.DocumentReader: each promise of its docstrings, and what only files can do."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import docx
import pytest

from adapters import documents
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
    a_docx_of,
    a_pdf,
    a_pdf_bomb,
    a_slow_pdf,
    an_encrypted_pdf,
)
from tests.stack import descendants, has_ended, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

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


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<w:sdt><w:sdtContent><w:p>a</w:p></w:sdtContent></w:sdt><w:p>b</w:p>", "a\nb"),
        (
            "<w:p><w:ins><w:r><w:t>a</w:t></w:r></w:ins><w:del><w:r><w:t>b</w:t></w:r></w:del></w:p>",
            "a",
        ),
        ("<w:p><w:hyperlink><w:r><w:t>a</w:t></w:r></w:hyperlink></w:p>", "a"),
        ("<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>a<w:tab/>b<w:br/>c</w:p>", "a\tb\nc"),
        (
            (
                "<w:tbl><w:tr><w:tc><w:p>a</w:p></w:tc><w:tc><w:tbl><w:tr><w:tc><w:p>b</w:p></w:tc>"
                "</w:tr></w:tbl><w:p>c</w:p></w:tc></w:tr></w:tbl>"
            ),
            "a\tb c",
        ),
        (
            (
                "<w:p>a<mc:AlternateContent><mc:Choice><w:txbxContent><w:p>b</w:p></w:txbxContent>"
                "</mc:Choice><mc:Fallback><w:p>b</w:p></mc:Fallback></mc:AlternateContent></w:p>"
            ),
            "b\na",
        ),
        ("<w:p>x</w:p>" * 20_000, "\n".join("x" * 20_000)),
    ],
    ids=["controls", "changes", "links", "signs", "tables", "boxes", "many"],
)
def test_a_word_document_has_the_text_at_any_depth(
    uploads: MemoryUploads, body: str, told: str
) -> None:
    [page] = read(uploads, a_docx_of(body), MediaType.DOCX).pages

    assert page == told


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


@pytest.mark.parametrize(
    "content",
    [
        b"<a b='" * 300_000,
        b"<a" * 1_000_000,
        b"<!--" * 500_000,
        b"<" * 90_000,
        b"<a " + b" ".join(b"a%d=1" % number for number in range(100_000)),
        b"<b>" * 100_000 + b"<p>" * 100_000,
        b"<a><div>" * 100_000,
        b"<table><tr><td>" * 100_000,
    ],
    ids=["quotes", "tags", "comments", "signs", "attributes", "formats", "links", "tables"],
)
def test_a_web_page_that_is_made_to_take_long_does_not(
    uploads: MemoryUploads, content: bytes
) -> None:
    [page] = read(uploads, b"the top<p>" + content, MediaType.HTML).pages

    assert page.startswith("the top")


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
        (b"a</template>b</div>c", "abc"),
        (b"<svg><title>one</title></svg><title>two</title>x", "two\n\nx"),
        (b"a<!-- b --><?c?><![CDATA[d]]>e", "ae"),
        (b"a &lt; b &nbsp;&#x41;", "a < b \u00a0A"),
        (
            b"<!doctype html><html><head><meta charset=utf-8><title>T</title><h1>Hi</h1><p>Body",
            "T\n\nHi\n\nBody",
        ),
        (b"<html><head><p>para</p></html>", "para"),
        (b"<body><p>a<head><p>b", "a\n\nb"),
        (b"<title>T</title>x<title>U</title>", "T\n\nx"),
        (b"<title>Use <br> tag</title>x", "Use <br> tag\n\nx"),
        (b"<head><noscript><p>a</p></noscript><title>T</title></head>x", "T\n\nx"),
        (
            b"<table> <tr> <th>a</th> <th>b <tr><td><p>c</p><p>d</p><td>e</table>f",
            "a\tb\nc d\te\n\nf",
        ),
        (b"<table><tr><td>a<td><td>b</table><table><tr><td><p>c<p>d</table>", "a\t\tb\n\nc\n\nd"),
        (b"<table><tr><td>a<td><table><tr><td>b<td>c<tr><td>d</table></table>", "a\tb\tc\nd"),
        (
            b"<p hidden>a<p>b<i style='top:0;DISPLAY : none'>c</i><u style=visibility:hidden>d",
            "b",
        ),
        (b"<option>A<option>B", "A\nB"),
        (b"<summary>S</summary>Body", "S\nBody"),
        (b"<ul><li>One<li>Two<br>lines</ul>", "One\nTwo\nlines"),
        (b"a\n  b<pre>c\n  d</pre>", "a b\n\nc\n  d"),
        (b"a<!-- b", "a"),
        (b"a&#" + b"9" * 5_000 + b";b", "a\ufffdb"),
        (b"a<![foo", "a"),
        (b"a<![if IE]>b<![ endif]>c", "abc"),
        ("<meta charset=latin1>é".encode(), "é"),
    ],
    ids=[
        "head",
        "script",
        "template",
        "ends",
        "titles",
        "comments",
        "references",
        "a head without an end",
        "a paragraph in the head",
        "a head in the body",
        "a second title",
        "a tag in a title",
        "a noscript in the head",
        "rows",
        "empty and single cells",
        "a table in a table",
        "hidden",
        "options",
        "summary",
        "list",
        "pre",
        "a comment without an end",
        "a reference without bounds",
        "a declaration without an end",
        "conditions",
        "charset",
    ],
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


# Made when it is asked for: the bombs take a second.
UNREADABLE: dict[str, tuple[Callable[[], bytes], MediaType, str]] = {
    "password": (lambda: an_encrypted_pdf("secret"), MediaType.PDF, "document_encrypted"),
    "owner's password": (
        lambda: an_encrypted_pdf("", owner="x"),
        MediaType.PDF,
        "document_encrypted",
    ),
    "pdf, cut": (lambda: b"%PDF-1.7\nnothing more", MediaType.PDF, "document_broken"),
    "pdf, noise": (lambda: b"%PDF-1.7\n" + b"\x00\xff" * 5_000, MediaType.PDF, "document_broken"),
    "pdf, a zip": (lambda: a_docx("Not a PDF"), MediaType.PDF, "document_broken"),
    "pdf, a text": (lambda: b"plain", MediaType.PDF, "document_broken"),
    "pdf, a bomb": (a_pdf_bomb, MediaType.PDF, "document_too_large"),
    "pdf, too much text": (lambda: a_pdf(*["x" * 60_000] * 2), MediaType.PDF, "document_too_large"),
    "pdf, blank": (lambda: a_pdf(""), MediaType.PDF, "document_without_text"),
    "docx, a bomb": (a_docx_bomb, MediaType.DOCX, "document_too_large"),
    "docx, blank": (a_docx, MediaType.DOCX, "document_without_text"),
    "docx, a pdf": (lambda: a_pdf("Not a DOCX"), MediaType.DOCX, "document_broken"),
    "docx, noise": (lambda: b"PK\x03\x04 and so on", MediaType.DOCX, "document_broken"),
    "docx, cut": (lambda: a_docx("Cut")[:-400], MediaType.DOCX, "document_broken"),
    "docx, password": (
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 90,
        MediaType.DOCX,
        "document_encrypted",
    ),
    "html, blank": (lambda: b"<script>only()</script>", MediaType.HTML, "document_without_text"),
    "text, a pdf": (lambda: a_pdf("Not a text"), MediaType.TEXT, "document_broken"),
    "text, utf-16": (lambda: "text".encode("utf-16"), MediaType.TEXT, "document_broken"),
    "csv, zeros": (lambda: b"a,b\x00c", MediaType.CSV, "document_broken"),
    "text, too much": (lambda: b"x" * 100_001, MediaType.TEXT, "document_too_large"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_says_why(uploads: MemoryUploads, name: str) -> None:
    make, kind, reason = UNREADABLE[name]
    with pytest.raises(DocumentRefused) as refused:
        read(uploads, make(), kind)

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


def test_a_process_that_reads_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "slow.pdf").write_bytes(a_slow_pdf())
    program = (
        "import os, subprocess, sys; from adapters.documents import _PROGRAM;"
        "child = subprocess.Popen([sys.executable, '-I', _PROGRAM, 'application/pdf', '1000', '60',"
        f" '{1024 * _MIB}', str(os.getpid())], stdin=open('slow.pdf'), stdout=subprocess.DEVNULL);"
        "child.wait()"
    )
    root = str(Path(documents.__file__).parents[1])
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        wait_until(lambda: descendants(parent.pid), "the process reads")
        [child] = descendants(parent.pid)
        parent.kill()

    wait_until(lambda: has_ended(child), "the process that reads ends, too")


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
