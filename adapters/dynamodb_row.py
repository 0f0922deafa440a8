"""The row: a job as DynamoDB's item and back. Names are PascalCase, as in the AWS pattern."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.dynamodb_receivers import read_also_tell, read_webhook, receiver_attributes
from jobs import seq
from jobs.division import Division, PartOf, PlanId
from jobs.document import Document, MediaType, UploadId
from jobs.due import due_shard
from jobs.errors import RecordUnreadable
from jobs.events import TERMINAL_EVENTS, Event
from jobs.job import (
    InferenceConfig,
    Inline,
    Job,
    JobError,
    JobId,
    JobStatus,
    ModelId,
    ObjectKey,
    OnInterrupted,
    Result,
    Stored,
    Usage,
    UserId,
)
from jobs.timeline import Step, StepName
from jobs.times import read_time, written_time
from jobs.trace import Trace, TraceId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from jobs.job import Payload

    Item = Mapping[str, Value]


LEAVING = "LeavingTable"  # marks the row of a job that is being deleted


def text(value: str) -> Value:
    """Write a string."""
    return {"S": value}


def number(value: float) -> Value:
    """Write a number."""
    return {"N": repr(value)}


def time(value: datetime) -> Value:
    """Write a time."""
    return {"S": written_time(value)}


def to_item(job: Job) -> dict[str, Value]:
    """Write a new job's row; attributes that say nothing are left out."""
    item: dict[str, Value | None] = {
        "JobId": text(job.id),
        "UserId": text(job.user),
        "Model": text(job.model),
        **_write_payload(job.prompt, inline="PromptContext", stored="Prompt"),
        "InferenceConfig": _write_inference(job.inference),
        "Metadata": {"M": {key: text(value) for key, value in job.metadata.items()}},
        _created_at(is_part=job.part is not None): time(job.created_at),
        **_write_part(job.part),
        "TraceId": text(job.trace.id),
        "TraceHeader": text(job.trace.header),
        "OnInterrupted": text(job.on_interrupted),
        "StartTimeoutS": _write_seconds(job.start_timeout),
        "RunTimeoutS": _write_seconds(job.run_timeout),
        "RetentionS": _write_seconds(job.retention),
        **receiver_attributes(job.webhook, job.also_tell),
        "Documents": _write_documents(job.documents),
        "Timeline": write_steps(job.timeline),
        **state_attributes(job),
    }
    return {name: value for name, value in item.items() if value is not None}


def state_attributes(job: Job) -> dict[str, Value | None]:
    """Write all that a transition may change but the timeline; None says: no such attribute."""
    return {
        "JobStatus": text(job.status),
        "Epoch": number(job.epoch),
        "Seq": number(job.seq),
        "Attempt": number(job.attempt),
        "MaxAttempts": number(job.max_attempts),
        "RetryCounts": {"L": [number(count) for count in job.retry_counts]},
        "QueuedAt": time(job.queued_at) if job.queued_at else None,
        "UpdatedAt": time(job.updated_at or job.created_at),
        "NotBefore": time(job.not_before) if job.not_before else None,
        "LeaseUntil": time(job.lease_until) if job.lease_until else None,
        "StartedAt": time(job.started_at) if job.started_at else None,
        "EndedAt": time(job.ended_at) if job.ended_at else None,
        "Error": write_error(job.error) if job.error else None,
        **result_attributes(job.result),
        # The sparse index has the jobs that are not ended, or not announced, and no others.
        "DueShard": text(due_shard(job.id)) if job.due_at else None,
        "DueAt": time(job.due_at) if job.due_at else None,
        "Sweeps": number(job.sweeps) if job.sweeps else None,
    }


def result_attributes(result: Result | None) -> dict[str, Value | None]:
    """Write a result; None says: no such attribute."""
    return {
        "ResultData": None,
        "ResultKey": None,
        "ResultBytes": None,
        "RawData": None,
        "RawKey": None,
        "RawBytes": None,
        **_write_answer(result),
        "Usage": _write_usage(result.usage) if result and result.usage else None,
        "StopReason": text(result.stop_reason) if result and result.stop_reason else None,
    }


def from_item(item: Item) -> Job:
    """Read a row. Raises RecordUnreadable, naming the attribute that is missing or wrong."""
    try:
        return _read(item)
    except (KeyError, ValueError, TypeError) as error:
        raise RecordUnreadable(f"not a row of ours: {error!r}") from error


def summary_from_item(item: Item) -> Job:
    """Read a row that was fetched without its large attributes. Raises RecordUnreadable.

    Prompt, timeline and the text of the result are empty; it has a result where the model said
    something of it.
    """
    empty = {"PromptContext": text(""), "Timeline": write_steps(())}
    has_result = "Usage" in item or "StopReason" in item
    result = {"ResultData": text("")} if has_result else {}
    return from_item({**item, **empty, **result})


def _write_payload(payload: Payload, *, inline: str, stored: str) -> dict[str, Value | None]:
    match payload:
        case Inline():
            return {inline: text(payload.text)}
        case Stored():
            return {f"{stored}Key": text(payload.key), f"{stored}Bytes": number(payload.size)}


