"""The OpenAPI 3.1 document: every call of the table of routes, with its bodies and answers.

https://spec.openapis.org/oas/v3.1.1. Routes describe themselves (`*_calls`), the errors' statuses
come from the one table in web/problems.py, and the schemas from the models that read requests or
describe answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jobs.errors import Forbidden, Misconfigured, RateLimited, Unauthenticated, Unavailable
from web import examples
from web.errors import HostRefused, OriginRefused
from web.headers import ALWAYS, HEADERS, OF_LIMITS
from web.problems import ANSWERS, CONTENT_TYPE
from web.rest_models import Problem
from web.schemas import ref, schemas_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from http import HTTPStatus

    from pydantic import BaseModel

    from jobs.errors import LonghaulError
    from web.calls import Call, Link, Parameter, Told
    from web.routes import Route

# What every call with a scope may meet beside its own refusals.
OF_GUARDED: tuple[type[LonghaulError], ...] = (
    Unauthenticated,
    Forbidden,
    RateLimited,
    Unavailable,
    Misconfigured,
    HostRefused,
)
# What those that change something may meet, too.
OF_WRITES: tuple[type[LonghaulError], ...] = (OriginRefused,)
_JSON = "application/json"
_PARAMETER = re.compile(r"<(\w+)>")
_INTRODUCTION = """\
Post a prompt, get `202` and a job at once; poll it, stream its events, or be told of its end.

Errors are `application/problem+json` (RFC 9457) with a `code` for programs and the `trace_id` that
stands in every log line. A fault of ours is answered so with `500`, an address that is not there
with `404`, a method that an address does not take with `405` and `Allow`; where there is `GET`
there is `HEAD`. What is not HTTP at all is answered by the HTTP server in its own words.

Another user's job is answered as one that is not there. What is said over WebSocket, server-sent
events and webhooks stands in `/asyncapi.json`.
"""
_TAGS = {
    "jobs": "Submit jobs, look after them, and take what they bring.",
    "watching": "See the answer come, word by word.",
    "deliveries": "Who is told of a job's end, and whether they have heard.",
    "server": "The process, and its descriptions; open to whoever comes.",
}
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": (
            "`Authorization: Bearer <key>`. A key has scopes: "
            "`jobs:read` to see jobs, `jobs:write` to submit and change them, `admin` for all. "
            "A deployment may welcome callers without a key; one that is sent must be right."
        ),
    }
}


def describe_calls(routes: Sequence[Route]) -> dict[str, Any]:
    """Write the document of these routes; its server is the one that gives it."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        address = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(address, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Longhaul", "version": "1", "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY,
            "responses": _all_refusals(routes),
            "schemas": schemas_of(_models(route.call for route in routes)),
        },
    }


def _models(calls: Iterable[Call]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {Problem: None}
    for call in calls:
        told = [one.model for one in call.answers.values()]
        asked = [call.body.model] if call.body else []
        found |= dict.fromkeys(model for model in (*asked, *told) if model is not None)
    return list(found)


def _operation(route: Route) -> dict[str, Any]:
    call = route.call
    operation: dict[str, Any] = {
        "operationId": call.operation,
        "tags": [call.tag],
        "summary": call.summary,
        "security": [] if route.scope is None else [{"bearer": [str(route.scope)]}],
    }
    description = [call.description] if call.description else []
    if route.scope is not None:
        description.append(f"Scope: `{route.scope}`.")
    if description:
        operation["description"] = "\n\n".join(description)
    if call.parameters:
        operation["parameters"] = [_parameter(one) for one in call.parameters]
    if call.body is not None:
        shown = {name: {"value": value} for name, value in call.body.examples.items()}
        content = {"schema": ref("schemas", call.body.model.__name__), "examples": shown}
        operation["requestBody"] = {"required": True, "content": {_JSON: content}}
    is_guarded = route.scope is not None
    operation["responses"] = {
        str(status): _told(told, is_guarded=is_guarded) for status, told in call.answers.items()
    }
    operation["responses"] |= {
        str(int(status)): ref("responses", _name_of(kinds))
        for status, kinds in _refusals_of(route).items()
    }
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.place == "path":
        described["required"] = True
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _told(told: Told, *, is_guarded: bool) -> dict[str, Any]:
    limits = OF_LIMITS if is_guarded else ()
    answer: dict[str, Any] = {
        "description": told.description,
        "headers": _headers((*ALWAYS, *told.headers), (*told.may, *limits)),
    }
    if told.model is not None:
        shown = {} if told.example is None else {"example": told.example}
        answer["content"] = {_JSON: {"schema": ref("schemas", told.model.__name__), **shown}}
    elif told.texts:
        answer["content"] = {name: dict(value) for name, value in told.texts.items()}
    if told.links:
        answer["links"] = {link.operation: _link(link) for link in told.links}
    return answer


def _link(link: Link) -> dict[str, Any]:
    return {"operationId": link.operation, "parameters": dict(link.parameters)}


def _all_refusals(routes: Iterable[Route]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for route in routes:
        for kinds in _refusals_of(route).values():
            found.setdefault(_name_of(kinds), _refusal(kinds))
    return found


def _name_of(kinds: Iterable[type[LonghaulError]]) -> str:
    return "Or".join(kind.__name__ for kind in kinds)


def _refusals_of(route: Route) -> dict[HTTPStatus, list[type[LonghaulError]]]:
    """Put a call's errors together by their status."""
    general = () if route.scope is None else OF_GUARDED
    if general and route.method != "GET":
        general += OF_WRITES
    by_status: dict[HTTPStatus, list[type[LonghaulError]]] = {}
    for kind in dict.fromkeys((*route.call.refusals, *general)):
        by_status.setdefault(ANSWERS[kind].status, []).append(kind)
    return {status: by_status[status] for status in sorted(by_status)}


def _refusal(kinds: Sequence[type[LonghaulError]]) -> dict[str, Any]:
    told = [_headers_of(kind) for kind in kinds]
    always, some = set.intersection(*told), set.union(*told)
    return {
        "description": "; ".join(f"`{kind.code}`: {_lower(ANSWERS[kind].title)}" for kind in kinds),
        "headers": _headers((*ALWAYS, *sorted(always)), (*sorted(some - always), *OF_LIMITS)),
        "content": {
            CONTENT_TYPE: {
                "schema": ref("schemas", Problem.__name__),
                "examples": {kind.code: {"value": _problem(kind)} for kind in kinds},
            }
        },
    }


def _headers_of(kind: type[LonghaulError]) -> set[str]:
    own = {"WWW-Authenticate"} if issubclass(kind, Forbidden) else set()
    if issubclass(kind, RateLimited):
        own = {"Retry-After"}
    return {"Cache-Control", *own, *ANSWERS[kind].headers}


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def _problem(kind: type[LonghaulError]) -> dict[str, Any]:
    answer = ANSWERS[kind]
    return {
        "type": f"urn:longhaul:problem:{kind.code}",
        "title": answer.title,
        "status": int(answer.status),
        "detail": answer.detail or (kind.__doc__ or "").partition("\n")[0],
        "code": kind.code,
        "trace_id": examples.TRACE_ID,
        "instance": "/v1/jobs",
    }


def _headers(always: Iterable[str], sometimes: Iterable[str]) -> dict[str, Any]:
    described = {name: {**HEADERS[name], "required": True} for name in always}
    return described | {name: dict(HEADERS[name]) for name in sometimes}
