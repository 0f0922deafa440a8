"""The program that takes the text out of one document, in a process of its own.

It reads the document from standard input and writes one JSON object: `{"pages": [...]}`, or
`{"refused": code, "message": words}`. Parsers of strangers' files hang, and files are made to blow
up: so it binds itself before it imports one, and whoever started it kills it when time is up. It
is run by its path (adapters/documents.py), gets no credentials, and ends when that one does.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import logging
import os
import re
import resource
import signal
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUT_OF_MEMORY = 3  # the exit status where not even that could be told

_MOST_PAGES = 5_000
_MOST_INFLATED_BYTES = 256 * 1024 * 1024  # of a DOCX, pictures and all
_MOST_XML_BYTES = 32 * 1024 * 1024  # of it; a parsed tree takes ten times as much
_MOST_ZIP_ENTRIES = 10_000
_PDF_WITHIN_BYTES = 1024  # where readers look for a PDF's first word
_OLE = b"\xd0\xcf\x11\xe0"  # an Office file with a password is one of these, and no ZIP
_XML = (".xml", ".rels")
_WORD_BODY = "word/document.xml"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HTML = "text/html"
_HTML_SECONDS = 20  # of processor: 10 MB of honest text take a few, the rest is made to take long
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


class Refused(Exception):
    """The document cannot be read; the words follow its name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(
    media_type: str, characters: str, seconds: str, memory_bytes: str, parent: str = ""
) -> int:
    """Read standard input and tell its text, within the given bounds and while `parent` lives."""
    if parent:
        _end_with(int(parent))
    most = min(int(seconds), _HTML_SECONDS) if media_type == _HTML else int(seconds)
    _bind_oneself(most, int(memory_bytes))
    # Behind all else, so that no file of ours stands in for a library's.
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    try:
        pages = _bounded(_READERS[media_type](sys.stdin.buffer), int(characters))
        if not any(page.strip() for page in pages):
            raise _without_text()
        sys.stdout.write(json.dumps({"pages": pages}))
    except Refused as refused:
        sys.stdout.write(json.dumps({"refused": refused.code, "message": str(refused)}))
    except (MemoryError, RecursionError):
        return OUT_OF_MEMORY
    return 0


def _end_with(parent: int) -> None:
    """Have the kernel kill this process with the thread that started it, which waits for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # which died before the kernel was told
        sys.exit(-signal.SIGKILL)


def _bind_oneself(seconds: int, memory_bytes: int) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _bounded(pages: Iterator[str], characters: int) -> list[str]:
    kept, left = [], characters
    for page in pages:
        # Halves of surrogate pairs and control characters are no text that anyone could store.
        text = _CONTROLS.sub("", page).encode("utf-8", "replace").decode()
        left -= len(text)
        if left < 0:
            raise _too_large(f"has more than {characters:,} characters of text")
        kept.append(text)
    return kept


def _read_pdf(file: BinaryIO) -> Iterator[str]:
    if b"%PDF-" not in file.read(_PDF_WITHIN_BYTES):
        raise _broken("is no PDF")
    file.seek(0)
    import pypdf  # noqa: PLC0415 - within the bounds, and only where it is needed
    from pypdf.errors import DependencyError, LimitReachedError  # noqa: PLC0415 - the same

    with _parsing(bombs=(LimitReachedError,)):
        try:
            reader = pypdf.PdfReader(file)
        except DependencyError as error:
            raise _encrypted() from error
        if reader.is_encrypted:
            raise _encrypted()
        count = len(reader.pages)
    if count > _MOST_PAGES:
        raise _too_large(f"has {count:,} pages; {_MOST_PAGES:,} are read at most")
    for number in range(count):
        with _parsing(bombs=(LimitReachedError,), where=f"on page {number + 1}"):
            yield reader.pages[number].extract_text()


def _read_docx(file: BinaryIO) -> Iterator[str]:
    if file.read(len(_OLE)) == _OLE:
        raise _encrypted()
    file.seek(0)
    with _parsing():
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    if _WORD_BODY not in {entry.filename for entry in entries}:
        raise _broken("is no DOCX")
    if any(entry.flag_bits & 1 for entry in entries):
        raise _encrypted()
    # What an entry declares here is all that is ever inflated of it.
    inflated = sum(entry.file_size for entry in entries)
    of_xml = sum(entry.file_size for entry in entries if entry.filename.endswith(_XML))
    is_bomb = inflated > _MOST_INFLATED_BYTES or of_xml > _MOST_XML_BYTES
    if is_bomb or len(entries) > _MOST_ZIP_ENTRIES:
        raise _too_large("is too large once it is unpacked")
    from adapters import word_text  # noqa: PLC0415 - within the bounds, and only where it is needed

    with _parsing(), archive.open(_WORD_BODY) as body:
        yield word_text.text_of(body)


def _read_html(file: BinaryIO) -> Iterator[str]:
    """Give what a page shows: its title and its body, without scripts and styles."""
    from adapters import page_text  # noqa: PLC0415 - within the bounds, and only where it is needed

    [text] = _read_text(file)
    with _parsing():
        yield page_text.text_of(text)


def _read_text(file: BinaryIO) -> Iterator[str]:
    content = file.read()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise _broken("is not text in UTF-8")
    try:
        yield content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(f"is not text in UTF-8: see byte {error.start:,}") from error


_READERS: dict[str, Callable[[BinaryIO], Iterator[str]]] = {
    "application/pdf": _read_pdf,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": _read_docx,
    _HTML: _read_html,
    "text/markdown": _read_text,
    "text/csv": _read_text,
    "text/plain": _read_text,
}


@contextlib.contextmanager
def _parsing(*, bombs: tuple[type[Exception], ...] = (), where: str = "") -> Iterator[None]:
    """Say of whatever a parser raises that the document is broken, or that it blows up."""
    try:
        yield
    except (Refused, MemoryError, RecursionError):
        raise
    except bombs as error:
        raise _too_large("is too large once it is unpacked") from error
    except Exception as error:
        raise _broken(f"cannot be read {where}".rstrip()) from error


def _broken(message: str) -> Refused:
    return Refused("document_broken", message)


def _encrypted() -> Refused:
    return Refused("document_encrypted", "is encrypted; upload it without a password")


def _too_large(message: str) -> Refused:
    return Refused("document_too_large", message)


def _without_text() -> Refused:
    return Refused("document_without_text", "has no text; scanned pages need OCR first")


def _end(status: int) -> NoReturn:
    """End without what an interpreter tidies up, which wants memory, too."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        sys.stdout.flush()
    sys.exit(status)


if __name__ == "__main__":
    _end(main(*sys.argv[1:]))
