"""Holds what is said against /asyncapi.json, and the document against AsyncAPI's own schema."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Installed by `make setup` where there is npm, by `make test` always; see tests/package.json.
SPECIFICATION = Path(__file__).parent / "node_modules/@asyncapi/specs/schemas/3.0.0.json"


@cache
def specification() -> Draft7Validator:
    """Give the AsyncAPI initiative's schema of documents of version 3.0.0."""
    if not SPECIFICATION.exists():
        pytest.fail("AsyncAPI's schemas are not installed: npm ci --prefix tests")
    return Draft7Validator(json.loads(SPECIFICATION.read_text()))


def objects_in(value: object) -> Iterator[dict[str, Any]]:
    """Give every JSON object inside a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for member in value.values() if isinstance(value, dict) else value:  # type: ignore[attr-defined] # a list
        if isinstance(member, dict | list):
            yield from objects_in(member)


@dataclass
class Contract:
    """A document, and the names of its messages that were said."""

    document: Mapping[str, Any]
    said: dict[str, set[str]] = field(default_factory=dict)

    def take(self, channel: str, message: Mapping[str, Any]) -> None:
        """Hold a message of a channel against its schema; its own words say which it is."""
        name = str(message["event"] if message["type"] == "event" else message["type"])
        self._hold(channel, name, message)

    def take_announcement(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        """Hold a webhook's call against its schemas."""
        self.take_body(body)
        lower = {name.lower(): value for name, value in headers.items()}
        self._validate(self._message("webhook", "job.ended")["headers"], lower)

    def take_body(self, body: Mapping[str, Any]) -> None:
        """Hold a webhook's body against its schema."""
        self._hold("webhook", "job.ended", body)

    def names(self, channel: str) -> set[str]:
        """Give the names of a channel's messages."""
        return set(self.document["channels"][channel]["messages"])

    def resolve(self, reference: str) -> Any:  # noqa: ANN401 - JSON
        """Give what a `$ref` names. Fails where it names nothing."""
        found: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, f"{reference} leads nowhere"
            found = found[part]
        return found

    def _hold(self, channel: str, name: str, message: Mapping[str, Any]) -> None:
        self._validate(self._message(channel, name)["payload"], message)
        self.said.setdefault(channel, set()).add(name)

    def _message(self, channel: str, name: str) -> Mapping[str, Any]:
        messages = self.document["channels"][channel]["messages"]
        assert name in messages, f"{channel} has no message {name}"
        message: Mapping[str, Any] = self.resolve(messages[name]["$ref"])
        return message

    def _validate(self, schema: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        # The references inside begin at the document's root, so it stands beside them.
        whole = {"allOf": [schema], "components": self.document["components"]}
        checker = Draft7Validator.FORMAT_CHECKER
        wrong = [
            f"{error.json_path}: {error.message}"
            for error in Draft7Validator(whole, format_checker=checker).iter_errors(value)
        ]
        assert not wrong, f"{value} is not as described: {wrong}"
