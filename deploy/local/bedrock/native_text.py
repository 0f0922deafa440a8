"""Native bodies that carry one prompt: Amazon Titan's, Meta Llama's, Mistral's and Cohere's."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.bedrock.answer import Answer, StopReason
from deploy.local.bedrock.fields import as_object, filled_text
from deploy.local.bedrock.request import Ask, read_limits

_MANY_STOP_SEQUENCES = 2500
_MISTRAL_STOP_SEQUENCES = 10
_COHERE_STOP_SEQUENCES = 4
_COHERE_HOTTEST = 5.0


class TitanText:
    """Amazon Titan's text generation.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
    """

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body with `inputText` asks."""
        config = body.get("textGenerationConfig")
        return Ask(
            user=(filled_text(body.get("inputText"), "inputText"),),
            limits=read_limits(
                {} if config is None else as_object(config, "textGenerationConfig"),
                "textGenerationConfig.",
                names=("maxTokenCount", "temperature", "topP", "stopSequences"),
                most_stop_sequences=_MANY_STOP_SEQUENCES,
            ),
        )

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return one result."""
        result = {
            "tokenCount": answer.output_tokens,
            "outputText": answer.text,
            "completionReason": self._reason(answer),
        }
        return {"inputTextTokenCount": answer.input_tokens, "results": [result]}

    def opening(self, answer: Answer) -> list[dict[str, object]]:  # noqa: ARG002 - nothing to tell
        """Return nothing: Titan begins with text."""
        return []

    def delta(self, text: str) -> dict[str, object]:
        """Return a chunk with text, its counts null."""
        return {
            "outputText": text,
            "index": 0,
            "totalOutputTextTokenCount": None,
            "completionReason": None,
            "inputTextTokenCount": None,
        }

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return the chunk with the counts and the reason."""
        return [
            {
                "outputText": "",
                "index": 0,
                "totalOutputTextTokenCount": answer.output_tokens,
                "completionReason": self._reason(answer),
                "inputTextTokenCount": answer.input_tokens,
            }
        ]

    def _reason(self, answer: Answer) -> str:
        return {
            StopReason.END_TURN: "FINISH",
            StopReason.MAX_TOKENS: "LENGTH",
            StopReason.STOP_SEQUENCE: "STOP_CRITERIA_MET",
        }[answer.stop_reason]


class LlamaText:
    """Meta Llama's generation.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
    """

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body with `prompt` asks; Llama has no stop sequences."""
        return Ask(
            user=(filled_text(body.get("prompt"), "prompt"),),
            limits=read_limits(
                body,
                "",
                names=("max_gen_len", "temperature", "top_p", "stop"),
                most_stop_sequences=0,
            ),
        )

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return the generation with its counts."""
        return {"generation": answer.text, **self._end(answer)}

    def opening(self, answer: Answer) -> list[dict[str, object]]:  # noqa: ARG002 - nothing to tell
        """Return nothing: Llama begins with text."""
        return []

    def delta(self, text: str) -> dict[str, object]:
        """Return a chunk with text, its counts null."""
        return {
            "generation": text,
            "prompt_token_count": None,
            "generation_token_count": None,
            "stop_reason": None,
        }

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return the chunk with the counts and the reason."""
        return [{"generation": "", **self._end(answer)}]

    def _end(self, answer: Answer) -> dict[str, object]:
        return {
            "prompt_token_count": answer.input_tokens,
            "generation_token_count": answer.output_tokens,
            "stop_reason": _stop_or_length(answer),
        }


class MistralText:
    """Mistral's text completion.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html
    """

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body with `prompt` asks."""
        return Ask(
            user=(filled_text(body.get("prompt"), "prompt"),),
            limits=read_limits(
                body,
                "",
                names=("max_tokens", "temperature", "top_p", "stop"),
                most_stop_sequences=_MISTRAL_STOP_SEQUENCES,
            ),
        )

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return one output."""
        return {"outputs": [{"text": answer.text, "stop_reason": _stop_or_length(answer)}]}

    def opening(self, answer: Answer) -> list[dict[str, object]]:  # noqa: ARG002 - nothing to tell
        """Return nothing: Mistral begins with text."""
        return []

    def delta(self, text: str) -> dict[str, object]:
        """Return one output without a reason."""
        return {"outputs": [{"text": text, "stop_reason": None}]}

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return one output with the reason."""
        return [{"outputs": [{"text": "", "stop_reason": _stop_or_length(answer)}]}]


@dataclass(frozen=True)
class CohereCommand:
    """Command (`prompt`) and Command R (`message`), whose answers differ too.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command.html
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html
    """

    asks_in: str = "prompt"

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body asks."""
        return Ask(
            user=(filled_text(body.get(self.asks_in), self.asks_in),),
            limits=read_limits(
                body,
                "",
                names=("max_tokens", "temperature", "p", "stop_sequences"),
                most_stop_sequences=_COHERE_STOP_SEQUENCES,
                hottest=_COHERE_HOTTEST,
            ),
        )

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return the generation (Command) or the text (Command R)."""
        told: dict[str, object] = {"text": answer.text, "finish_reason": _complete_or_full(answer)}
        if self.asks_in == "message":
            return {"generation_id": _generation_id(answer), **told}
        return {"id": _generation_id(answer), "generations": [{"id": "0", **told}]}

    def opening(self, answer: Answer) -> list[dict[str, object]]:
        """Return stream-start for Command R, nothing for Command."""
        if self.asks_in == "message":
            start = {"event_type": "stream-start", "generation_id": _generation_id(answer)}
            return [{"is_finished": False, **start}]
        return []

    def delta(self, text: str) -> dict[str, object]:
        """Return a chunk with text."""
        kind = {"event_type": "text-generation"} if self.asks_in == "message" else {}
        return {"is_finished": False, **kind, "text": text}

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return the chunk that tells the reason."""
        kind = {"event_type": "stream-end"} if self.asks_in == "message" else {}
        return [{"is_finished": True, **kind, "finish_reason": _complete_or_full(answer)}]


def _stop_or_length(answer: Answer) -> str:
    return "length" if answer.stop_reason is StopReason.MAX_TOKENS else "stop"


def _complete_or_full(answer: Answer) -> str:
    return "MAX_TOKENS" if answer.stop_reason is StopReason.MAX_TOKENS else "COMPLETE"


def _generation_id(answer: Answer) -> str:
    return hashlib.blake2b(answer.text.encode(errors="replace"), digest_size=16).hexdigest()
