"""Settings of traces: OpenTelemetry's own environment names, checked as ours are.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
Nothing is traced unless a collector is named. An empty variable counts as none, as the
specification says. Headers, certificates and the like are the exporter's own to read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path  # noqa: TC003 - pydantic reads it at runtime
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapters.setting_words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Samplers = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
_OTLP = "OTEL_EXPORTER_OTLP_"
# Baggage has nothing that Longhaul looks at or passes on; it is in the specification's default.
_PROPAGATORS = frozenset({"tracecontext", "xray", "baggage"})
_FILES = tuple(
    f"otlp_{signal}{file}"
    for signal in ("", "traces_")
    for file in ("certificate", "client_key", "client_certificate")
)
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
    otlp_traces_headers: str | None = Field(default=None, validation_alias=f"{_OTLP}TRACES_HEADERS")
    otlp_traces_protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf", validation_alias=f"{_OTLP}TRACES_PROTOCOL"
    )
    otlp_traces_compression: Literal["none", "gzip", "deflate"] = Field(
        default="none", validation_alias=f"{_OTLP}TRACES_COMPRESSION"
    )
    otlp_traces_timeout: float = Field(
        default=10, gt=0, le=300, validation_alias=f"{_OTLP}TRACES_TIMEOUT"
    )
    otlp_certificate: Path | None = Field(default=None, validation_alias=f"{_OTLP}CERTIFICATE")
    otlp_client_key: Path | None = Field(default=None, validation_alias=f"{_OTLP}CLIENT_KEY")
    otlp_client_certificate: Path | None = Field(
        default=None, validation_alias=f"{_OTLP}CLIENT_CERTIFICATE"
    )
    otlp_traces_certificate: Path | None = Field(
        default=None, validation_alias=f"{_OTLP}TRACES_CERTIFICATE"
    )
    otlp_traces_client_key: Path | None = Field(
        default=None, validation_alias=f"{_OTLP}TRACES_CLIENT_KEY"
    )
    otlp_traces_client_certificate: Path | None = Field(
        default=None, validation_alias=f"{_OTLP}TRACES_CLIENT_CERTIFICATE"
    )
    otel_propagators: Annotated[frozenset[str], NoDecode] = Field(
        default=_PROPAGATORS, validation_alias="OTEL_PROPAGATORS"
    )
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
        "otlp_endpoint",
        "otlp_traces_endpoint",
        "otlp_headers",
        "otlp_traces_headers",
        "otel_service_name",
        *_FILES,
        mode="before",
    )
    @classmethod
    def _read_empty(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator(
        "otlp_protocol",
        "otlp_compression",
        "otlp_timeout",
        "otlp_traces_protocol",
        "otlp_traces_compression",
        "otlp_traces_timeout",
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

    @field_validator("otlp_headers", "otlp_traces_headers")
    @classmethod
    def _check_headers(cls, value: str | None) -> str | None:
        if value is not None and not all(_PAIR.fullmatch(pair) for pair in value.split(",")):
            raise ValueError("must be name=value,name=value")
        return value

    @field_validator("otel_propagators", mode="before")
    @classmethod
    def _read_propagators(cls, value: object) -> frozenset[str]:
        """Take any of those that Longhaul has; it always reads and sends its two headers."""
        if isinstance(value, frozenset):
            return value
        named = frozenset(filter(None, map(str.strip, str(value).split(","))))
        if not named <= _PROPAGATORS:
            raise ValueError(
                "must be of tracecontext, xray and baggage, separated by commas: traces come and go"
                " in traceparent and X-Amzn-Trace-Id alone"
            )
        return named or _PROPAGATORS

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        """Look at certificates and keys where spans are sent; nobody else reads them."""
        for field in _FILES if self.traces_url is not None else ():
            path: Path | None = getattr(self, field)
            if path is not None and not _can_be_read(path):
                alias = type(self).model_fields[field].validation_alias
                raise ValueError(f"{alias}: must be a file that can be read, not {str(path)!r}")
        return self

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


def _can_be_read(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # no path can be so long
        return False


def mistyped_names(environ: Iterable[str]) -> dict[str, str]:
    """Find the variables that are almost called as one that is read here, and which that is.

    Others that begin with OTEL_ are somebody else's, who may be another language's library, or
    Kubernetes: it names a service called otel-collector to each pod beside it.
    """
    ours = {str(field.validation_alias) for field in TraceSettings.model_fields.values()}
    others = {name for name in environ if name.startswith("OTEL_")} - ours
    if not others:
        return {}
    found = {name: nearest(name, ours) for name in sorted(others - _known_to_opentelemetry())}
    return {name: meant for name, meant in found.items() if meant is not None}


def _known_to_opentelemetry() -> set[str]:
    from opentelemetry import environment_variables  # noqa: PLC0415 - seldom needed
    from opentelemetry.sdk import environment_variables as sdks  # noqa: PLC0415 - the same

    names = {**vars(environment_variables), **vars(sdks)}
    return {name.removeprefix("_") for name in names if "OTEL_" in name}
