"""What Bedrock's models take of documents, and how much they take in all.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
says who takes documents, of all but Nova 2, Llama 3.3 and 4, and Pixtral; LiteLLM's
model_prices_and_context_window.json says that Nova 2 does. It and the tables of other open-source
clients of Bedrock agree, as far as they go. Numbers are for the smallest model that a prefix stands
for: too low costs a document its block, too high a refusal, which is not paid for. Claude's
million tokens are, for some models, a beta, and are not counted on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.job import ModelId

_BLOCK_BYTES = 4_500_000  # Converse's 4.5 MB a document, read as the smaller of the two megabytes
_CLAUDE_PAGES = 100  # of PDFs, a request
# `eu.anthropic.claude-...`: an inference profile, whose first word is where it may run.
_PROFILE = re.compile(r"^[a-z-]+\.(?=[a-z0-9]+\.)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelLimits:
    """`context_tokens` is for the question and its answer; `pdf_pages` for all blocks together."""

    context_tokens: int
    takes_documents: bool = False
    block_bytes: int = _BLOCK_BYTES
    pdf_pages: int | None = None


def _reads(context_tokens: int, *, pdf_pages: int | None = None) -> ModelLimits:
    return ModelLimits(context_tokens=context_tokens, takes_documents=True, pdf_pages=pdf_pages)


def _text_only(context_tokens: int) -> ModelLimits:
    return ModelLimits(context_tokens=context_tokens)


# Whoever is not named here: text alone is understood by all. Bedrock refuses what is too long for
# them, and a refusal is not paid for.
UNKNOWN = _text_only(128_000)

# The longest prefix that fits decides.
_BY_PREFIX = {
    "anthropic.claude": _reads(200_000, pdf_pages=_CLAUDE_PAGES),
    "anthropic.claude-v2": _reads(100_000, pdf_pages=_CLAUDE_PAGES),
    "anthropic.claude-instant": _reads(100_000, pdf_pages=_CLAUDE_PAGES),
    "amazon.nova": _reads(300_000),
    "amazon.nova-2-lite": _reads(1_000_000),
    "amazon.nova-2-pro": _reads(1_000_000),
    "amazon.nova-micro": _text_only(128_000),
    "amazon.nova-premier": _reads(1_000_000),
    "amazon.titan-text": _reads(8_000),
    "amazon.titan-text-lite": _reads(4_000),
    "amazon.titan-text-premier": _text_only(32_000),
    "ai21.jamba": _text_only(70_000),
    "ai21.jamba-1-5": _reads(256_000),
    "cohere.command": _reads(4_000),
    "cohere.command-light": _text_only(4_000),
    "cohere.command-r": _reads(128_000),
    "meta.llama2": _reads(4_000),
    "meta.llama3": _reads(8_000),
    "meta.llama3-1": _reads(128_000),
    "meta.llama3-2": _reads(128_000),
    "meta.llama3-3": _reads(128_000),
    "meta.llama4": _reads(1_000_000),
    "mistral.mistral": _reads(32_000),
    "mistral.mixtral": _reads(32_000),
    "mistral.mistral-large-2407": _reads(128_000),
    "mistral.pixtral": _reads(128_000),
    "writer.palmyra-x5": _text_only(1_000_000),
}


def limits_of(model: ModelId) -> ModelLimits:
    """Tell a model's limits by its id, its inference profile's, or an ARN that ends with either."""
    name = model.rpartition("/")[2]
    name = _PROFILE.sub("", name)
    fitting = [prefix for prefix in _BY_PREFIX if name.startswith(prefix)]
    return _BY_PREFIX[max(fitting, key=len)] if fitting else UNKNOWN
