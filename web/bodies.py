"""Request bodies: their outline, checked where they enter. One model a body."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.document import MOST_DOCUMENTS
from jobs.errors import FieldProblem, InvalidRequest
from jobs.job import InferenceConfig
from jobs.prompt import Prompt, is_tools_own
from jobs.webhook import LONGEST_URL
from web.json_text import text_of_member
from web.wording import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ASKED = ("prompt", "messages", "body")
# Beside `body` these would say nothing: a native body has words of its own for them.
NOT_BESIDE_BODY = ("system", "inference_config", "documents")
MAX_METADATA = 50
MAX_METADATA_BYTES = 16 * 1024  # it stands in the row, beside prompt, result and timeline
MAX_PROBLEMS = 20  # told at once
MAX_FIELD_CHARACTERS = 200  # of a path that is told back
SMALLEST_FRACTION = 1e-6  # DynamoDB's numbers end at 1e-130; no model tells these from 0
LONGEST_WAIT_S = 30 * 86_400
LONGEST_RETENTION_S = 3650 * 86_400
_INT32 = 2**31 - 1
_MAX_NAME = 40
_MODEL_NAME = r"^[!-~]+$"
_ASK_ONE_THING = "send exactly one of prompt, messages and body"
_NOTHING_ASKED = FieldProblem(field="prompt", detail=_ASK_ONE_THING)


def _is_written(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


def _is_model_name(text: str) -> str:
    if not re.fullmatch(_MODEL_NAME, text):
        raise PydanticCustomError("model", "must be letters, digits and signs, without spaces")
    return text


def _as_whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_fraction(value: float) -> float:
    if 0 < value < SMALLEST_FRACTION:
        raise PydanticCustomError("too_small", "must be 0 or at least 0.000001")
    return value + 0.0  # turns -0.0 into 0.0


def _has_one_kind(block: dict[str, Any]) -> dict[str, Any]:
    if len(block) != 1:
        raise PydanticCustomError("block", "must have exactly one key, such as text")
    if "text" in block:
        if not isinstance(block["text"], str):
            raise PydanticCustomError("block", "text must be a string")
        _is_written(block["text"])
    _check_inside(block)
    return block


def _check_inside(value: object, *, place: str = "") -> None:
    """Refuse, at any depth, what Bedrock would read with our rights, and bytes that are none."""
    if isinstance(value, list):
        for item in value:
            _check_inside(item, place=place)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if is_tools_own(place, key):
            continue
        if key == "s3Location":
            raise PydanticCustomError("block", "s3Location is not accepted: send the bytes")
        if key == "bytes" and not _is_base64(item):
            raise PydanticCustomError("block", "bytes must be base64")
        _check_inside(item, place=key)


def _is_all_the_callers(body: dict[str, Any]) -> dict[str, Any]:
    """Refuse, at any depth, a native body's names for what Bedrock would read with our rights."""
    if not body:
        raise PydanticCustomError(
            "body", "must not be empty: send what the model's InvokeModel takes"
        )
    ahead: list[object] = [body]
    while ahead:
        value = ahead.pop()
        if isinstance(value, list):
            ahead += value
        if isinstance(value, dict):
            for key in (key for key, item in value.items() if _leads_to_s3(key, item)):
                raise _names_s3(key)
            ahead += value.values()
    return body


def _names_s3(key: str) -> PydanticCustomError:
    name = key[:_MAX_NAME]  # underscores may be many
    return PydanticCustomError("body", "{name} is not accepted: send the bytes", {"name": name})


def _leads_to_s3(key: str, value: object) -> bool:
    """Whether a member is an address; a tool may call one of its own parameters `s3Uri`."""
    name = key.lower().replace("_", "")
    return name == "s3location" or (name == "s3uri" and isinstance(value, str))


def _is_base64(value: object) -> bool:
    try:
        base64.b64decode(value, validate=True)  # type: ignore[arg-type] # refused below if no text
    except (binascii.Error, ValueError, TypeError):
        return False
    return isinstance(value, str)


def _is_small(metadata: dict[str, str]) -> dict[str, str]:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise PydanticCustomError(
            "too_many_bytes", f"must be {MAX_METADATA_BYTES} bytes at most in all"
        )
    return metadata


