"""Add documents: read what a job's user attached, decide how each goes, and put it to the prompt.

All of it comes before the call. A document that cannot be read costs nothing but the reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.attach import Block, attach, rest_of
from jobs.errors import DocumentRefused, NoResult
from jobs.model_limits import limits_of
from jobs.placing import AsBlock, TooLong, place_documents
from jobs.timeline import StepName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.attach import Attachment
    from jobs.document import Document, DocumentReader, DocumentText
    from jobs.placing import Placed
    from jobs.prompt import Prompt
    from jobs.running import Run, T
    from jobs.uploads import Uploads


@dataclass(frozen=True, kw_only=True)
class DocumentParts:
    """What adding documents needs.

    `most_characters` bounds the text of all documents of a job, `answer_tokens` is what an answer
    may take where the job does not say.
    """

    uploads: Uploads
    reader: DocumentReader
    most_characters: int
    answer_tokens: int


def add_documents(run: Run, prompt: Prompt) -> Prompt:
    """Give the prompt with the job's documents in it. Raises DocumentRefused."""
    documents = run.claim.job.documents
    if not documents:
        return prompt
    texts = [_read(run, document) for document in documents]
    _check_length(texts, run.parts.documents.most_characters)
    placed = _place(run, prompt, texts)
    prompt = attach(prompt, [_attachment(run, one) for one in placed])
    run.note(StepName.DOCUMENTS_READ, detail=_told(placed))
    return prompt


def _read(run: Run, document: Document) -> DocumentText:
    """Read even what will go as it is: what has no text, or cannot be read, is not paid for."""
    reader, check = run.parts.documents.reader, run.lease.check
    return _while_there(run, document, lambda: reader.read(document, check=check))


def _check_length(texts: Sequence[DocumentText], most_characters: int) -> None:
    characters = sum(len(page) for text in texts for page in text.pages)
    if characters > most_characters:
        raise DocumentRefused(
            f"the documents have {characters:,} characters of text together;"
            f" {most_characters:,} are taken here",
            reason="document_too_large",
        )


def _place(run: Run, prompt: Prompt, texts: Sequence[DocumentText]) -> Sequence[Placed]:
    job = run.claim.job
    answer_tokens = job.inference.max_tokens or run.parts.documents.answer_tokens
    rest = rest_of(prompt, answer_tokens=answer_tokens)
    placed = place_documents(texts, limits=limits_of(job.model), rest=rest)
    if isinstance(placed, TooLong):
        raise DocumentRefused(
            f"prompt, documents and answer are about {placed.tokens:,} tokens; {job.model} takes"
            f" {placed.room:,}",
            reason="document_exceeds_context",
        )
    return placed


def _attachment(run: Run, placed: Placed) -> Attachment:
    if not isinstance(placed, AsBlock):
        return placed.text
    document, uploads = placed.text.document, run.parts.documents.uploads
    content = _while_there(run, document, lambda: uploads.load(document))
    return Block(document=document, content=content)


def _while_there(run: Run, document: Document, action: Callable[[], T]) -> T:
    try:
        return run.patiently(action, waiting="documents_wait")
    except NoResult as error:
        gone = f"{document.name} is no longer stored; upload it again and submit the job anew"
        raise DocumentRefused(gone, reason="document_gone") from error


def _told(placed: Sequence[Placed]) -> str:
    as_they_are = sum(isinstance(one, AsBlock) for one in placed)
    pages = sum(len(one.text.pages) for one in placed)
    return (
        f"{pages} pages; {as_they_are} documents as they are, {len(placed) - as_they_are} as text"
    )
