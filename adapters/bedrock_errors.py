"""Bedrock's errors as ModelError: by what name a policy knows them, and whether they may be paid.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html#API_runtime_ConverseStream_Errors
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import botocore.eventstream
import botocore.exceptions
import urllib3.exceptions

from jobs.errors import MODEL_THROTTLED, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What an error of Bedrock's means to us."""

    error_code: str
    retryable: bool
    may_be_paid: bool = False


_KINDS = {
    "ThrottlingException": _Kind(error_code=MODEL_THROTTLED, retryable=True),
    "ModelNotReadyException": _Kind(error_code="model_not_ready", retryable=True),
    "ServiceUnavailableException": _Kind(error_code="model_unavailable", retryable=True),
    "InternalServerException": _Kind(error_code="model_internal_error", retryable=True),
    "ModelStreamErrorException": _Kind(
        error_code="model_stream_error", retryable=True, may_be_paid=True
    ),
    "ModelTimeoutException": _Kind(error_code="model_timeout", retryable=True, may_be_paid=True),
    "ModelErrorException": _Kind(error_code="model_error", retryable=True, may_be_paid=True),
    "ServiceQuotaExceededException": _Kind(error_code="model_quota_exceeded", retryable=True),
    "ValidationException": _Kind(error_code="model_rejected_request", retryable=False),
    "AccessDeniedException": _Kind(error_code="model_access_denied", retryable=False),
    "ResourceNotFoundException": _Kind(error_code="model_not_found", retryable=False),
}
_UNKNOWN = _Kind(error_code="model_error", retryable=False)


@contextmanager
def translating_model_errors() -> Iterator[None]:
    """Raise ModelError for whatever boto3 or the way to Bedrock raises."""
    try:
        yield
    except botocore.exceptions.ClientError as error:  # also EventStreamError, after HTTP 200
        raise _refused(error) from error
    except botocore.exceptions.ParamValidationError as error:
        raise _never_sent(str(error), "model_rejected_request", retryable=False) from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.NoRegionError) as error:
        raise _never_sent(str(error), "model_access_denied", retryable=False) from error
    except (
        botocore.exceptions.EndpointConnectionError,
        botocore.exceptions.ConnectTimeoutError,
        botocore.exceptions.ProxyConnectionError,
        botocore.exceptions.SSLError,
    ) as error:
        unreachable = "Bedrock cannot be reached"
        raise _never_sent(unreachable, "model_unreachable", retryable=True) from error
    except (botocore.exceptions.ReadTimeoutError, urllib3.exceptions.ReadTimeoutError) as error:
        raise ModelError(
            "Bedrock sent nothing for longer than the read time-out",
            name="States.Timeout",
            error_code="model_read_timeout",
            retryable=True,
            may_be_paid=True,
        ) from error
    except (
        botocore.exceptions.HTTPClientError,
        botocore.exceptions.ConnectionError,
        botocore.exceptions.IncompleteReadError,
        botocore.eventstream.ParserError,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,  # "I/O operation on closed file", and
        AttributeError,  # urllib3's, where its connection went away in mid-read
    ) as error:
        raise broken_off(f"the stream broke off ({type(error).__name__})") from error


def broken_off(message: str) -> ModelError:
    """Make the error of a call that began and has no end: it may have been paid."""
    return ModelError(
        message,
        name="Longhaul.ConnectionLost",
        error_code="model_connection_lost",
        retryable=True,
        may_be_paid=True,
    )


def _never_sent(message: str, error_code: str, *, retryable: bool) -> ModelError:
    return ModelError(
        message, name="Longhaul.NotInvoked", error_code=error_code, retryable=retryable
    )


def _by_status(status: int) -> str | None:
    """Name what a gateway between us and Bedrock says without naming it."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "ThrottlingException"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "ServiceUnavailableException"
    return "InternalServerException" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


def _refused(error: botocore.exceptions.ClientError) -> ModelError:
    detail = error.response.get("Error", {})
    code = str(detail.get("Code", ""))
    exception = code[:1].upper() + code[1:]  # inside a stream: `throttlingException`
    by_status = None
    if exception not in _KINDS:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        by_status = _by_status(status)
        exception = by_status or exception
    kind = _KINDS.get(exception, _UNKNOWN)
    # Half a surrogate pair could not be written to the row.
    message = str(detail.get("Message") or exception).encode(errors="replace").decode()
    return ModelError(
        message,
        name=f"Bedrock.{exception}",
        error_code=kind.error_code,
        retryable=kind.retryable,
        # A gateway's 502 or 504 says nothing of what the model did behind it.
        may_be_paid=kind.may_be_paid or by_status == "InternalServerException",
    )
