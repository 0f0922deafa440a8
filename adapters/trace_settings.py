"""Settings of traces: OpenTelemetry's own environment names, checked as ours are.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
Nothing is traced unless a collector is named. An empty variable counts as none, as the
specification says. Certificates are the exporter's own to read.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Samplers = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
_OTLP = "OTEL_EXPORTER_OTLP_"
_PAIR = re.compile(r"\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=[^,]*")


class TraceSettings(BaseSettings):
    """Where spans go, and which; times have OpenTelemetry's units."""

    model_config = SettingsConfigDict(frozen=True)

    otlp_endpoint: str | None = Field(default=None, validation_alias=f"{_OTLP}ENDPOINT")
    otlp_traces_endpoint: str | None = Field(
        default=None, validation_alias=f"{_OTLP}TRACES_ENDPOINT"
    )
    otlp_headers: str | None = Field(default=None, validation_alias=f"{_OTLP}HEADERS")
    otlp_protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf", validation_alias=f"{_OTLP}PROTOCOL"
    )
    otlp_compression: Literal["none", "gzip", "deflate"] = Field(
        default="none", validation_alias=f"{_OTLP}COMPRESSION"
    )
    otlp_timeout: float = Field(default=10, gt=0, le=300, validation_alias=f"{_OTLP}TIMEOUT")
    otel_sdk_disabled: bool = Field(default=False, validation_alias="OTEL_SDK_DISABLED")
    otel_traces_exporter: Literal["otlp", "none"] = Field(
        default="otlp", validation_alias="OTEL_TRACES_EXPORTER"
    )
    otel_service_name: str | None = Field(
        default=None, max_length=255, validation_alias="OTEL_SERVICE_NAME"
    )
    otel_resource_attributes: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, validation_alias="OTEL_RESOURCE_ATTRIBUTES"
    )
    otel_traces_sampler: Samplers = Field(
        default="parentbased_always_on", validation_alias="OTEL_TRACES_SAMPLER"
    )
    otel_traces_sampler_arg: float = Field(
        default=1, ge=0, le=1, validation_alias="OTEL_TRACES_SAMPLER_ARG"
    )
    otel_bsp_schedule_delay: int = Field(
        default=5000, ge=1, le=600_000, validation_alias="OTEL_BSP_SCHEDULE_DELAY"
    )

    @field_validator(
        "otlp_endpoint", "otlp_traces_endpoint", "otlp_headers", "otel_service_name", mode="before"
    )
    @classmethod
    def _read_empty(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator(
        "otlp_protocol",
        "otlp_compression",
        "otlp_timeout",
        "otel_sdk_disabled",
        "otel_traces_exporter",
        "otel_traces_sampler",
        "otel_traces_sampler_arg",
        "otel_bsp_schedule_delay",
        mode="before",
    )
    @classmethod
    def _read_default(cls, value: object, info: ValidationInfo) -> object:
        return cls.model_fields[info.field_name or ""].default if value == "" else value

    @field_validator("otlp_endpoint", "otlp_traces_endpoint")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            is_url = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise ValueError("must be http://host:port or https://host")
        return value

    @field_validator("otlp_headers")
    @classmethod
    def _check_headers(cls, value: str | None) -> str | None:
        if value is not None and not all(_PAIR.fullmatch(pair) for pair in value.split(",")):
            raise ValueError("must be name=value,name=value")
        return value

    @field_validator("otel_resource_attributes", mode="before")
    @classmethod
    def _read_attributes(cls, value: object) -> dict[str, str]:
        """Read `key=value,key=value`, percent-encoded."""
        if isinstance(value, dict):
            return value
        pairs = [pair for pair in str(value).split(",") if pair.strip()]
        if not all(_PAIR.fullmatch(pair) for pair in pairs):
            raise ValueError("must be key=value,key=value")
        split = (pair.partition("=") for pair in pairs)
        return {key.strip(): unquote(one.strip()) for key, _, one in split}

    @property
    def traces_url(self) -> str | None:
        """Where spans are sent; None where nobody wants them."""
        if self.otel_sdk_disabled or self.otel_traces_exporter == "none":
            return None
        if self.otlp_traces_endpoint is not None:
            return self.otlp_traces_endpoint
        base = self.otlp_endpoint
        return None if base is None else f"{base.rstrip('/')}/v1/traces"
