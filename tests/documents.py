"""Documents for tests: sound ones, and those that somebody made to do harm or by mistake."""

from __future__ import annotations

import io
import random
import re
import textwrap
import zipfile
import zlib

import docx
import pypdf
from fpdf import FPDF

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PDF = "application/pdf"
_MIB = 1024 * 1024
_PLACES = ("Aberdeen", "Bergen", "Cork", "Dublin", "Esbjerg", "Falmouth", "Gdansk", "Hull")
_THINGS = ("revenue", "margin", "inventory", "capacity", "headcount", "liability", "turnover")


def a_pdf(*pages: str) -> bytes:
    """Make a PDF with a text a page."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    for page in pages:
        pdf.add_page()
        if page:
            pdf.multi_cell(0, text=page)
    return bytes(pdf.output())


def a_dense_pdf(pages: int) -> bytes:
    """Make a PDF of full pages, some 400 words each; every sentence names the page it is on."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=9)
    for number in range(1, pages + 1):
        pdf.add_page()
        for line, text in enumerate(textwrap.wrap(dense_text(number), 110)):
            pdf.text(10, 15 + 5 * line, text)
    return bytes(pdf.output())


def dense_text(page: int) -> str:
    """Give what a page of a dense PDF says."""
    chance = random.Random(page)  # noqa: S311 - a text, not a secret
    return " ".join(
        f"On sheet {page} the {chance.choice(_THINGS)} of {chance.choice(_PLACES)} rose by"
        f" {chance.randint(2, 98)} percent while its {chance.choice(_THINGS)} did not change."
        for _ in range(22)
    )


def an_encrypted_pdf(password: str, *, owner: str | None = None) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(a_pdf("Nobody may read this")))
    writer.encrypt(password, owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def a_pdf_with_content(stream: bytes) -> bytes:
    """Make a PDF of one page, whose content inflates to `stream`."""
    packed = zlib.compress(stream, 9)
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 " + font + b" >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, written in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, written)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table)


def a_pdf_bomb() -> bytes:
    """Make 200 KB that inflate to 200 MiB."""
    return a_pdf_with_content(b" " * 200 * _MIB)


def a_slow_pdf() -> bytes:
    """Make a small PDF whose one page takes minutes to read."""
    return a_pdf_with_content(b"BT /F1 12 Tf 1 0 0 1 9 9 Tm (x) Tj ET\n" * 1_500_000)


def a_docx(*paragraphs: str, table: tuple[tuple[str, ...], ...] = ()) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        cells = document.add_table(rows=len(table), cols=len(table[0]))
        for row, texts in zip(cells.rows, table, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def a_docx_of(body: str) -> bytes:
    """Make a DOCX of nothing but the XML of a body, in which bare words stand for runs."""
    runs = re.sub(r"(?<=>)([^<>]+)(?=<(?!/w:t>))", r"<w:r><w:t>\1</w:t></w:r>", body)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml",
            '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
            ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:body>'
            f"{runs}</w:body></w:document>",
        )
    return out.getvalue()


def a_docx_bomb() -> bytes:
    """Make a DOCX with one part more, which inflates to 200 MiB."""
    out = io.BytesIO(a_docx("Small"))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/more.xml", b" " * 200 * _MIB)
    return out.getvalue()