# What a validator checks is told in the schema, too, where JSON schema has words for it.
Text = Annotated[str, AfterValidator(_is_written), Field(json_schema_extra={"pattern": r"\S"})]
# JSON has one kind of number: 5.0 is 5, and JSON Schema's `integer` takes it, too.
AS_WHOLE = BeforeValidator(_as_whole)  # the last word of an annotation, so that bounds are told
Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(_is_fraction)]
ContentBlock = Annotated[
    dict[str, Any],
    AfterValidator(_has_one_kind),
    Field(json_schema_extra={"minProperties": 1, "maxProperties": 1}),
]
NativeBody = Annotated[
    dict[str, Any],
    AfterValidator(_is_all_the_callers),
    Field(json_schema_extra={"minProperties": 1}),
]
StopSequence = Annotated[str, StringConstraints(min_length=1, max_length=512)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
ModelName = Annotated[
    str,
    AfterValidator(_is_written),
    StringConstraints(max_length=2048),
    AfterValidator(_is_model_name),
    Field(json_schema_extra={"pattern": _MODEL_NAME}),
]


Metadata = Annotated[
    dict[MetadataKey, MetadataValue], Field(max_length=MAX_METADATA), AfterValidator(_is_small)
]


class Body(BaseModel):
    """What all bodies have in common: exact types, and no field that nobody knows."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class MessageBody(Body):
    """One turn of a conversation, in Converse's shape."""

    role: Literal["user", "assistant"]
    content: Annotated[list[ContentBlock], Field(min_length=1)]


class InferenceBody(Body):
    """`inference_config`."""

    max_tokens: Annotated[int, Field(ge=1, le=_INT32), AS_WHOLE] | None = None
    temperature: Fraction | None = None
    top_p: Fraction | None = None
    stop_sequences: Annotated[list[StopSequence], Field(max_length=4)] | None = None


class WebhookBody(Body):
    """`webhook`; what the URL may be depends on the deployment, too."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]


class DocumentBody(Body):
    """One of `documents`: what the caller has uploaded before (web/upload_routes.py)."""

    upload_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _tell_of_one_thing(schema: dict[str, Any]) -> None:
    """Put `_ask_one_thing` in JSON schema's words."""
    kinds = {"prompt": "string", "messages": "array", "body": "object"}
    schema["oneOf"] = [
        {
            "required": [asked],
            "properties": {asked: {"type": kind}}
            | {other: {"type": "null"} for other in kinds if other != asked}
            | {other: {"type": "null"} for other in NOT_BESIDE_BODY if asked == "body"},
        }
        for asked, kind in kinds.items()
    ]


class JobBody(Body):
    """The body of `POST /v1/jobs`; null stands for a field that was left out."""

    model_config = ConfigDict(json_schema_extra=_tell_of_one_thing)

    model: ModelName | None = None
    prompt: Text | None = None
    messages: Annotated[list[MessageBody], Field(min_length=1)] | None = None
    body: NativeBody | None = None
    system: Text | None = None
    documents: Annotated[list[DocumentBody], Field(max_length=MOST_DOCUMENTS)] | None = None
    inference_config: InferenceBody | None = None
    metadata: Metadata | None = None
    webhook: WebhookBody | None = None
    start_timeout_s: Annotated[int, Field(ge=1, le=LONGEST_WAIT_S), AS_WHOLE] | None = None
    run_timeout_s: Annotated[int, Field(ge=1, le=LONGEST_WAIT_S), AS_WHOLE] | None = None
    retention_s: Annotated[int, Field(ge=60, le=LONGEST_RETENTION_S), AS_WHOLE] | None = None
    on_interrupted: Literal["retry", "fail"] | None = None

    @model_validator(mode="after")
    def _ask_one_thing(self) -> Self:
        if sum(getattr(self, name) is not None for name in ASKED) != 1:
            raise PydanticCustomError("one_of", _ASK_ONE_THING)
        if self.body is not None:
            for name in NOT_BESIDE_BODY:
                if getattr(self, name) is not None:
                    raise PydanticCustomError(name, "has no meaning beside body: say it there")
        if self.messages is not None and self.messages[0].role != "user":
            raise PydanticCustomError("first_role", "the first of messages must be the user's")
        return self

    @property
    def start_timeout(self) -> timedelta | None:
        """How long the job may wait for its first claim."""
        return _seconds(self.start_timeout_s)

    @property
    def run_timeout(self) -> timedelta | None:
        """How long the job may take from its first claim to its end."""
        return _seconds(self.run_timeout_s)

    @property
    def retention(self) -> timedelta | None:
        """How long the job is kept once it has ended."""
        return _seconds(self.retention_s)

    @property
    def inference(self) -> InferenceConfig:
        """The domain's words for `inference_config`."""
        asked = self.inference_config or InferenceBody()
        return InferenceConfig(
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            stop_sequences=tuple(asked.stop_sequences or ()),
        )


def _seconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)


def read_job_body(value: object, data: bytes) -> tuple[JobBody, Prompt]:
    """Check a body and give it with its prompt, whose messages are as they were sent.

    `data` is the text that `value` was read from: a native body goes on as it stands there.
    Raises InvalidRequest, which names each field that is wrong and repeats no value.
    """
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    try:
        body = JobBody.model_validate(value)
    except ValidationError as error:
        missing = () if any(value.get(name) is not None for name in ASKED) else (_NOTHING_ASKED,)
        raise invalid_request(error, "the job cannot be accepted", missing=missing) from error
    if body.body is not None:
        return body, Prompt(body=text_of_member(data, "body"))
    prompt = Prompt(text=body.prompt, messages=value.get("messages"), system=body.system)
    return body, prompt


def invalid_request(
    error: ValidationError, opening: str, *, missing: Sequence[FieldProblem] = ()
) -> InvalidRequest:
    """Tell pydantic's findings in ours, and `missing`, which it looks for in sound fields alone."""
    found = error.errors(include_url=False, include_input=False)
    problems = tuple(_problem_of(dict(one)) for one in found[:MAX_PROBLEMS])
    unsaid = [one for one in missing if one not in problems]
    problems = (*problems[: MAX_PROBLEMS - len(unsaid)], *unsaid)
    first, count = problems[0], len(found) + len(unsaid)
    more = f" (and {count - 1} more)" if count > 1 else ""
    said = first.detail.partition("; ")[0]  # what is behind it, the field's own words tell
    return InvalidRequest(f"{opening}: {first.field}: {said}{more}", problems=problems)


def _problem_of(found: Mapping[str, Any]) -> FieldProblem:
    path = [str(part) for part in found["loc"]]
    kind = found["type"]
    if kind in {"one_of", "first_role"}:
        path = ["prompt"] if kind == "one_of" else ["messages", "0", "role"]
    if kind in NOT_BESIDE_BODY:
        path = [kind]
    return FieldProblem(field=".".join(path)[:MAX_FIELD_CHARACTERS], detail=words_of(found))
