"""What a route says of itself: the words that /openapi.json and /docs are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from web.described import JOB_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from jobs.errors import LonghaulError


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What a call takes beside its body; `schema` is that of its value."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any]
    example: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request's JSON body, and examples of it by their names."""

    model: type[BaseModel]
    examples: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A call that this answer leads to: parameters from OpenAPI's runtime expressions."""

    operation: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An answer: a model's JSON, or texts by their content type, or no body at all.

    `headers` are always there, `may` where there is a reason; web/headers.py describes them.
    """

    description: str
    model: type[BaseModel] | None = None
    texts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    example: object = None
    headers: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call, described.

    `operation` names it for generated clients. `refusals` are the errors that it alone may meet;
    those that every call of its kind may meet are added by web/openapi.py.
    """

    operation: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Told]
    refusals: tuple[type[LonghaulError], ...] = ()


JOB_ID = Parameter(
    name="job_id",
    place="path",
    description="the job's id",
    schema={"type": "string", "pattern": JOB_ID_PATTERN},
    example="job_01m83eqz8fefzapqk4c5qx0fgg",
)
