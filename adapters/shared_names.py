"""Names in the environment that Longhaul reads and that are not its alone: AWS's, REDIS_URL, ...

What is a letter away from one of these is a mistake where that one is not set. All else that nobody
here reads is somebody else's, and is let alone: see docs/decisions/0055-one-letter-away.md.
"""

from __future__ import annotations

import gzip
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.setting_words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EVERYWHERE = "AWS_ENDPOINT_URL"
_ENDPOINT = f"{_EVERYWHERE}_"
_OUR_SERVICES = (
    "DYNAMODB",
    "DYNAMODB_STREAMS",
    "S3",
    "BEDROCK_RUNTIME",
    "EVENTBRIDGE",
    "IOT_DATA_PLANE",
    "STS",
)
_OURS = frozenset(
    {
        "REDIS_URL",
        "WEB_CONCURRENCY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE",
        "AWS_CA_BUNDLE",
        _EVERYWHERE,
        *(_ENDPOINT + service for service in _OUR_SERVICES),
    }
)
_ID = re.compile(rb'"serviceId"\s*:\s*"([^"]+)"')
_METADATA_BYTES = 4096  # a service's metadata is the first that its description has


def problems_with_shared_names(environ: Mapping[str, str]) -> Iterator[str]:
    """Say a line of each variable that must be a mistake; none shows a value."""
    for name in sorted(environ):
        if name in _OURS:
            continue
        meant = next((one for one in sorted(_OURS) if _is_slip(name, one)), None)
        if meant is not None and not environ.get(meant):
            yield f"{name}: nobody reads it ({meant} is one letter away)"
    yield from _problems_with_endpoints(environ)


def _problems_with_endpoints(environ: Mapping[str, str]) -> Iterator[str]:
    named = {name for name in environ if name == _EVERYWHERE or name.startswith(_ENDPOINT)}
    unknown = named - _OURS
    if unknown:
        unknown -= _known_to_botocore()
    for name in sorted(named):
        if name in unknown:
            if any(_is_slip(name, one) and not environ.get(one) for one in _OURS):
                continue  # it has been told of
            meant = nearest(name, {_ENDPOINT + service for service in _OUR_SERVICES})
            told = "" if meant is None else f" ({meant} is one)"
            yield f"{name}: AWS has no service of that name{told}"
        elif environ[name] and not _is_endpoint(environ[name]):
            yield f"{name}: must be http://host:port or https://host, without user and password"


def _is_slip(typed: str, meant: str) -> bool:
    """Tell whether a letter is missing, too many or wrong, or two are swapped.

    What only goes on behind the name is a name of its own: AWS_REGIONS, REDIS_URL2.
    """
    if typed.startswith(meant) or abs(len(typed) - len(meant)) > 1:
        return False
    start = 0
    while start < min(len(typed), len(meant)) and typed[start] == meant[start]:
        start += 1
    end = 0
    while end < min(len(typed), len(meant)) - start and typed[-1 - end] == meant[-1 - end]:
        end += 1
    rest, wanted = typed[start : len(typed) - end], meant[start : len(meant) - end]
    is_swapped = len(rest) == len(wanted) == 2 and rest == wanted[::-1]  # noqa: PLR2004 - two letters
    return is_swapped or (len(rest) <= 1 and len(wanted) <= 1)


def _is_endpoint(value: str) -> bool:
    try:
        url = urlsplit(value)
        return (
            url.scheme in {"http", "https"}
            and bool(url.hostname)
            and "@" not in url.netloc
            and url.port != 0
        )
    except ValueError:
        return False


def _known_to_botocore() -> set[str]:
    """Read the services' names out of botocore's files: half a second, and seldom needed.

    botocore is not imported: its sockets must not be there before gevent has patched them.
    """
    spec = find_spec("botocore")
    folders = [] if spec is None else spec.submodule_search_locations or []
    ids = (
        _ID.search(_beginning_of(file))
        for folder in folders
        for file in Path(folder).glob("data/*/*/service-2.json*")
    )
    return {_ENDPOINT + one[1].decode().replace(" ", "_").upper() for one in ids if one is not None}


def _beginning_of(file: Path) -> bytes:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
        return opened.read(_METADATA_BYTES)
