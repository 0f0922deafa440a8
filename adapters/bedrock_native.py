"""Native bodies: InvokeModelWithResponseStream, or InvokeModel for models that do not stream.

The body goes out as the caller wrote it. See docs/decisions/0023-native-bodies.md and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from adapters.bedrock_errors import broken_off
from adapters.bedrock_stream import StreamedAnswering, mended
from adapters.native_families import METRICS, count_at, family_of, text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.eventstream import EventStream
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient

    from adapters.bodies import BodyReader
    from adapters.direct_bedrock import DirectBedrock
    from adapters.native_families import Document, Family
    from jobs.job import ModelId
    from jobs.model_ports import Invocation

# Embeddings, rankings and images. Their calls are short, and cannot be broken off before they
# answer. GetFoundationModel would say so for sure, and needs a right and a call more.
_DO_NOT_STREAM = (
    "amazon.nova-2-multimodal-embeddings",
    "amazon.nova-canvas",
    "amazon.rerank",
    "amazon.titan-embed",
    "amazon.titan-image",
    "cohere.embed",
    "cohere.rerank",
    "stability.",
    "twelvelabs.marengo",
)
_JSON = "application/json"
_INPUT_HEADER = "x-amzn-bedrock-input-token-count"
_OUTPUT_HEADER = "x-amzn-bedrock-output-token-count"
_IN_METRICS = ((METRICS, "inputTokenCount"),)
_OUT_METRICS = ((METRICS, "outputTokenCount"),)


def invoke_natively(
    client: BedrockRuntimeClient | DirectBedrock, invocation: Invocation, bodies: BodyReader
) -> NativeAnswering | WholeAnswering:
    """Send a native body once; the answer streams where its model can."""
    parameters = native_parameters(invocation)
    if does_stream(invocation.model):
        answer = client.invoke_model_with_response_stream(**parameters)
        return NativeAnswering(answer["body"], bodies)
    whole = client.invoke_model(**parameters)
    # Read at once, however the job fares meanwhile: it is paid for.
    raw = whole["body"].read().decode()
    return WholeAnswering(raw, json.loads(raw), whole["ResponseMetadata"]["HTTPHeaders"])


def does_stream(model: ModelId) -> bool:
    """Whether a model's answer comes piece by piece; one that nobody knows does."""
    return not any(name in model for name in _DO_NOT_STREAM)


def native_parameters(invocation: Invocation) -> Any:  # noqa: ANN401 - InvokeModel's own shape
    """Write the parameters of either call; the metadata shows in Bedrock's invocation logs."""
    return {
        "modelId": invocation.model,
        "body": (invocation.prompt.body or "").encode(),
        "contentType": _JSON,
        "accept": _JSON,
        "requestMetadata": json.dumps(
            {
                "longhaul-job-id": invocation.job,
                "longhaul-attempt": str(invocation.attempt),
                "longhaul-trace-id": invocation.trace.id,
            }
        ),
    }


class NativeAnswering(StreamedAnswering):
    """jobs.model_ports.Answering over a stream of a family's own chunks.

    An answer of no known family has no text, and its JSON all the same.
    """

    EVENT = "chunk"

    def __init__(self, stream: EventStream[Any], bodies: BodyReader) -> None:
        super().__init__(stream, bodies)
        self._family: Family | None = None
        self._chunks: list[str] = []
        self._tokens: list[int | None] = [None, None]
        self._has_metrics = False
        self._raw: str | None = None

    @property
    def raw(self) -> str | None:
        """What InvokeModel would have answered, or else a list of the chunks as they came."""
        return self._raw

    def _text_of(self, event: Mapping[str, Any]) -> str | None:
        if (sent := event.get(self.EVENT, {}).get("bytes")) is None:
            return None
        chunk = base64.b64decode(sent).decode()
        self._chunks.append(chunk)
        document = json.loads(chunk)
        return self._take_in(document) if isinstance(document, dict) else None

    def _end(self) -> None:
        is_whole = self._has_metrics or self._stop_reason is not None
        if not self._chunks or (self._family is not None and not is_whole):
            raise broken_off("the stream ended before the answer did")
        tokens_in, tokens_out = self._tokens
        if tokens_in is not None and tokens_out is not None:
            self._usage = (tokens_in, tokens_out)
        self._raw = _assemble(self._family, self._chunks)

    def _take_in(self, document: Document) -> str | None:
        """Note what a chunk says of the end, and give its text."""
        self._has_metrics = self._has_metrics or METRICS in document
        self._family = family = self._family or family_of(document)
        told = _tokens_of(document, family)
        self._tokens = [
            new if new is not None else old for new, old in zip(told, self._tokens, strict=True)
        ]
        if family is None:
            return None
        if (reason := text_at(document, family.stop_reason)) is not None:
            self._stop_reason = mended(reason)
        return text_at(document, family.text)


class WholeAnswering:
    """jobs.model_ports.Answering over InvokeModel's answer, which is there before it is given."""

    def __init__(self, raw: str, document: object, headers: Mapping[str, str]) -> None:
        self._written = raw
        self._document = document
        self._headers = headers
        self._has_ended = False

    def read(self, take: Callable[[str], object]) -> None:
        """Hand over the answer's text, where it has one."""
        family = self._family
        if family is not None and (text := mended(text_at(self._known, family.text) or "")):
            take(text)
        self._has_ended = True

    def close(self) -> None:
        """Do nothing: what is all there cannot be broken off."""

    def release(self) -> None:
        """Do nothing: a connection that is read to its end has gone back by itself."""

    @property
    def usage(self) -> tuple[int, int] | None:
        """Input and output tokens; an embedding has none of output."""
        tokens_in, tokens_out = self._headers.get(_INPUT_HEADER), self._headers.get(_OUTPUT_HEADER)
        if tokens_in is None or not self._has_ended:
            return None
        return (int(tokens_in), int(tokens_out or 0))

    @property
    def stop_reason(self) -> str | None:
        """Why the text ended, in its family's word."""
        if self._family is None or not self._has_ended:
            return None
        return mended(text_at(self._known, self._family.stop_reason) or "") or None

    @property
    def raw(self) -> str | None:
        """InvokeModel's answer as it came."""
        return self._written if self._has_ended else None

    @property
    def _known(self) -> Document:
        return self._document if isinstance(self._document, dict) else {}

    @property
    def _family(self) -> Family | None:
        return family_of(self._known)


def _tokens_of(document: Document, family: Family | None) -> tuple[int | None, int | None]:
    """Give the tokens that a chunk tells; the family's own word counts before Bedrock's."""
    paths_in = family.input_tokens if family else ()
    paths_out = family.output_tokens if family else ()
    return (
        count_at(document, (*paths_in, *_IN_METRICS)),
        count_at(document, (*paths_out, *_OUT_METRICS)),
    )


def _assemble(family: Family | None, chunks: list[str]) -> str:
    listed = f"[{','.join(chunks)}]"
    if family is None:
        return listed
    try:
        whole = family.assemble([_without_metrics(document) for document in json.loads(listed)])
    except (TypeError, KeyError, ValueError, AttributeError):  # of a shape newer than this code
        return listed
    if whole is None:
        return listed
    return mended(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))


def _without_metrics(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != METRICS}
