"""The doctor's first look at AWS: who we are to it, in which region, and whether DynamoDB answers.

All that is looked at on AWS rests on these three, so that one cause is told once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import botocore.parsers
import botocore.utils

from adapters.aws import region_named
from adapters.aws_errors import BUSY, DENIED, REFUSED_CREDENTIALS, UNREACHABLE, code_of
from adapters.checks_redis import clock_finding
from jobs.checkup import Finding, fail, ok, skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

CREDENTIALS, REGION, DYNAMODB, CLOCK = "aws credentials", "aws region", "dynamodb", "aws clock"
GIVE_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run it where a role is"
)
MEND_CREDENTIALS = (
    "see which credentials these are, and whether they have expired or the clock is off"
)
_OF_A_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_THERE_BUT_NOT_OURS = frozenset({"ResourceNotFoundException", *DENIED})


def look_at_credentials() -> Iterator[Finding]:
    """Find credentials as boto3 does, with its environment, files and roles, and say where."""
    try:
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()  # a role's are fetched only when they are needed
    except botocore.exceptions.ProfileNotFound as error:
        yield fail(CREDENTIALS, str(error), "set AWS_PROFILE to one that is there, or unset it")
        return
    except botocore.exceptions.BotoCoreError as error:
        told = f"cannot be used: {error} ({_looked_in(os.environ)})"
        yield fail(CREDENTIALS, told, GIVE_CREDENTIALS)
        return
    if credentials is None:
        yield fail(CREDENTIALS, f"none found: {_looked_in(os.environ)}", GIVE_CREDENTIALS)
        return
    yield ok(CREDENTIALS, f"found by boto3 as {credentials.method}")


def _looked_in(environ: Mapping[str, str]) -> str:
    """Say where boto3 looks, and what is there; no value of a secret."""
    named = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if environ.get(name)]
    profile = environ.get("AWS_PROFILE") or "default"
    files = [
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    ]
    there = [one for one in files if Path(one).expanduser().is_file()]
    role = environ.get("AWS_ROLE_ARN")
    container = any(environ.get(name) for name in _OF_A_CONTAINER)
    instance = environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    return "; ".join(
        [
            f"the environment names {', '.join(named) or 'no AWS_ACCESS_KEY_ID'}",
            f"profile {profile} in {', '.join(there)}"
            if there
            else f"no file {' or '.join(files)}, so no profile {profile}",
            f"role {role}" if role else "no AWS_ROLE_ARN",
            "a container's role" if container else "no container's role",
            "an instance's role is switched off" if instance else "no instance's role answers",
        ]
    )


def look_at_region() -> Iterator[Finding]:
    """Look whether a region is named, and could be one."""
    region = region_named() or boto3.DEFAULT_SESSION.region_name  # type: ignore[union-attr] # it is set up with the credentials
    if not region:
        yield fail(REGION, "none is named", "set AWS_REGION, as in AWS_REGION=eu-central-1")
        return
    try:
        botocore.utils.validate_region_name(region)
    except botocore.exceptions.InvalidRegionError:
        yield fail(
            REGION, f"{region!r} cannot be a region", "set AWS_REGION to one, as eu-central-1"
        )
        return
    yield ok(REGION, str(region))


@dataclass(frozen=True, kw_only=True)
class AccessChecks:
    """`connect` makes the client, which is not to be made before there are credentials."""

    connect: Callable[[], DynamoDBClient]
    table: str

    def look(self) -> Iterator[Finding]:
        """Ask DynamoDB for a table: it may be away, refuse us, or have another time."""
        client = self.connect()
        url, region = client.meta.endpoint_url, client.meta.region_name
        began = datetime.now(UTC)
        answer: Mapping[str, Any] = {}
        try:
            answer = client.describe_table(TableName=self.table)
            yield ok(DYNAMODB, f"{url} answers")
        except botocore.exceptions.ClientError as error:
            answer = error.response
            yield _refusal(error, url, region)
        except UNREACHABLE as error:
            told = silence_of(url, error)
            yield fail(DYNAMODB, told, _how_to_reach(url, region))
        except botocore.parsers.ResponseParserError:
            told = f"{url} answers, but not as DynamoDB does"
            yield fail(DYNAMODB, told, "see AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL")
        yield _clock_of(answer, began)


def silence_of(url: str, error: BaseException) -> str:
    """Say how a server does not answer."""
    is_there = isinstance(error, botocore.exceptions.ReadTimeoutError)
    told = "takes connections and does not answer" if is_there else "cannot be reached"
    return f"{url} {told} ({type(error).__name__})"


def _clock_of(answer: Mapping[str, Any], began: datetime) -> Finding:
    """Compare this machine's clock with AWS's, which stands on refusals, too."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return clock_finding(CLOCK, parsedate_to_datetime(date or ""), began)  # to the second
    except ValueError:
        return skip(CLOCK, DYNAMODB)


def _refusal(error: botocore.exceptions.ClientError, url: str, region: str) -> Finding:
    code = code_of(error)
    if code in _THERE_BUT_NOT_OURS:  # the table's own check tells of it
        return ok(DYNAMODB, f"{url} answers")
    if "valid region" in str(error):  # a signature is made for one region
        told = f"{url} is not {region}'s: {error}"
        return fail(DYNAMODB, told, "let AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB name one region")
    if code in REFUSED_CREDENTIALS:
        told = f"{url} does not take these credentials: {error}"
        return fail(DYNAMODB, told, MEND_CREDENTIALS)
    if code in BUSY:
        return fail(DYNAMODB, f"{url} answers {code}", "look again in a minute")
    told = f"{url} answers {code or 'what it never should'}"
    return fail(DYNAMODB, told, "see that AWS_ENDPOINT_URL_DYNAMODB names DynamoDB")


def _how_to_reach(url: str, region: str) -> str:
    """Name what may be wrong: of AWS's own names the region, of others the setting."""
    if "amazonaws.com" not in url:
        return "see AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL, and that it runs"
    session: Any = boto3.DEFAULT_SESSION
    known = {
        one
        for partition in session.get_available_partitions()
        for one in session.get_available_regions("dynamodb", partition_name=partition)
    }
    if region not in known:
        return f"AWS_REGION={region} is no region that boto3 knows: see its name"
    return f"see AWS_REGION={region}, and the way out of this network"
