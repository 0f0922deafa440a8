"""The clients for AWS, or for whatever speaks its protocols where the environment says it is.

Time-outs and pool sizes are explicit: boto3's defaults (10 connections, 60 s) are traps under a
worker of hundreds of threads. See docs/decisions/0004-bedrock-is-called-once.md.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from adapters.plain_answers import PlainAnswers
from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.config import _RetryDict
    from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_iot_data.client import IoTDataPlaneClient
    from mypy_boto3_s3.client import S3Client

# botocore's own names every library anew at every call: a tenth of a call's time (decision 47).
_USER_AGENT = f"longhaul Boto3/{boto3.__version__}"
_CONNECT_SECONDS = 1.5

# A caller is told within five seconds that a part is away: two tries of the store with its wait
# between them, or one of the object store. Workers have more time and try more often.
_CALLERS_TRIES = 2
_CALLERS_STORE_SECONDS = 1.5
_CALLERS_OBJECT_SECONDS = 4.0
_WORKERS_TRIES = 3
_WORKERS_STORE_SECONDS = 5.0
_WORKERS_OBJECT_SECONDS = 20.0
_TELL_CONNECT_SECONDS = 3.0


def connect_dynamodb(
    *, connections: int, for_callers: bool = False, for_runs: bool = False
) -> DynamoDBClient:
    """Make the client for the table; `for_callers` where someone waits for the answer.

    `for_runs` tries once: a run is patient itself, and keeps its paid answer at the first failure.
    """
    tries = _CALLERS_TRIES if for_callers else 1 if for_runs else _WORKERS_TRIES
    with _configured():
        return _with_plain_answers().client(
            "dynamodb",
            region_name=region_named(),
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_CALLERS_STORE_SECONDS if for_callers else _WORKERS_STORE_SECONDS,
                max_pool_connections=connections,
                retries=_tries(tries),
                account_id_endpoint_mode="disabled",
                # The parameters are of our making, and DynamoDB checks them, too.
                parameter_validation=False,
                tcp_keepalive=True,
                user_agent=_USER_AGENT,
            ),
        )


def connect_streams(*, for_callers: bool = False) -> DynamoDBStreamsClient:
    """Make the client for the table's change stream."""
    with _configured():
        return _with_plain_answers().client(
            "dynamodbstreams",
            region_name=region_named(),
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                # GetRecords may carry 1 MB
                read_timeout=_CALLERS_STORE_SECONDS if for_callers else 10,
                retries=_tries(_CALLERS_TRIES if for_callers else _WORKERS_TRIES),
                account_id_endpoint_mode="disabled",
                tcp_keepalive=True,
                user_agent=_USER_AGENT,
            ),
        )


def connect_s3(*, connections: int, for_callers: bool = False) -> S3Client:
    """Make the client for the bucket; SigV4, because only its presigned URLs end everywhere."""
    with _configured():
        return boto3.client(
            "s3",
            region_name=region_named(),
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_CALLERS_OBJECT_SECONDS if for_callers else _WORKERS_OBJECT_SECONDS,
                max_pool_connections=connections,
                retries=_tries(1 if for_callers else _WORKERS_TRIES),
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                tcp_keepalive=True,
                user_agent=_USER_AGENT,
            ),
        )


def connect_bedrock(*, connections: int, read_timeout: float) -> BedrockRuntimeClient:
    """Make the client for the model: one try a call, because the job's policy owns retries."""
    with _configured():
        return boto3.client(
            "bedrock-runtime",
            region_name=region_named(),
            config=Config(
                connect_timeout=5,
                read_timeout=read_timeout,
                max_pool_connections=connections,
                retries=_tries(1),
                tcp_keepalive=True,
                user_agent=_USER_AGENT,
            ),
        )


def connect_eventbridge(*, connections: int, seconds: float) -> EventBridgeClient:
    """Make the client for a bus."""
    with _configured():
        return boto3.client(
            "events", region_name=region_named(), config=_telling(connections, seconds)
        )


def connect_iot(*, connections: int, seconds: float) -> IoTDataPlaneClient:
    """Make the client for IoT Core's topics."""
    with _configured():
        return boto3.client(
            "iot-data", region_name=region_named(), config=_telling(connections, seconds)
        )


def connect_apigateway(
    endpoint: str, *, connections: int, seconds: float
) -> ApiGatewayManagementApiClient:
    """Make the client for the connections of one API's stage."""
    with _configured():
        return boto3.client(
            "apigatewaymanagementapi",
            region_name=region_named(),
            endpoint_url=endpoint,
            config=_telling(connections, seconds),
        )


def _telling(connections: int, seconds: float) -> Config:
    """Tell once: the delivery's schedule owns retries, and its claim ends after a minute."""
    return Config(
        connect_timeout=_TELL_CONNECT_SECONDS,
        read_timeout=seconds,
        max_pool_connections=connections,
        retries=_tries(1),
        tcp_keepalive=True,
        user_agent=_USER_AGENT,
    )


def _with_plain_answers() -> boto3.Session:
    core = botocore.session.get_session()
    core.register_component("response_parser_factory", PlainAnswers())
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return boto3.Session(botocore_session=core)


@cache
def _loader(path: str | None) -> Loader:
    """Read what AWS's services are like once: it takes a new session a quarter of a second."""
    return create_loader(path)


def _tries(number: int) -> _RetryDict:
    return {"total_max_attempts": number, "mode": "standard"}


@contextmanager
def _configured() -> Iterator[None]:
    """Say in an operator's words why a client cannot even be made: no region, no such profile."""
    try:
        yield
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise Misconfigured(f"AWS's environment does not fit: {error}") from error


def region_named() -> str | None:
    """Read AWS_REGION as every other SDK does; boto3 by itself knows AWS_DEFAULT_REGION only."""
    return os.environ.get("AWS_REGION") or None
