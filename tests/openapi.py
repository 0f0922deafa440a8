"""Holds answers against /openapi.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass
class CallContract:
    """A document, and which statuses of its operations were met."""

    document: Mapping[str, Any]
    met: set[tuple[str, str]] = field(default_factory=set)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Give each operation with its path and method."""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def resolve(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Give what a `$ref` names, or what is no `$ref` as it is."""
        found: Any = value
        while "$ref" in found:
            parts = found["$ref"].removeprefix("#/").split("/")
            found = self.document
            for part in parts:
                assert part in found, f"{value} leads nowhere"
                found = found[part]
        return dict(found)

    def problems_with(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Say in what a value is not as its schema wants it."""
        # The references inside begin at the document's root, so it stands beside them.
        whole = {"allOf": [schema], "components": self.document["components"]}
        validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def take(
        self,
        operation_id: str,
        *,
        status: int,
        headers: Mapping[str, str],
        content_type: str | None,
        body: object,
    ) -> None:
        """Hold an answer against what its operation says; `body` is its JSON, or its text."""
        [operation] = [one for _, _, one in self.operations() if one["operationId"] == operation_id]
        responses = operation["responses"]
        assert str(status) in responses, f"{operation_id} does not tell of {status}: {body}"
        told = self.resolve(responses[str(status)])
        for name, header in told["headers"].items():
            assert name in headers or not header.get("required"), f"{operation_id}: no {name}"
            if name in headers:
                sent: object = headers[name]
                if header["schema"].get("type") == "integer":
                    sent = int(headers[name])
                assert not self.problems_with(header["schema"], sent), (name, sent)
        content = told.get("content", {})
        kind = (content_type or "").partition(";")[0]
        assert kind in content or (not content and not body), f"{operation_id}: {kind}: {body}"
        if kind in content:
            wrong = self.problems_with(content[kind].get("schema", {}), body)
            assert not wrong, f"{operation_id} {status}: {body} is not as described: {wrong}"
        self.met.add((operation_id, str(status)))
