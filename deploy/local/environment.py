"""What the environment names, and what the local stand-ins fill in: decisions only, no I/O.

A *part* is something Longhaul talks to; the environment names it with the variables that boto3 and
Redis clients read themselves. A *stand-in* is a server on 127.0.0.1 for the parts nobody named.
An empty variable counts as one that is not set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

REPO_ROOT: Final = Path(__file__).resolve().parents[2]
HOST: Final = "127.0.0.1"
DEFAULT_PORT_BASE: Final = 5000
DEFAULT_REGION: Final = "us-east-1"

# honcho gives every process a PORT of its own: 5000 (or the PORT it was given), and 100 more for
# each next process, in the order they were started.
HONCHO_BASE: Final = 5000
HONCHO_STEP: Final = 100
PROCFILE_ORDER: Final = ("web", "worker", "feed", "local")


class SettingError(ValueError):
    """A variable of the environment has a value that cannot be used; the message names it."""


class Part(StrEnum):
    """One thing Longhaul talks to."""

    REDIS = "redis"
    DYNAMODB = "dynamodb"
    STREAMS = "streams"
    S3 = "s3"
    BEDROCK = "bedrock"


class StandIn(StrEnum):
    """One server that stands in for parts, in the order they are started."""

    AWS = "aws"
    REDIS = "redis"
    BEDROCK = "bedrock"


ENDPOINT_VARIABLE: Final[Mapping[Part, str]] = {
    Part.REDIS: "REDIS_URL",
    Part.DYNAMODB: "AWS_ENDPOINT_URL_DYNAMODB",
    Part.STREAMS: "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    Part.S3: "AWS_ENDPOINT_URL_S3",
    Part.BEDROCK: "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
}
STAND_IN_FOR: Final[Mapping[Part, StandIn]] = {
    Part.REDIS: StandIn.REDIS,
    Part.DYNAMODB: StandIn.AWS,
    Part.STREAMS: StandIn.AWS,
    Part.S3: StandIn.AWS,
    Part.BEDROCK: StandIn.BEDROCK,
}
STORES: Final = (Part.DYNAMODB, Part.S3)
CREDENTIAL_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the web process and each stand-in listen."""

    web: int
    aws: int
    redis: int
    bedrock: int

    def of(self, stand_in: StandIn) -> int:
        """Return the port of one stand-in."""
        return {
            StandIn.AWS: self.aws,
            StandIn.REDIS: self.redis,
            StandIn.BEDROCK: self.bedrock,
        }[stand_in]


@dataclass(frozen=True, kw_only=True)
class LocalPlan:
    """What runs where.

    `named` holds the parts that the environment names with their addresses as given (they may
    hold passwords: show them through `shown`) and `stand_ins` what must be started. `additions`
    are the variables that every process gets beside its own where stand-ins run, `always` those
    it gets even where none does; neither overrules a named part.
    """

    ports: Ports
    data_dir: Path
    named: Mapping[Part, str]
    stand_ins: tuple[StandIn, ...]
    additions: Mapping[str, str]
    always: Mapping[str, str]
    listen: str = HOST

    @property
    def web_address(self) -> str:
        """The address a person opens."""
        return f"http://{HOST}:{self.ports.web}/"

    def address(self, part: Part) -> str:
        """Return where a part is: as the environment names it, or its stand-in's address."""
        return self.named.get(part) or stand_in_address(part, self.ports)


def plan(environ: Mapping[str, str]) -> LocalPlan:
    """Decide from the environment alone. Raises SettingError for a port that cannot be used."""
    named = named_parts(environ)
    unnamed = [part for part in Part if part not in named]
    needed = {STAND_IN_FOR[part] for part in unnamed}
    stand_ins = tuple(stand_in for stand_in in StandIn if stand_in in needed)
    ports = choose_ports(environ, stand_ins)
    always = {
        **_streams_beside_table(environ, named),
        **_region_under_both_names(environ),
        **_drain_in_honchos_time(environ),
        "PORT": str(ports.web),
    }
    return LocalPlan(
        ports=ports,
        data_dir=REPO_ROOT / (environ.get("LONGHAUL_LOCAL_DIR") or ".local"),
        named=named,
        stand_ins=stand_ins,
        additions={
            **{ENDPOINT_VARIABLE[part]: stand_in_address(part, ports) for part in unnamed},
            **_for_aws_stand_ins(environ, unnamed),
            **_for_the_console(environ, unnamed, ports),
            **_past_the_proxy(environ, stand_ins),
            **always,
        },
        always=always,
        listen=environ.get("LONGHAUL_LOCAL_HOST") or HOST,
    )


def named_parts(environ: Mapping[str, str]) -> dict[Part, str]:
    """Return the parts that the environment names, each with its address."""
    everywhere = environ.get("AWS_ENDPOINT_URL", "")
    found = {part: environ.get(variable, "") for part, variable in ENDPOINT_VARIABLE.items()}
    for part in (Part.DYNAMODB, Part.S3, Part.BEDROCK):
        found[part] = found[part] or everywhere
    # A stream lives with its table: who names only the table means both.
    found[Part.STREAMS] = found[Part.STREAMS] or found[Part.DYNAMODB]
    return {part: address for part, address in found.items() if address}


def stand_in_address(part: Part, ports: Ports) -> str:
    """Return the URL under which a part's stand-in answers."""
    port = ports.of(STAND_IN_FOR[part])
    return f"redis://{HOST}:{port}/0" if part is Part.REDIS else f"http://{HOST}:{port}"


