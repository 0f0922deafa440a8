"""What one call asks of the model, whatever the wire shape it came in."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.fields import as_count, as_number, as_object, as_texts

JOB_KEY = "longhaul-job-id"
ATTEMPT_KEY = "longhaul-attempt"
TRACE_KEY = "longhaul-trace-id"
_MOST_ATTEMPT_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where the answer has to end. `max_tokens` is None when the caller set no limit."""

    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """The texts of a call. `user` is summarised; `system` and `earlier` answers count as input.

    `unread` names what the caller sent that the stand-in does not read (a PDF, an image).
    """

    user: tuple[str, ...]
    system: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose call it is: the job, and attempt and trace when the caller told."""

    job: str
    attempt: int | None
    trace_id: str | None = None


def load_json(raw: bytes) -> Mapping[str, object]:
    """Return the body as a JSON object; anything else is a ValidationException."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(
            "Malformed input request, please reformat your input and try again."
        ) from error
    return as_object(document, "body")


def identify(headers: Mapping[str, str], raw: bytes, document: Mapping[str, object]) -> Identity:
    """Return job and attempt from requestMetadata, else headers; else a hash of the body."""
    metadata = _request_metadata(headers, document)
    job = metadata.get(JOB_KEY) or headers.get(f"x-{JOB_KEY}")
    attempt = metadata.get(ATTEMPT_KEY) or headers.get(f"x-{ATTEMPT_KEY}")
    return Identity(
        job=str(job) if job else f"body-{hashlib.blake2b(raw, digest_size=8).hexdigest()}",
        attempt=_attempt_number(str(attempt or "")),
        trace_id=str(metadata[TRACE_KEY]) if TRACE_KEY in metadata else None,
    )


def read_limits(
    config: Mapping[str, object],
    where: str,
    *,
    names: tuple[str, str, str, str],
    most_stop_sequences: int,
    hottest: float = 1.0,
) -> Limits:
    """Check a family's inference settings and return the limits among them.

    `names` are the family's words for: max tokens, temperature, top p, stop sequences.
    """
    tokens, temperature, top_p, stops = names
    for name, high in ((temperature, hottest), (top_p, 1.0)):
        if config.get(name) is not None:
            as_number(config[name], f"{where}{name}", low=0, high=high)
    return Limits(
        max_tokens=None
        if config.get(tokens) is None
        else as_count(config[tokens], f"{where}{tokens}"),
        stop_sequences=()
        if config.get(stops) is None
        else as_texts(config[stops], f"{where}{stops}", most=most_stop_sequences),
    )


def _request_metadata(
    headers: Mapping[str, str], document: Mapping[str, object]
) -> Mapping[str, object]:
    """Converse carries requestMetadata in its body, InvokeModel in a header, as JSON."""
    found: object = document.get("requestMetadata")
    if found is None and (header := headers.get("X-Amzn-Bedrock-Request-Metadata")):
        try:
            found = json.loads(header)
        except ValueError:
            found = None
    return found if isinstance(found, dict) else {}


def _attempt_number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MOST_ATTEMPT_DIGITS else None
