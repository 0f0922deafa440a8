"""AWS's errors in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import botocore.exceptions
import urllib3.exceptions

from jobs.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
REFUSED_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_OPERATORS = REFUSED_CREDENTIALS | {
    "AccessDenied",
    "AccessDeniedException",
    "NoSuchBucket",
    "ResourceNotFoundException",
}
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})  # a right is missing
UNREACHABLE = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    urllib3.exceptions.HTTPError,
)
_SERVER_FAULT = 500


def code_of(error: botocore.exceptions.ClientError) -> str:
    """Give AWS's name for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translating(part: str) -> Iterator[None]:
    """Raise Unavailable or Misconfigured for what AWS or the way to it raises.

    An error that says that we asked for nonsense stays what it is: it is our bug.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code_of(error) in _OPERATORS:
            raise Misconfigured(f"{part}: {error}") from error
        if code_of(error) in BUSY or status >= _SERVER_FAULT:
            raise Unavailable(part, f"answered {code_of(error) or status}") from error
        raise
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.NoRegionError) as error:
        raise Misconfigured(f"{part}: {error}") from error
    except UNREACHABLE as error:
        raise Unavailable(part, f"cannot be reached ({type(error).__name__})") from error


@contextmanager
def translating_all(part: str) -> Iterator[None]:
    """Translate as `translating` does, and what says that we asked for nonsense as Misconfigured.

    For the feed's own tables: their readers can do nothing about it but wait and say so.
    """
    try:
        with translating(part):
            yield
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise Misconfigured(f"{part}: {error}") from error


@contextmanager
def suppressing_refusal() -> Iterator[None]:
    """Let a conditional write that was refused pass for done."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
