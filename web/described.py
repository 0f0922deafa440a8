"""What the models that describe our own words have in common.

The words themselves are written elsewhere, where they are made. These models read nothing and
write nothing: they are the schemas of /asyncapi.json and /openapi.json, and tests hold every word
against them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MAX_SAFE_INTEGER = 2**53 - 1  # of JavaScript, whose clients read our numbers

JOB_ID_PATTERN = r"^job_[0-9a-hjkmnp-tv-z]{26}$"

JobIdText = Annotated[str, Field(pattern=JOB_ID_PATTERN)]
TraceIdText = Annotated[str, Field(pattern=r"^1-[0-9a-f]{8}-[0-9a-f]{24}$")]
Time = Annotated[
    str, Field(examples=["2026-11-23T04:38:59.120Z"], json_schema_extra={"format": "date-time"})
]
Seq = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
Count = Annotated[int, Field(ge=0)]


def never_null(schema: dict[str, Any]) -> None:
    """Describe a member that is left out where it has nothing to say."""
    schema.pop("default", None)


class Described(BaseModel):
    """An object with these members and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)
