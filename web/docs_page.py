"""The page at /docs: /openapi.json as people read it, made here, without a script."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jinja2 import Template

_CODE = re.compile(r"`([^`]+)`")
_NO_COMMAND = "101"  # what ends in another protocol is not for curl
_BOUNDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "length from {}",
    "maxLength": "length to {}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {} members",
}


def write_page(document: Mapping[str, Any], *, base: str) -> str:
    """Write the page of a document; commands call the server at `base`."""
    calls = list(_calls(document, base))
    tags = [
        {**tag, "calls": [call for call in calls if call["tag"] == tag["name"]]}
        for tag in document["tags"]
    ]
    return _template().render(document=document, tags=tags)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "words": _words, "kind": _kind}
    return environment.get_template("docs.html")


def _calls(document: Mapping[str, Any], base: str) -> Iterator[dict[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            yield {
                "id": operation["operationId"],
                "tag": operation["tags"][0],
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "description": operation.get("description", ""),
                "parameters": operation.get("parameters", []),
                "body": body,
                "commands": list(_commands(base, path, method, operation, body)),
                "answers": [
                    _answer(status, _resolve(document, told))
                    for status, told in sorted(operation["responses"].items())
                ],
            }


def _commands(
    base: str,
    path: str,
    method: str,
    operation: Mapping[str, Any],
    body: Mapping[str, Any] | None,
) -> Iterator[str]:
    """Give what can be pasted into a shell: a command for each example of a body, or one."""
    if _NO_COMMAND in operation["responses"]:
        return
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["example"]))
    streams = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    words = ["curl", "-N" if streams else "-i"]
    if method != "get":
        words += ["-X", method.upper()]
    words.append(shlex.quote(f"{base}{path}"))
    if operation["security"]:
        words += ["-H", '"Authorization: Bearer $LONGHAUL_API_KEY"']
    if body is None:
        yield " ".join(words)
        return
    for example in body["examples"].values():
        sent = shlex.quote(json.dumps(example["value"], ensure_ascii=False))
        yield f"{' '.join(words)} \\\n  -H 'Content-Type: application/json' \\\n  -d {sent}"


def _answer(status: str, told: Mapping[str, Any]) -> dict[str, Any]:
    content = told.get("content", {})
    shown = next((one["example"] for one in content.values() if "example" in one), None)
    if shown is not None and not isinstance(shown, str):
        shown = json.dumps(shown, indent=2, ensure_ascii=False)
    return {
        "status": status,
        "description": told["description"],
        "content": content,
        "headers": list(told["headers"]),
        "example": shown,
    }


def _resolve(document: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in told:
        return told
    found: Mapping[str, Any] = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    return found


def _prose(text: str) -> Markup:
    """Write paragraphs, and what stands between backticks as code."""
    paragraphs = (part.strip() for part in text.split("\n\n"))
    return Markup("\n").join(
        Markup("<p>{}</p>").format(_words(part)) for part in paragraphs if part
    )


def _words(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _kind(schema: Mapping[str, Any]) -> Markup:
    """Say in a few words what a schema takes, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for several in ("anyOf", "oneOf"):
        if several in schema and "properties" not in schema:
            return Markup(" or ").join(_kind(one) for one in schema[several])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(" or ").join(Markup("<code>{}</code>").format(value) for value in values)
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {}))) + _bounds(schema)
    if isinstance(schema.get("additionalProperties"), dict):
        inside = _kind(schema["additionalProperties"])
        return Markup("object of {}").format(inside) + _bounds(schema)
    return escape(schema.get("format") or schema.get("type") or "") + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> Markup:
    told = [words.format(schema[name]) for name, words in _BOUNDS.items() if name in schema]
    return Markup("").join(Markup(", {}").format(one) for one in told)