def _write_answer(result: Result | None) -> dict[str, Value | None]:
    """Write the text, and the JSON of a native answer, each under its own names."""
    if result is None:
        return {}
    written = _write_payload(result.payload, inline="ResultData", stored="Result")
    if result.raw is not None:
        written |= _write_payload(result.raw, inline="RawData", stored="Raw")
    return written


def write_steps(steps: tuple[Step, ...]) -> Value:
    """Write steps of the timeline."""
    return {"L": [{"M": _write_step(step)} for step in steps]}


def write_error(error: JobError) -> Value:
    """Write why a job, or its last attempt, failed."""
    return {
        "M": {
            "Code": text(error.code),
            "Message": text(error.message),
            "Retryable": {"BOOL": error.retryable},
        }
    }


def _write_usage(usage: Usage) -> Value:
    return {
        "M": {
            "InputTokens": number(usage.input_tokens),
            "OutputTokens": number(usage.output_tokens),
        }
    }


def _read(item: Item) -> Job:
    status = JobStatus(item["JobStatus"]["S"])
    epoch = int(item["Epoch"]["N"])
    is_held = status is JobStatus.RUNNING and "LeaseUntil" in item
    return Job(
        id=JobId(item["JobId"]["S"]),
        user=UserId(item["UserId"]["S"]),
        status=status,
        model=ModelId(item["Model"]["S"]),
        prompt=_read_payload(item, inline="PromptContext", stored="Prompt"),
        created_at=read_time(item[_created_at(is_part="PartOf" in item)]["S"]),
        updated_at=_read_time(item, "UpdatedAt"),
        trace=read_trace(item),
        max_attempts=int(item["MaxAttempts"]["N"]),
        inference=_read_inference(item),
        metadata={key: value["S"] for key, value in item["Metadata"]["M"].items()},
        attempt=int(item["Attempt"]["N"]),
        epoch=epoch,
        # A claim cannot multiply in its one write, so a claimed row's number is derived.
        seq=seq.first_in(epoch) if is_held else int(item["Seq"]["N"]),
        on_interrupted=OnInterrupted(item["OnInterrupted"]["S"]),
        start_timeout=_read_seconds(item, "StartTimeoutS"),
        run_timeout=_read_seconds(item, "RunTimeoutS"),
        retention=_read_seconds(item, "RetentionS"),
        webhook=read_webhook(item),
        also_tell=read_also_tell(item),
        documents=_read_documents(item),
        part=read_part(item),
        division=read_division(item),
        queued_at=_read_time(item, "QueuedAt"),
        due_at=_read_time(item, "DueAt"),
        sweeps=int(item["Sweeps"]["N"]) if "Sweeps" in item else 0,
        retry_counts=tuple(int(count["N"]) for count in item["RetryCounts"]["L"]),
        not_before=_read_time(item, "NotBefore"),
        lease_until=_read_time(item, "LeaseUntil"),
        started_at=_read_time(item, "StartedAt"),
        ended_at=_read_time(item, "EndedAt"),
        error=read_error(item),
        result=_read_result(item),
        timeline=tuple(_read_step(step["M"]) for step in item["Timeline"]["L"]),
    )


def read_trace(item: Item) -> Trace:
    """Read the trace that the row carries."""
    header = item.get("TraceHeader")
    trace = Trace.from_xray(header["S"]) if header else None
    return trace or Trace(id=TraceId(item["TraceId"]["S"]))


def keys_of(item: Item) -> dict[str, object]:
    """Say for the log which job's a row is that may be anything else than one of ours."""
    return {"job_id": item["JobId"]["S"], "trace_id": item.get("TraceId", {}).get("S")}


def read_part(item: Item) -> PartOf | None:
    """Read which part of which job the row is."""
    if "PartOf" not in item:
        return None
    return PartOf(
        job=JobId(item["PartOf"]["S"]),
        plan=PlanId(item["PartPlan"]["S"]),
        number=int(item["PartNumber"]["N"]),
        total=int(item["PartTotal"]["N"]),
        pages=item["PartPages"]["S"],
    )


def read_division(item: Item) -> Division | None:
    """Read how the job was divided, and which parts are done."""
    if "DivisionPlan" not in item:
        return None
    return Division(
        plan=PlanId(item["DivisionPlan"]["S"]),
        total=int(item["DivisionTotal"]["N"]),
        ended=frozenset(int(number) for number in item.get("PartsEnded", {}).get("NS", [])),
    )


def read_end(item: Item) -> Event | None:
    """Read how an ended job ended, or None where the row says of no end, or is a part's."""
    status = JobStatus(item["JobStatus"]["S"])
    if status not in TERMINAL_EVENTS or "EndedAt" not in item or read_part(item) is not None:
        return None
    return Event(
        job=JobId(item["JobId"]["S"]),
        user=UserId(item["UserId"]["S"]),
        seq=int(item["Seq"]["N"]),
        type=TERMINAL_EVENTS[status],
        at=read_time(item["EndedAt"]["S"]),
        trace=read_trace(item),
        attempt=int(item["Attempt"]["N"]),
        error=read_error(item),
    )


