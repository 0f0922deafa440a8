"""Settings: every environment name that Longhaul itself reads, with its default and its check.

Where AWS's parts are and who we are to them is boto3's own environment (`AWS_REGION`,
`AWS_ENDPOINT_URL_DYNAMODB`, credentials). A variable that starts with LONGHAUL_ and stands neither
here nor among the stand-ins' own is a mistake, and is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path  # noqa: TC003 - pydantic reads it at runtime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from adapters.metrics_ports import MOST_PORTS_ON
from adapters.safe_url import is_safe_url
from adapters.setting_words import allowed, explain, explain_together, nearest
from adapters.topics import problem_with_template
from adapters.trace_settings import TraceSettings, mistyped_names
from jobs.delivery import SCHEDULE
from jobs.errors import Misconfigured
from jobs.plan import MOST_PARTS
from jobs.rate import Quota
from jobs.receiver import DeliveryKind, PushTerms
from jobs.retry import DEFAULT_POLICY, RetryPolicy
from jobs.shards import Start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

PREFIX = "LONGHAUL_"
# Read by the clients and their command, which may share a shell with a process of ours.
CLIENTS_OWN = frozenset({"LONGHAUL_URL", "LONGHAUL_API_KEY"})
# Read by deploy/local and by nobody else.
STAND_INS_OWN = frozenset(
    {
        "LONGHAUL_PORT_BASE",
        "LONGHAUL_LOCAL_DIR",
        "LONGHAUL_LOCAL_HOST",
        "LONGHAUL_BOOTSTRAP",
        "LONGHAUL_BEDROCK_TOKENS_PER_SECOND",
        "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS",
    }
)
_USER = re.compile(r"[A-Za-z0-9._@-]+")
_KEY = re.compile(r"[!-+\--~]{16,}")  # visible, and no comma
_REDIS = (
    r"^(rediss?://([^/?#@]*@)?(\[[0-9a-fA-F:]+\]|[^/?#:@]*)(:\d{1,5})?(/\d*)?(\?.*)?|unix://.+)$"
)
_NEVER = -1  # Lambda's way to say that no record is too old
_OLDEST_SECONDS = 7 * 86_400  # Lambda's most
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_BRACKETED = re.compile(r"\[(.*)\]")
_WORD = r"^[!-~]+$"  # visible ASCII, as in a request
_CLAIM = "a claim's name, of 1 to 128 visible ASCII characters"
_SECRET = "whsec_"  # noqa: S105 - how Standard Webhooks' secrets begin
_SECRET_BYTES = (24, 64)  # the specification's
_MOST_TRIES = 20
_LONGEST_SCHEDULE_SECONDS = 7 * 86_400  # a delivery is kept that much longer than its job
_BUS_NAME = r"[A-Za-z0-9._/-]{1,256}"
_BUS = rf"^({_BUS_NAME}|arn:aws[a-z-]*:events:[a-z0-9-]+:\d{{12}}:event-bus/{_BUS_NAME})$"
_STAGE = re.compile(
    r"(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:\d{1,5})?(/[A-Za-z0-9._~-]+)*/?"
)
_NONE = "none"
_QUOTA = re.compile(r"([0-9]{1,7})/([0-9]{1,5})")
_LONGEST_WINDOW_SECONDS = 86_400
_MOST_IN_FLIGHT = 100_000
_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB


class Settings(TraceSettings):
    """One process's settings. Times are in seconds and sizes in bytes where the name says so."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    redis_url: str = Field(
        validation_alias="REDIS_URL",
        pattern=_REDIS,
        description="redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path",
    )
    table: str = Field(
        default="LLM_Jobs",
        pattern=r"^[A-Za-z0-9_.-]{3,200}$",
        description="3 to 200 letters, digits and _ . -",
    )
    bucket: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]|\.[a-z0-9]){1,61}[a-z0-9]$",
        description="3 to 63 small letters, digits and - .",
    )
    default_model: str = Field(
        default="amazon.nova-lite-v1:0",
        pattern=_WORD,
        max_length=2048,
        description="a model's id, of 1 to 2048 visible ASCII characters",
    )
    default_max_tokens: int = Field(default=4096, ge=1, le=2**31 - 1)
    allow_anonymous: bool = False
    api_keys: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)

    oidc_issuer: str | None = Field(default=None, max_length=512)
    oidc_audience: str | None = Field(default=None, min_length=1, max_length=512)
    oidc_jwks_url: str | None = Field(default=None, max_length=2048)
    oidc_user_claim: str = Field(default="sub", pattern=_WORD, max_length=128, description=_CLAIM)
    oidc_scope_claim: str = Field(
        default="scope", pattern=_WORD, max_length=128, description=_CLAIM
    )
    oidc_user_prefix: str = Field(
        default="oidc:",
        pattern=r"^[A-Za-z0-9._@:-]{0,32}$",
        description="32 letters, digits and . _ @ : - at most",
    )
    allowed_origins: Annotated[frozenset[str], NoDecode] = frozenset()
    allowed_hosts: Annotated[frozenset[str], NoDecode] = frozenset()

    rate_limit: Annotated[Quota | None, NoDecode] = None
    submit_rate_limit: Annotated[Quota | None, NoDecode] = None
    user_max_jobs_in_flight: Annotated[int | None, NoDecode] = None

    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=1, le=65535, validation_alias="PORT")
    web_processes: int = Field(default=1, ge=1, le=64, validation_alias="WEB_CONCURRENCY")
    web_connections: int = Field(default=10_000, ge=10, le=100_000)
    max_request_bytes: int = Field(default=25 * _MIB, ge=_KIB, le=100 * _MIB)

    max_upload_bytes: int = Field(default=100 * _MIB, ge=_KIB, le=_GIB)
    document_characters: int = Field(default=10_000_000, ge=1000, le=100_000_000)
    document_seconds: float = Field(default=120, ge=1, le=3600)
    document_memory_bytes: int = Field(default=_GIB, ge=256 * _MIB, le=64 * _GIB)
    document_readers: int = Field(default=2, ge=1, le=64)
    document_parts: int = Field(default=MOST_PARTS, ge=1, le=256)

    inline_prompt_bytes: int = Field(default=64 * _KIB, ge=0, le=128 * _KIB)
    inline_result_bytes: int = Field(default=64 * _KIB, ge=0, le=128 * _KIB)
    url_seconds: int = Field(default=3600, ge=1, le=7 * 86_400)
    retention_days: int = Field(default=30, ge=1, le=3650)

    worker_concurrency: int = Field(default=400, ge=1, le=2000)
    user_share: float = Field(default=0.9, gt=0, le=1)
    lease_seconds: float = Field(default=60, ge=1, le=3600)
    patience_seconds: float = Field(default=600, ge=0, le=86_400)
    drain_seconds: float = Field(default=25, ge=0, le=3600)
    bedrock_read_timeout_seconds: float = Field(default=900, ge=1, le=3600)
    spool_dir: Path | None = None
    retry_policy: Annotated[RetryPolicy, NoDecode] = DEFAULT_POLICY

    feed_poll_seconds: float = Field(default=1.0, ge=0.05, le=60)
    feed_reads_per_second: float = Field(default=5, ge=0.2, le=1000)
    feed_start: Start = Start.TRIM_HORIZON
    feed_batch: int = Field(default=1000, ge=1, le=1000)
    feed_max_record_age_seconds: int = -1
    sweep_seconds: float = Field(default=5, ge=0.1, le=600)

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65535 - MOST_PORTS_ON)
    census_seconds: float = Field(default=30, ge=1, le=3600)

    webhook_secrets: Annotated[tuple[str, ...], NoDecode] = ()
    webhook_allow_loopback: bool = False
    webhook_schedule: Annotated[tuple[timedelta, ...], NoDecode] = SCHEDULE
    webhook_timeout_seconds: float = Field(default=15, ge=0.1, le=40)  # under a try's lease
    webhook_concurrency: int = Field(default=8, ge=1, le=200)

    eventbridge_bus: str | None = Field(
        default=None, pattern=_BUS, description="an event bus's name or ARN"
    )
    iot_topic: str | None = None
    apigateway_endpoint: str | None = None
    apigateway_connection_key: str | None = Field(default=None, min_length=1, max_length=64)

    log_format: Literal["console", "json"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("host", "metrics_host")
    @classmethod
    def _check_interface(cls, value: str) -> str:
        """Take no empty one, which would be every interface."""
        try:
            return str(ip_address(value))
        except ValueError:
            if not _HOST.fullmatch(value):
                raise ValueError(
                    "must be a name or an address to listen on, such as 127.0.0.1"
                ) from None
            return value

    @field_validator("web_processes", mode="before")
    @classmethod
    def _check_digits(cls, value: object) -> object:
        """Take what gunicorn takes, which reads it by itself: no `4.0`."""
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise ValueError(f"must be {allowed(cls.model_fields['web_processes'])}")
        return value

    @field_validator("spool_dir")
    @classmethod
    def _check_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @field_validator("retry_policy", mode="before")
    @classmethod
    def _read_policy(cls, value: object) -> RetryPolicy:
        if isinstance(value, RetryPolicy):
            return value
        try:
            return RetryPolicy.from_asl(json.loads(str(value)))
        except (json.JSONDecodeError, RecursionError, Misconfigured) as error:
            raise ValueError(f"must be ASL's Retry list ({error})") from error

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _read_origins(cls, value: object) -> frozenset[str]:
        if isinstance(value, frozenset):
            return value
        origins = frozenset(filter(None, (origin.strip() for origin in str(value).split(","))))
        if not all(_ORIGIN.fullmatch(origin) for origin in origins):
            raise ValueError("must be https://host or https://host:port, separated by commas")
        return origins

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _read_hosts(cls, value: object) -> frozenset[str]:
        """Read `name,address,[address]`; each as it is compared."""
        if isinstance(value, frozenset):
            return value
        return frozenset(_read_host(host) for host in map(str.strip, str(value).split(",")) if host)

    @field_validator("api_keys", mode="before")
    @classmethod
    def _read_keys(cls, value: object) -> dict[str, str]:
        """Read `user:key,user:key` into user by key."""
        if isinstance(value, dict):
            return value
        pairs = [pair.strip().partition(":") for pair in str(value).split(",") if pair.strip()]
        if not all(_USER.fullmatch(user) and _KEY.fullmatch(key) for user, _, key in pairs):
            raise ValueError(
                "must be user:key,user:key; users of letters, digits and ._@-, keys of at least 16"
                " visible ASCII characters"
            )
        if len({key for _, _, key in pairs}) < len(pairs):
            raise ValueError("names one key twice")
        return {key: user for user, _, key in pairs}

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _check_https(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_url(value):
            raise ValueError("must be https://..., or http:// on this very machine")
        return value

    @field_validator("rate_limit", "submit_rate_limit", mode="before")
    @classmethod
    def _read_quota(cls, value: object, info: ValidationInfo) -> Quota | None:
        """Read `600/60`: so many calls in so many seconds."""
        if value is None or isinstance(value, Quota) or value == _NONE:
            return value if isinstance(value, Quota) else None
        found = _QUOTA.fullmatch(str(value))
        if found is None or not (int(found[1]) and 0 < int(found[2]) <= _LONGEST_WINDOW_SECONDS):
            raise ValueError("must be calls/seconds, such as 600/60 (a day at most), or none")
        name = "submit" if info.field_name == "submit_rate_limit" else "default"
        return Quota(name=name, calls=int(found[1]), window=timedelta(seconds=int(found[2])))

    @field_validator("user_max_jobs_in_flight", mode="before")
    @classmethod
    def _read_ceiling(cls, value: object) -> int | None:
        if value is None or value == _NONE:
            return None
        text = str(value)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:7]) <= _MOST_IN_FLIGHT):
            raise ValueError(f"must be 1 to {_MOST_IN_FLIGHT}, or none")
        return int(text)

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError("LONGHAUL_OIDC_ISSUER and LONGHAUL_OIDC_AUDIENCE go together")
        if self.oidc_jwks_url is not None and self.oidc_issuer is None:
            raise ValueError("LONGHAUL_OIDC_JWKS_URL needs LONGHAUL_OIDC_ISSUER")
        return self

    @field_validator("webhook_secrets", mode="before")
    @classmethod
    def _read_secrets(cls, value: object) -> tuple[str, ...]:
        """Read `whsec_...,whsec_...`; all of them sign."""
        if isinstance(value, tuple):
            return value
        secrets = tuple(one.strip() for one in str(value).split(",") if one.strip())
        if not all(_is_secret(one) for one in secrets):
            raise ValueError("must be whsec_...,whsec_..., each with 24 to 64 bytes in base64")
        return secrets

    @field_validator("webhook_schedule", mode="before")
    @classmethod
    def _read_schedule(cls, value: object) -> tuple[timedelta, ...]:
        """Read `0,5,300`: the seconds before each try, after the one before it."""
        if isinstance(value, tuple):
            return value
        numbers = [number.strip() for number in str(value).split(",")]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise ValueError("must be whole seconds, such as 0,5,300")
        seconds = [int(number[:9]) for number in numbers]
        if seconds[0] != 0 or len(seconds) > _MOST_TRIES:
            raise ValueError(f"must begin with 0 and name {_MOST_TRIES} tries at most")
        if sum(seconds) > _LONGEST_SCHEDULE_SECONDS:
            raise ValueError("must be over within 7 days")
        return tuple(timedelta(seconds=one) for one in seconds)

    @field_validator("iot_topic")
    @classmethod
    def _check_topic(cls, value: str | None) -> str | None:
        if value is not None and (problem := problem_with_template(value)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("apigateway_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not _STAGE.fullmatch(value):
            raise ValueError("must be https://host/stage, without /@connections behind it")
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _check_connections(self) -> Self:
        if (self.apigateway_endpoint is None) != (self.apigateway_connection_key is None):
            raise ValueError(
                f"{PREFIX}APIGATEWAY_ENDPOINT and {PREFIX}APIGATEWAY_CONNECTION_KEY"
                " must be set together"
            )
        return self

    @model_validator(mode="after")
    def _check_metrics_port(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError(f"{PREFIX}METRICS_PORT must be another than PORT")
        return self

    @field_validator("feed_max_record_age_seconds")
    @classmethod
    def _check_age(cls, value: int) -> int:
        if value != _NEVER and not 1 <= value <= _OLDEST_SECONDS:
            raise ValueError(f"must be -1 (never too old) or 1 to {_OLDEST_SECONDS}")
        return value

    @property
    def feed_max_record_age(self) -> timedelta | None:
        """How old a change record may be and still be dispatched from the stream."""
        age = self.feed_max_record_age_seconds
        return None if age == _NEVER else timedelta(seconds=age)

    @property
    def push(self) -> PushTerms:
        """Whom this deployment tells of jobs' ends beside webhooks."""
        named = {
            DeliveryKind.EVENTBRIDGE: self.eventbridge_bus,
            DeliveryKind.IOT: self.iot_topic,
        }
        return PushTerms(
            always=tuple(kind for kind, value in named.items() if value is not None),
            connection_key=self.apigateway_connection_key,
        )

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts without a renewal."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def patience(self) -> timedelta:
        """How long a worker waits for a store that is away, with a paid answer in its hands."""
        return timedelta(seconds=self.patience_seconds)

    @property
    def url_lifetime(self) -> timedelta:
        """How long a presigned URL lasts."""
        return timedelta(seconds=self.url_seconds)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings out of the process's environment.

    `environ` is only looked at for names nobody knows; values are pydantic-settings' to read.
    Raises Misconfigured with a line for each thing that is wrong, naming the variable.
    """
    ours = {_variable(name) for name in Settings.model_fields}
    known = ours | STAND_INS_OWN | CLIENTS_OWN
    wrong = [
        f"{name}: no such setting{_meant(nearest(name.upper(), known))}"
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name not in known
    ]
    wrong += [
        f"{name}: no such setting of OpenTelemetry's{_meant(meant)}"
        for name, meant in mistyped_names(environ).items()
    ]
    try:
        settings = Settings()  # type: ignore[call-arg] # the environment names them
    except ValidationError as error:
        wrong += [_explain(problem) for problem in error.errors(include_url=False)]
    if wrong:
        raise Misconfigured("; ".join(wrong))
    return settings


def _read_host(text: str) -> str:
    """Give a name in small letters, or an address in its shortest form. Raises ValueError."""
    try:
        return str(ip_address(_BRACKETED.sub(r"\1", text)))
    except ValueError:
        if not _HOST.fullmatch(text):
            raise ValueError(
                "must be names or addresses without ports, separated by commas"
            ) from None
        return text.lower()


def _is_secret(text: str) -> bool:
    if not text.startswith(_SECRET):
        return False
    try:
        key = base64.b64decode(text.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        return False
    least, most = _SECRET_BYTES
    return least <= len(key) <= most


def _variable(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def _meant(name: str | None) -> str:
    return "" if name is None else f" ({name} is one)"


def _explain(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return explain_together(problem)
    name = _field_of(str(problem["loc"][0]))
    return explain(problem, variable=_variable(name), name=name, field=Settings.model_fields[name])


def _field_of(location: str) -> str:
    """Find a field by its name, or by the variable that pydantic names in its place."""
    return next(name for name in Settings.model_fields if location in {name, _variable(name)})
