"""What AWS says to an announcement, as a receiver's answer: a status, and one word of ours."""

from __future__ import annotations

from http import HTTPStatus

import botocore.exceptions
import botocore.parsers
import urllib3.exceptions

from adapters.aws_errors import code_of
from jobs.delivery import Answered

TOLD = Answered(status=200)
REFUSALS = (
    botocore.exceptions.ClientError,
    botocore.exceptions.BotoCoreError,
    botocore.parsers.ResponseParserError,
    urllib3.exceptions.HTTPError,
)
_WORDS = {
    "AccessDenied": "access_denied",
    "AccessDeniedException": "access_denied",
    "ExpiredToken": "credentials_refused",
    "ExpiredTokenException": "credentials_refused",
    "IncompleteSignature": "credentials_refused",
    "InternalFailure": "service_failed",
    "InvalidClientTokenId": "credentials_refused",
    "InvalidSignatureException": "credentials_refused",
    "LimitExceededException": "throttled",
    "MissingAuthenticationTokenException": "credentials_refused",
    "NotAuthorizedForDetailTypeException": "access_denied",
    "NotAuthorizedForSourceException": "access_denied",
    "ResourceNotFoundException": "not_found",
    "SignatureDoesNotMatch": "credentials_refused",
    "ThrottlingException": "throttled",
    "UnrecognizedClientException": "credentials_refused",
}
_WORDS_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: "access_denied",
    HTTPStatus.FORBIDDEN: "access_denied",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.GONE: "gone",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "throttled",
}
_WORDS_BY_ERROR = (  # the first that fits
    (botocore.exceptions.SSLError, "tls_failed"),
    (botocore.exceptions.ConnectTimeoutError, "timeout"),
    (botocore.exceptions.ReadTimeoutError, "timeout"),
    (botocore.exceptions.EndpointConnectionError, "unreachable"),
    (botocore.exceptions.ProxyConnectionError, "unreachable"),
    (botocore.exceptions.HTTPClientError, "connection_lost"),
    (urllib3.exceptions.HTTPError, "connection_lost"),
    (botocore.exceptions.NoCredentialsError, "no_credentials"),
    (botocore.exceptions.PartialCredentialsError, "no_credentials"),
    (botocore.exceptions.CredentialRetrievalError, "no_credentials"),
    (botocore.parsers.ResponseParserError, "answer_unreadable"),
)


def refusal(error: Exception) -> Answered:
    """Read what botocore raised, one of REFUSALS; never a success."""
    if not isinstance(error, botocore.exceptions.ClientError):
        words = (word for kind, word in _WORDS_BY_ERROR if isinstance(error, kind))
        return Answered(error=next(words, "refused"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    is_telling = status >= HTTPStatus.MULTIPLE_CHOICES
    return Answered(status=status if is_telling else None, error=word_for(code_of(error), status))


def word_for(code: str, status: int = 0) -> str:
    """Give our word for AWS's code, or for the status where the code says nothing to us."""
    if code in _WORDS:
        return _WORDS[code]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "service_failed"
    return next((word for known, word in _WORDS_BY_STATUS.items() if known == status), "refused")
