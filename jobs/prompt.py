"""The prompt: what the model is asked, and its one written form."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where Converse takes any JSON: what a tool is called with, and what it answers.
_TOOLS_OWN = frozenset({("toolUse", "input"), ("content", "json")})


def is_tools_own(place: str, key: str) -> bool:
    """Whether `key` of the object, or of the objects listed, under `place` is a tool's own JSON.

    Nothing in there is Bedrock's to read, whatever it is called.
    """
    return (place, key) in _TOOLS_OWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A text or a conversation in Converse's own shape, with an optional system text; or `body`.

    `messages` is passed through to Bedrock as it was sent, so that content blocks which are newer
    than this code work too; its outline is checked where it enters (web/bodies.py). `body` is the
    JSON text of a native InvokeModel body, to the character as it was sent.
    """

    text: str | None = None
    messages: Sequence[object] | None = None
    system: str | None = None
    body: str | None = None

    def about(self, context: str) -> Prompt:
        """Put a text before what is asked: before the text, or in the last message of the user."""
        if self.messages is None:
            return replace(self, text=f"{context}\n\n{self.text or ''}")
        messages = list(self.messages)
        for index in reversed(range(len(messages))):
            match messages[index]:
                case {"role": "user", "content": list(content), **others}:
                    blocks = [{"text": context}, *content]
                    messages[index] = {"role": "user", "content": blocks, **others}
                    return replace(self, messages=messages)
        return replace(self, messages=[{"role": "user", "content": [{"text": context}]}, *messages])

    def to_json(self) -> str:
        """Write the form that stands in the row's `PromptContext` or in the object store."""
        fields = {
            "prompt": self.text,
            "messages": self.messages,
            "system": self.system,
            "body": self.body,
        }
        return json.dumps(
            {name: value for name, value in fields.items() if value is not None},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            text=fields.get("prompt"),
            messages=fields.get("messages"),
            system=fields.get("system"),
            body=fields.get("body"),
        )