def choose_ports(environ: Mapping[str, str], stand_ins: tuple[StandIn, ...]) -> Ports:
    """Return the ports; raises SettingError naming the variable that is wrong."""
    base = _port(environ, "LONGHAUL_PORT_BASE") or DEFAULT_PORT_BASE
    web = _named_web_port(environ)
    ports = Ports(web=web or base, aws=base + 1, redis=base + 2, bedrock=base + 3)
    for stand_in in stand_ins:
        if ports.of(stand_in) == ports.web:
            raise SettingError(
                f"PORT={ports.web} is also the port of the {stand_in} stand-in:"
                " choose another PORT, or shift all ports with LONGHAUL_PORT_BASE"
            )
    return ports


def _named_web_port(environ: Mapping[str, str]) -> int | None:
    """Return the port that a person named with PORT, or None where honcho only counted."""
    port = _port(environ, "PORT", lowest=1, highest=65535)
    process = environ.get("HONCHO_PROCESS_NAME", "").partition(".")[0]
    if port is None or not process:
        return port
    # In whatever order a part of the Procfile is started, its own count yields these values.
    counted = range(HONCHO_BASE, HONCHO_BASE + HONCHO_STEP * len(PROCFILE_ORDER), HONCHO_STEP)
    if port in counted:
        return None
    # `PORT=8080 honcho start` gives web 8080 and local 8380; both must mean 8080.
    before = PROCFILE_ORDER.index(process) * HONCHO_STEP if process in PROCFILE_ORDER else 0
    return port - before if port > before else port


def _port(
    environ: Mapping[str, str], variable: str, *, lowest: int = 1024, highest: int = 65000
) -> int | None:
    """Return a variable's port, None if unset; raises SettingError."""
    text = environ.get(variable, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise SettingError(f"{variable}={text!r}: a port from {lowest} to {highest} is needed")
    return int(text)


def _streams_beside_table(environ: Mapping[str, str], named: Mapping[Part, str]) -> dict[str, str]:
    """Say for boto3 what `named_parts` decided; boto3 itself would go to AWS for the stream."""
    variable = ENDPOINT_VARIABLE[Part.STREAMS]
    own = environ.get(variable) or environ.get("AWS_ENDPOINT_URL")
    return {} if own or Part.STREAMS not in named else {variable: named[Part.STREAMS]}


def _region_under_both_names(environ: Mapping[str, str]) -> dict[str, str]:
    """Repeat a named region: botocore 1.43 reads AWS_DEFAULT_REGION and not AWS_REGION."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region:
        return {}
    names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return {name: region for name in names if not environ.get(name)}


def _drain_in_honchos_time(environ: Mapping[str, str]) -> dict[str, str]:
    """Hand jobs on before honcho, five seconds after SIGTERM, kills."""
    if "HONCHO_PROCESS_NAME" not in environ or environ.get("LONGHAUL_DRAIN_SECONDS"):
        return {}
    return {"LONGHAUL_DRAIN_SECONDS": "3"}


def _for_aws_stand_ins(environ: Mapping[str, str], unnamed: list[Part]) -> dict[str, str]:
    """Return what makes boto3 and Longhaul content with stand-ins for AWS."""
    additions: dict[str, str] = {}
    if set(unnamed) <= {Part.REDIS}:
        return additions
    if Part.STREAMS in unnamed and not environ.get("LONGHAUL_FEED_READS_PER_SECOND"):
        # AWS allows five reads of a shard a second; here there is no such limit to keep.
        additions["LONGHAUL_FEED_READS_PER_SECOND"] = "100"
    if not environ.get("LONGHAUL_LOG_FORMAT"):
        additions["LONGHAUL_LOG_FORMAT"] = "console"
    if not any(environ.get(variable) for variable in CREDENTIAL_VARIABLES):
        additions |= {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    if not any(environ.get(variable) for variable in REGION_VARIABLES):
        additions |= {"AWS_REGION": DEFAULT_REGION, "AWS_DEFAULT_REGION": DEFAULT_REGION}
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        # Otherwise boto3 would pass over every endpoint below and call AWS.
        additions["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "false"
    if any(part in unnamed for part in STORES):
        ours = {"LONGHAUL_BUCKET": "longhaul-local", "LONGHAUL_ALLOW_ANONYMOUS": "true"}
        additions |= {name: value for name, value in ours.items() if not environ.get(name)}
    return additions


def _for_the_console(
    environ: Mapping[str, str], unnamed: list[Part], ports: Ports
) -> dict[str, str]:
    """Let the console, whose page is of another origin than the bucket, upload and read there."""
    if Part.S3 not in unnamed or environ.get("LONGHAUL_ALLOWED_ORIGINS"):
        return {}
    origins = (f"http://{host}:{ports.web}" for host in (HOST, "localhost"))
    return {"LONGHAUL_ALLOWED_ORIGINS": ",".join(origins)}


def _past_the_proxy(environ: Mapping[str, str], stand_ins: tuple[StandIn, ...]) -> dict[str, str]:
    """Keep loopback out of a configured HTTP proxy: botocore and httpx would use it."""
    if not stand_ins or not any(
        environ.get(name) for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy")
    ):
        return {}
    bypassed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in bypassed.split(",") if host.strip()]
    value = ",".join([*hosts, *(own for own in (HOST, "localhost") if own not in hosts)])
    return {"no_proxy": value, "NO_PROXY": value}


def is_loopback(address: str) -> bool:
    """Tell whether an address is on this machine, so that making things there harms nobody."""
    host = urlsplit(address).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def shown(address: str) -> str:
    """Return an address as it may be printed: no user, no password, no query."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def may_create_stores(plan: LocalPlan, environ: Mapping[str, str]) -> bool:
    """Tell whether table and bucket may be made unasked: on this machine, or by order."""
    if environ.get("LONGHAUL_BOOTSTRAP") == "1":
        return True
    return all(is_loopback(plan.address(part)) for part in STORES)
