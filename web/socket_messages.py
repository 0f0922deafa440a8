"""What is said over a WebSocket, in both directions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.errors import InvalidRequest
from web.bodies import invalid_request
from web.described import MAX_SAFE_INTEGER
from web.json_text import parse_json, write_json


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Auth(_Message):
    """Who is calling, where no header said it."""

    type: Literal["auth"]
    token: str


class Subscribe(_Message):
    """Watch a job; `after` is the number of the last event that the client has seen."""

    type: Literal["subscribe"]
    job_id: str
    after: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)] | None = None


class Unsubscribe(_Message):
    """Watch a job no more."""

    type: Literal["unsubscribe"]
    job_id: str


class Cancel(_Message):
    """Cancel a job; leaving the socket never does."""

    type: Literal["cancel"]
    job_id: str


class Ping(_Message):
    """Ask for a pong, where WebSocket's own pings are out of a client's reach."""

    type: Literal["ping"]


ClientMessage = Auth | Subscribe | Unsubscribe | Cancel | Ping
_READER: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)
_TYPES = "auth, subscribe, unsubscribe, cancel or ping"


def read_message(message: str | bytes) -> ClientMessage:
    """Read what a client says. Raises MalformedBody and InvalidRequest."""
    if isinstance(message, bytes):
        raise InvalidRequest("messages are text, not binary")
    value = parse_json(message.encode())
    if not isinstance(value, dict):
        raise InvalidRequest("a message is a JSON object")
    if value.get("type") not in ("auth", "subscribe", "unsubscribe", "cancel", "ping"):
        raise InvalidRequest(f"type must be {_TYPES}")
    try:
        return _READER.validate_python(value)
    except ValidationError as error:
        raise invalid_request(error, "the message cannot be taken") from error


def authenticated() -> str:
    """Acknowledge `auth`."""
    return write_json({"type": "authenticated"})


def subscribed(*, job_id: str, seq: int, recovered: bool, job: dict[str, object]) -> str:
    """Acknowledge `subscribe` with the job as it stands; also sent after events may be missing."""
    return write_json(
        {"type": "subscribed", "job_id": job_id, "seq": seq, "recovered": recovered, "job": job}
    )


def unsubscribed(job_id: str) -> str:
    """Acknowledge `unsubscribe`."""
    return write_json({"type": "unsubscribed", "job_id": job_id})


def cancelled(job_id: str, job: dict[str, object]) -> str:
    """Answer `cancel` with the job as it stands: one that had ended before stays as it ended."""
    return write_json({"type": "cancelled", "job_id": job_id, "job": job})


def pong() -> str:
    """Answer `ping`."""
    return write_json({"type": "pong"})


def error(*, code: str, detail: str, job_id: str | None = None, trace_id: str | None = None) -> str:
    """Say that a message was not taken, or that something is missing."""
    about = {"job_id": job_id, "trace_id": trace_id}
    return write_json(
        {"type": "error", "code": code, "detail": detail}
        | {name: value for name, value in about.items() if value is not None}
    )
