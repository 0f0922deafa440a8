"""How much a model takes: what is longer is refused, as Bedrock refuses it."""

from deploy.local.bedrock.answer import count_input_tokens
from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.request import Ask

# Tokens, by the beginning of the model's name behind a region's (`eu.`); any other takes all.
_CONTEXT = {
    "amazon.titan-text-lite": 4_000,
    "amazon.titan-text-express": 8_000,
    "meta.llama3-8b": 8_000,
    "mistral.mistral-7b": 32_000,
    "mistral.mixtral-8x7b": 32_000,
    "amazon.nova-micro": 128_000,
    "anthropic.claude": 200_000,
    "amazon.nova-lite": 300_000,
    "amazon.nova-pro": 300_000,
}


def check_length(model: str, ask: Ask) -> None:
    """Refuse what does not fit the model with Bedrock's own words."""
    name = model.rpartition("/")[2]
    for beginning, most in _CONTEXT.items():
        if f".{name}".find(f".{beginning}") >= 0 and count_input_tokens(ask) > most:
            raise invalid("Input is too long for requested model.")
