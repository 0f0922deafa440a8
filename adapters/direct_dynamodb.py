"""DynamoDB's calls of runs and callers, signed and sent without what botocore puts around each.

What we hand botocore has DynamoDB's own wire form already; its way from there to the wire and back
takes three times as long as signing and sending: see decision 46. Keys, time-outs, tries, endpoint
and certificates are as botocore's client for the same use has them, and so are the errors.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zlib import crc32

import botocore.session
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError
from botocore.utils import get_environ_proxies

from adapters.aws import connect_dynamodb
from adapters.aws_errors import UNREACHABLE, is_passing
from adapters.aws_pool import open_pool
from adapters.aws_signature import Signer

if TYPE_CHECKING:
    import urllib3
    from botocore.credentials import Credentials
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Hundreds of jobs may begin at once. So many of them talk to the store; the others wait without
# a thread that wants to run, or a connection that is used once.
_MOST_RUNS_CONNECTIONS = 32
_LONGEST_PAUSE_SECONDS = 0.3  # between two tries
_TYPE = "application/x-amz-json-1.0"
_VERSION = "DynamoDB_20120810"


def connect_direct(
    *, connections: int, for_callers: bool = False
) -> DynamoDBClient | DirectDynamoDB:
    """Make a run's client for the table; botocore's own where the way leads through a proxy.

    `for_callers` where someone waits for the answer: it tries once more, and who finds all
    connections in use opens another.
    """
    client = connect_dynamodb(
        connections=connections, for_callers=for_callers, for_runs=not for_callers
    )
    if get_environ_proxies(client.meta.endpoint_url):
        return client
    session = botocore.session.get_session()
    config: Any = client.meta.config  # botocore sets what it was given by name
    return DirectDynamoDB(
        credentials=session.get_credentials(),
        signer=Signer.of(
            client.meta.endpoint_url, service="dynamodb", region=client.meta.region_name
        ),
        user_agent=config.user_agent,
        pool=open_pool(
            client,
            session,
            connections=connections if for_callers else min(connections, _MOST_RUNS_CONNECTIONS),
            is_bound=not for_callers,
        ),
        waits=config.read_timeout,
        tries=config.retries["total_max_attempts"],
    )


@dataclass(frozen=True, kw_only=True)
class DirectDynamoDB:
    """The calls of boto3's client that the store of jobs makes: same parameters, answers, errors.

    Raises ClientError, NoCredentialsError, and urllib3's errors where the store is not reached.
    `waits` is how many seconds a call waits for its turn, `tries` how often one is made at most.
    """

    credentials: Credentials | None
    signer: Signer
    user_agent: str
    pool: urllib3.HTTPConnectionPool
    waits: float
    tries: int

    def get_item(self, **parameters: object) -> dict[str, Any]:
        """Read an item."""
        return self._call("GetItem", parameters)

    def put_item(self, **parameters: object) -> dict[str, Any]:
        """Write an item."""
        return self._call("PutItem", parameters)

    def update_item(self, **parameters: object) -> dict[str, Any]:
        """Change an item."""
        return self._call("UpdateItem", parameters)

    def delete_item(self, **parameters: object) -> dict[str, Any]:
        """Remove an item."""
        return self._call("DeleteItem", parameters)

    def close(self) -> None:
        """Let the connections go."""
        self.pool.close()

    def _call(self, operation: str, parameters: dict[str, object]) -> dict[str, Any]:
        body = json.dumps(parameters, separators=(",", ":")).encode()
        for _ in range(self.tries - 1):
            try:
                return self._try(operation, body)
            except (ClientError, *UNREACHABLE) as error:
                if isinstance(error, ClientError) and not is_passing(error):
                    raise
            time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret
        return self._try(operation, body)

    def _try(self, operation: str, body: bytes) -> dict[str, Any]:
        if self.credentials is None:
            raise NoCredentialsError
        keys = self.credentials.get_frozen_credentials()  # botocore renews those that run out
        headers = {"content-type": _TYPE, "x-amz-target": f"{_VERSION}.{operation}"}
        signed = self.signer.sign(headers, body, keys=keys, now=datetime.now(UTC))
        answer = self.pool.urlopen(
            "POST",
            self.signer.path,
            body=body,
            headers={**signed, "user-agent": self.user_agent},
            retries=False,
            pool_timeout=self.waits,  # type: ignore[arg-type] # urllib3's slip: it takes fractions
        )
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and crc32(answer.data) != int(checksum):
            raise HTTPClientError(error="the answer is not as it was sent")
        if answer.status != HTTPStatus.OK:
            raise _refusal(operation, answer)
        try:
            read: dict[str, Any] = json.loads(answer.data)
        except ValueError as error:
            raise HTTPClientError(error="the answer is not DynamoDB's") from error
        return read


def _refusal(operation: str, answer: urllib3.BaseHTTPResponse) -> ClientError:
    """Read an error as botocore does; what is no JSON has its status for a name."""
    try:
        said = json.loads(answer.data)
        name = str(said.get("__type", answer.status)).rpartition("#")[2]
    except (ValueError, AttributeError):
        said, name = {}, str(answer.status)
    message = said.get("message", said.get("Message", ""))
    response: Any = {
        **{key: value for key, value in said.items() if key != "__type"},
        "Error": {"Code": name, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": answer.status,
            "RequestId": answer.headers.get("x-amzn-requestid", ""),
        },
    }
    return ClientError(response, operation)
