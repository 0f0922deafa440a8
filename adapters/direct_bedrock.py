"""Bedrock's streamed calls, signed and sent without what botocore puts around them (decision 59).

What is sent is written by botocore's own serializer, which refuses what it always did, and what
comes back is read by its parsers; endpoint, keys, time-outs and certificates are its client's.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from socket import gaierror
from typing import TYPE_CHECKING, Any

import botocore.session
import urllib3.exceptions
from botocore.awsrequest import HeadersDict
from botocore.eventstream import EventStream
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.serialize import create_serializer
from botocore.utils import get_environ_proxies

from adapters.aws import connect_bedrock
from adapters.aws_pool import open_pool
from adapters.aws_signature import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.credentials import Credentials
    from botocore.model import OperationModel
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient

_PROTOCOL = "rest-json"
_BEARER = "AWS_BEARER_TOKEN_BEDROCK"


def connect_direct_bedrock(
    *, connections: int, read_timeout: float
) -> BedrockRuntimeClient | DirectBedrock:
    """Make the client for the model; botocore's own for who has a bearer token, or a proxy."""
    client = connect_bedrock(connections=connections, read_timeout=read_timeout)
    if not _is_signed(client) or get_environ_proxies(client.meta.endpoint_url):
        return client
    session = botocore.session.get_session()
    return DirectBedrock(
        client=client,
        credentials=session.get_credentials(),
        signer=Signer.of(
            client.meta.endpoint_url,
            service=client.meta.service_model.signing_name,
            region=client.meta.region_name,
        ),
        pool=open_pool(client, session, connections=connections, is_bound=False),
    )


def _is_signed(client: BedrockRuntimeClient) -> bool:
    """Tell whether keys sign the calls; a token from anywhere, or a preference, is botocore's."""
    config: Any = client.meta.config  # botocore sets what its environment says by name
    return not (os.environ.get(_BEARER) or config.auth_scheme_preference)


@dataclass(frozen=True, kw_only=True)
class DirectBedrock:
    """The calls of boto3's client that a run makes: same parameters, answers and errors.

    `client` is botocore's own for the same use, which makes the call that does not stream.
    """

    client: BedrockRuntimeClient
    credentials: Credentials | None
    signer: Signer
    pool: urllib3.HTTPConnectionPool
    _serializer: Any = field(default_factory=lambda: create_serializer(_PROTOCOL))
    _refusals: RestJSONParser = field(default_factory=RestJSONParser)
    _events: EventStreamJSONParser = field(default_factory=EventStreamJSONParser)

    @property
    def meta(self) -> Any:  # noqa: ANN401 - as boto3's clients have it
        """What the client is of."""
        return self.client.meta

    def converse_stream(self, **parameters: object) -> dict[str, EventStream[Any]]:
        """Call a model in Converse's shape, once."""
        return {"stream": self._call("ConverseStream", parameters)}

    def invoke_model_with_response_stream(
        self, **parameters: object
    ) -> dict[str, EventStream[Any]]:
        """Call a model in its own shape, once."""
        return {"body": self._call("InvokeModelWithResponseStream", parameters)}

    def invoke_model(self, **parameters: Any) -> Any:  # noqa: ANN401 - boto3's own shape
        """Call a model that does not stream, as boto3 does."""
        return self.client.invoke_model(**parameters)

    def close(self) -> None:
        """Let the connections go."""
        self.pool.close()
        self.client.close()

    def _call(self, name: str, parameters: dict[str, object]) -> EventStream[Any]:
        operation = self.meta.service_model.operation_model(name)
        request = self._serializer.serialize_to_request(parameters, operation)
        if self.credentials is None:
            raise NoCredentialsError
        path = self.signer.path.removesuffix("/") + request["url_path"]
        headers = {name.lower(): value for name, value in request["headers"].items()}
        signed = self.signer.sign(
            headers,
            request["body"],
            keys=self.credentials.get_frozen_credentials(),  # botocore renews those that run out
            now=datetime.now(UTC),
            path=path,
        )
        with self._botocores_errors():
            answer = self.pool.urlopen(
                "POST",
                path,
                body=request["body"],
                headers={**signed, "user-agent": self.meta.config.user_agent},
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(answer, operation)
        return EventStream(answer, operation.get_event_stream_output(), self._events, name)

    def _refusal(self, answer: urllib3.BaseHTTPResponse, operation: OperationModel) -> Exception:
        response: Any = {
            "status_code": answer.status,
            "headers": HeadersDict(answer.headers),
            "body": answer.data,
            "context": {"operation_name": operation.name},
        }
        shape: Any = operation.output_shape
        parsed = self._refusals.parse(response, shape)
        code = parsed.get("Error", {}).get("Code", "")  # to botocore's parser, a 300 is no error
        kind: Any = self.client.exceptions.from_code(code)
        refusal: Exception = kind(parsed, operation.name)
        return refusal

    @contextmanager
    def _botocores_errors(self) -> Iterator[None]:
        """Raise what botocore does where urllib3 does not reach the endpoint, or loses it."""
        url = self.meta.endpoint_url
        try:
            yield
        except urllib3.exceptions.SSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except (urllib3.exceptions.NewConnectionError, gaierror) as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        except urllib3.exceptions.ConnectTimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except urllib3.exceptions.ProtocolError as error:
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        except Exception as error:  # as botocore: whatever it is, the call may have been sent
            raise HTTPClientError(error=error) from error