def _created_at(*, is_part: bool) -> str:
    """Name the attribute: the index of a user's jobs is sparse, and parts are not shown in it."""
    return "PartCreatedAt" if is_part else "CreatedAt"


def _write_part(part: PartOf | None) -> dict[str, Value]:
    if part is None:
        return {}
    return {
        "PartOf": text(part.job),
        "PartPlan": text(part.plan),
        "PartNumber": number(part.number),
        "PartTotal": number(part.total),
        "PartPages": text(part.pages),
    }


def _read_time(item: Item, name: str) -> datetime | None:
    return read_time(item[name]["S"]) if name in item else None


def _write_seconds(value: timedelta | None) -> Value | None:
    return None if value is None else number(value.total_seconds())


def _read_seconds(item: Item, name: str) -> timedelta | None:
    return timedelta(seconds=float(item[name]["N"])) if name in item else None


def _read_payload(item: Item, *, inline: str, stored: str) -> Payload:
    if inline in item:
        return Inline(text=item[inline]["S"])
    return Stored(key=ObjectKey(item[f"{stored}Key"]["S"]), size=int(item[f"{stored}Bytes"]["N"]))


def _read_result(item: Item) -> Result | None:
    if "ResultData" not in item and "ResultKey" not in item:
        return None
    has_raw = "RawData" in item or "RawKey" in item
    return Result(
        payload=_read_payload(item, inline="ResultData", stored="Result"),
        usage=_read_usage(item["Usage"]["M"]) if "Usage" in item else None,
        stop_reason=item["StopReason"]["S"] if "StopReason" in item else None,
        raw=_read_payload(item, inline="RawData", stored="Raw") if has_raw else None,
    )


def _read_usage(fields: Item) -> Usage:
    return Usage(
        input_tokens=int(fields["InputTokens"]["N"]),
        output_tokens=int(fields["OutputTokens"]["N"]),
    )


def read_error(item: Item) -> JobError | None:
    """Read why a job, or its last attempt, failed."""
    if "Error" not in item:
        return None
    error = item["Error"]["M"]
    return JobError(
        code=error["Code"]["S"],
        message=error["Message"]["S"],
        retryable=error["Retryable"]["BOOL"],
    )


def _write_inference(inference: InferenceConfig) -> Value | None:
    fields: dict[str, Value] = {}
    if inference.max_tokens is not None:
        fields["MaxTokens"] = number(inference.max_tokens)
    if inference.temperature is not None:
        fields["Temperature"] = number(inference.temperature)
    if inference.top_p is not None:
        fields["TopP"] = number(inference.top_p)
    if inference.stop_sequences:
        fields["StopSequences"] = {"L": [text(stop) for stop in inference.stop_sequences]}
    return {"M": fields} if fields else None


def _read_inference(item: Item) -> InferenceConfig:
    fields = item["InferenceConfig"]["M"] if "InferenceConfig" in item else {}
    return InferenceConfig(
        max_tokens=int(fields["MaxTokens"]["N"]) if "MaxTokens" in fields else None,
        temperature=float(fields["Temperature"]["N"]) if "Temperature" in fields else None,
        top_p=float(fields["TopP"]["N"]) if "TopP" in fields else None,
        stop_sequences=tuple(
            stop["S"] for stop in fields.get("StopSequences", {"L": []}).get("L", [])
        ),
    )


def _write_documents(documents: tuple[Document, ...]) -> Value | None:
    if not documents:
        return None
    return {
        "L": [
            {
                "M": {
                    "UploadId": text(document.upload),
                    "Name": text(document.name),
                    "MediaType": text(document.media_type),
                    "Bytes": number(document.size),
                    "Key": text(document.key),
                }
            }
            for document in documents
        ]
    }


def _read_documents(item: Item) -> tuple[Document, ...]:
    found = (document["M"] for document in item.get("Documents", {"L": []})["L"])
    return tuple(
        Document(
            upload=UploadId(fields["UploadId"]["S"]),
            name=fields["Name"]["S"],
            media_type=MediaType(fields["MediaType"]["S"]),
            size=int(fields["Bytes"]["N"]),
            key=ObjectKey(fields["Key"]["S"]),
        )
        for fields in found
    )


def _write_step(step: Step) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "Name": text(step.name),
        "At": time(step.at),
        "By": text(step.by),
    }
    if step.attempt is not None:
        fields["Attempt"] = number(step.attempt)
    if step.error is not None:
        fields["Error"] = text(step.error)
    if step.detail is not None:
        fields["Detail"] = text(step.detail)
    if step.until is not None:
        fields["Until"] = time(step.until)
    return fields


def _read_step(fields: Item) -> Step:
    return Step(
        name=StepName(fields["Name"]["S"]),
        at=read_time(fields["At"]["S"]),
        by=fields["By"]["S"],
        attempt=int(fields["Attempt"]["N"]) if "Attempt" in fields else None,
        error=fields["Error"]["S"] if "Error" in fields else None,
        detail=fields["Detail"]["S"] if "Detail" in fields else None,
        until=read_time(fields["Until"]["S"]) if "Until" in fields else None,
    )
