"""Documents through the real system: uploaded to S3, read by a worker, given to the model."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.documents import (
    DOCX,
    PDF,
    a_docx,
    a_docx_bomb,
    a_pdf,
    a_pdf_bomb,
    an_encrypted_pdf,
)
from tests.integration.test_main_path import ended, result_of, row_of, submit
from tests.stack import http, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack import Clients, LocalStack, System

TAKES_DOCUMENTS = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
TAKES_TEXT = "amazon.nova-micro-v1:0"
TAKES_LITTLE = "meta.llama2-13b-chat-v1"
SENTENCE = "The harbour master of {} keeps seventeen lanterns burning through every winter storm. "


def upload(
    system: System,
    content: bytes,
    kind: str,
    *,
    name: str = "report",
    headers: Mapping[str, str] | None = None,
) -> str:
    """Upload as a client does, and give the upload's id."""
    declared = {
        "content_type": kind,
        "bytes": len(content),
        "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "name": name,
    }
    answer = http.post(f"{system.url}/v1/uploads", json=declared, headers=headers)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    offer = answer.json()
    put = http.request(offer["method"], offer["url"], content=content, headers=offer["headers"])
    assert put.status_code == httpx.codes.OK, put.text
    return str(offer["upload_id"])


def ask(system: System, *uploads: str, model: str, text: str = "Sum up.") -> dict[str, Any]:
    documents = [{"upload_id": one} for one in uploads]
    job_id = submit(system, {"prompt": text, "documents": documents, "model": model})["id"]
    return ended(system, job_id)


def how_they_went(system: System, job_id: str) -> str:
    steps = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
    [step] = [step for step in steps if step["step"] == "documents_read"]
    return str(step["detail"])


def a_story(place: str) -> str:
    return SENTENCE.format(place) * 12


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (a_pdf(a_story("Aberdeen"), a_story("Aberdeen")), PDF),
        (a_docx(a_story("Aberdeen")), DOCX),
        (f"<html><body><p>{a_story('Aberdeen')}</p></body></html>".encode(), "text/html"),
        (a_story("Aberdeen").encode(), "text/markdown"),
        (a_story("Aberdeen").encode(), "text/csv"),
        (a_story("Aberdeen").encode(), "text/plain"),
    ],
    ids=["pdf", "docx", "html", "markdown", "csv", "text"],
)
def test_each_kind_of_document_is_read_for_a_model_that_takes_text(
    system: System, stand_ins: LocalStack, content: bytes, kind: str
) -> None:
    job = ask(system, upload(system, content, kind), model=TAKES_TEXT)

    assert job["status"] == "COMPLETED", job
    assert "Aberdeen" in result_of(system, job["id"])
    assert how_they_went(system, job["id"]).endswith("0 documents as they are, 1 as text")
    [call] = stand_ins.model_calls(job["id"])
    assert (call["model"], call["outcome"]) == (TAKES_TEXT, "completed")


