"""JSON schemas of the models, for the documents of the API and of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from pydantic_core import core_schema


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of field names."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False


def schemas_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Give the schemas of models, and of all that they are made of, as `components.schemas`."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    found: dict[str, Any] = schemas["$defs"]
    return found


def ref(kind: str, name: str) -> dict[str, str]:
    """Refer to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}
