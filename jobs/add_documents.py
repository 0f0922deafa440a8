"""Add documents: read what a job's user attached, decide how each goes, and put it to the prompt.

All of it comes before the call. A document that cannot be read costs nothing but the reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.attach import Block, attach, rest_of
from jobs.divide import answers_of_parts, divide
from jobs.document import MediaType
from jobs.errors import DocumentRefused, NoResult
from jobs.model_limits import limits_of
from jobs.pages import pages_of
from jobs.part_prompts import about_answers
from jobs.placing import AsBlock, TooLong, place_documents
from jobs.plan import FRAME_TOKENS, MOST_PARTS, plan_parts
from jobs.timeline import StepName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobs.attach import Attachment
    from jobs.document import Document, DocumentReader, DocumentText
    from jobs.outcome import Divided
    from jobs.placing import Placed, Rest
    from jobs.plan import Plan
    from jobs.prompt import Prompt
    from jobs.running import Run, T
    from jobs.uploads import Uploads


@dataclass(frozen=True, kw_only=True)
class DocumentParts:
    """What adding documents needs.

    `most_characters` bounds the text of all documents of a job, `answer_tokens` is what an answer
    may take where the job does not say, and `most_parts` how many calls a job may be divided into.
    """

    uploads: Uploads
    reader: DocumentReader
    most_characters: int
    answer_tokens: int
    most_parts: int = MOST_PARTS


def add_documents(run: Run, prompt: Prompt) -> Prompt | Divided:
    """Give the prompt with the job's documents in it, or divide the job. Raises DocumentRefused.

    Where the job was divided and its parts are done, their answers stand for the documents.
    """
    documents = run.claim.job.documents
    if not documents:
        return prompt
    if answers := answers_of_parts(run):
        return about_answers(prompt, answers)
    texts = [_read(run, document) for document in documents]
    _check_length(texts, run.parts.documents.most_characters)
    job, parts = run.claim.job, run.parts.documents
    rest = rest_of(prompt, answer_tokens=job.inference.max_tokens or parts.answer_tokens)
    placed = place_documents(texts, limits=limits_of(job.model), rest=rest)
    if isinstance(placed, TooLong):
        detail = "; ".join([*_told_pages(texts), "as text in parts"])
        run.note(StepName.DOCUMENTS_READ, detail=detail)
        return divide(run, prompt, _plan(run, texts, rest, placed))
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


def _plan(run: Run, texts: Sequence[DocumentText], rest: Rest, too_long: TooLong) -> Plan:
    parts = run.parts.documents
    return plan_parts(
        pages_of(texts),
        most=too_long.room - rest.tokens - FRAME_TOKENS,
        answer_tokens=run.claim.job.inference.max_tokens or parts.answer_tokens,
        most_parts=parts.most_parts,
    )


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


def _told_pages(texts: Iterable[DocumentText]) -> list[str]:
    """Say how many pages there are, where a document has pages of its own."""
    has_pages = [text for text in texts if text.document.media_type is MediaType.PDF]
    pages = sum(len(text.pages) for text in has_pages)
    return [f"{pages} page{'s' * (pages != 1)}"] if has_pages else []


def _told(placed: Sequence[Placed]) -> str:
    as_they_are = sum(isinstance(one, AsBlock) for one in placed)
    how = f"{as_they_are} documents as they are, {len(placed) - as_they_are} as text"
    return "; ".join([*_told_pages(one.text for one in placed), how])