def test_a_model_that_takes_documents_gets_them_as_they_are(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    pdf = upload(system, a_pdf(a_story("Bergen")), PDF, name="Zoë's report_2.pdf")
    text = upload(system, a_story("Cork").encode(), "text/plain", name="Zoë's report 2.pdf")

    job = ask(system, pdf, text, model=TAKES_DOCUMENTS)

    assert job["status"] == "COMPLETED", job
    assert "Cork" in result_of(system, job["id"])
    assert how_they_went(system, job["id"]) == "1 page; 2 documents as they are, 0 as text"
    assert len(stand_ins.model_calls(job["id"])) == 1
    row = row_of(stand_ins, clients, job["id"])
    assert [one["M"]["UploadId"]["S"] for one in row["Documents"]["L"]] == [pdf, text]
    assert "documents" not in job


def test_documents_go_into_the_first_turn_of_a_conversation(system: System) -> None:
    document = upload(system, a_story("Dublin").encode(), "text/plain")
    turns = [
        {"role": "user", "content": [{"text": "Read this."}]},
        {"role": "assistant", "content": [{"text": "I have."}]},
        {"role": "user", "content": [{"text": "Sum up."}]},
    ]

    body = {"messages": turns, "documents": [{"upload_id": document}], "model": TAKES_TEXT}
    job = ended(system, submit(system, body)["id"])

    assert job["status"] == "COMPLETED", job
    assert "Dublin" in result_of(system, job["id"])


UNREADABLE = {
    "encrypted": (an_encrypted_pdf("secret"), PDF, "document_encrypted"),
    "broken": (b"%PDF-1.7\nthe rest is missing", PDF, "document_broken"),
    "of another type": (a_docx("Not a PDF"), PDF, "document_broken"),
    "a bomb": (a_pdf_bomb(), PDF, "document_too_large"),
    "blank": (a_pdf("", ""), PDF, "document_without_text"),
    "a zip bomb": (a_docx_bomb(), DOCX, "document_too_large"),
    "a blank docx": (a_docx(), DOCX, "document_without_text"),
    "in latin-1": ("Café".encode("latin-1"), "text/plain", "document_broken"),
}


@pytest.mark.parametrize("model", [TAKES_DOCUMENTS, TAKES_TEXT])
@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_fails_the_job_and_is_not_paid_for(
    system: System, stand_ins: LocalStack, what: str, model: str
) -> None:
    content, kind, code = UNREADABLE[what]
    sound = upload(system, a_story("Esbjerg").encode(), "text/plain")
    spoiled = upload(system, content, kind, name="spoiled")

    job = ask(system, sound, spoiled, model=model)

    assert (job["status"], job["error"]["code"]) == ("FAILED", code), job
    assert job["error"]["message"].startswith("spoiled ")
    assert not job["error"]["retryable"]
    assert stand_ins.model_calls(job["id"]) == []


def test_a_document_that_is_gone_when_its_job_runs_fails_the_job_unpaid(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    document = upload(system, a_story("Faro").encode(), "text/plain", name="minutes")
    first = ask(system, document, model=TAKES_TEXT)
    row = row_of(stand_ins, clients, first["id"])
    key = row["Documents"]["L"][0]["M"]["Key"]["S"]
    body = {
        "prompt": "Sum up. <<stand-in: throttle_first=1>>",
        "documents": [{"upload_id": document}],
        "model": TAKES_TEXT,
    }
    job_id = submit(system, body)["id"]
    bucket = stand_ins.environ["LONGHAUL_BUCKET"]
    wait_until(lambda: stand_ins.model_calls(job_id), "the first call is refused")

    clients.s3.delete_object(Bucket=bucket, Key=key)

    job = ended(system, job_id)
    assert (job["status"], job["error"]["code"]) == ("FAILED", "document_gone")
    assert [call["outcome"] for call in stand_ins.model_calls(job_id)] == ["throttled"]
    answer = http.post(f"{system.url}/v1/jobs", json=body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["field"] == "documents.0.upload_id"


def test_what_is_too_long_for_its_model_fails_the_job_unpaid(
    system: System, stand_ins: LocalStack
) -> None:
    document = upload(system, (a_story("Ghent") * 500).encode(), "text/plain")

    job = ask(system, document, model=TAKES_LITTLE)  # less than its answer may take

    assert (job["status"], job["error"]["code"]) == ("FAILED", "document_exceeds_context"), job
    assert stand_ins.model_calls(job["id"]) == []


def test_a_document_of_many_pages_and_megabytes_goes_as_text(system: System) -> None:
    pages = [a_story("Hamburg")] * 3 + ["Lanterns."] * 117

    job = ask(system, upload(system, a_pdf(*pages), PDF), model=TAKES_DOCUMENTS)

    assert job["status"] == "COMPLETED", job
    assert how_they_went(system, job["id"]) == "120 pages; 0 documents as they are, 1 as text"


def test_neither_names_nor_words_of_documents_are_logged(system: System) -> None:
    document = upload(system, a_story("Inverness").encode(), "text/plain", name="Vertraulich.txt")

    ask(system, document, model=TAKES_TEXT)

    assert system.program is not None
    assert "Inverness" not in system.program.output
    assert "Vertraulich" not in system.program.output
