"""The doctor's checks, put together for one deployment."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.aws import (
    connect_bedrock,
    connect_dynamodb,
    connect_eventbridge,
    connect_iot,
    connect_s3,
    connect_streams,
)
from adapters.bootstrap import check_bus
from adapters.checks_aws import AwsChecks, call_model
from adapters.checks_processes import ProcessChecks, look_at_web
from adapters.checks_redis import RedisChecks
from adapters.checks_rights import RightsChecks, Role
from adapters.clock import SystemClock
from adapters.dynamodb_census import DynamoDBCensusTaker
from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.jwks import fetch_jwks
from adapters.redis_events import connect_redis
from adapters.schema import feed_table_name
from adapters.streams import DynamoDBChangeStream
from jobs.checkup import Check, Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from adapters.settings import Settings
    from jobs.shards import StreamName

_STORE = "see that AWS_REGION, AWS_ENDPOINT_URL_DYNAMODB and the credentials are right"
_REACH_SECONDS = 5.0


def checks_of(
    settings: Settings,
    *,
    roles: Sequence[Role],
    calls_model: bool,
    url: str | None,
    sweep: StreamName,
) -> list[Check]:
    """Name what is to be looked at, in the order in which a job meets it.

    `roles` are those whose rights these credentials should have; these may not look at what other
    processes do, which is an operator's. `url` is where a web process is, if that was said.
    """
    dynamodb, streams = connect_dynamodb(connections=1), connect_streams()
    s3, client = connect_s3(connections=1), connect_redis(settings.redis_url, connections=1)
    redis = RedisChecks(client=client)
    aws = AwsChecks(settings=settings, dynamodb=dynamodb, streams=streams, s3=s3)
    rights = RightsChecks(
        dynamodb=dynamodb, streams=streams, s3=s3, table=settings.table, bucket=settings.bucket
    )
    processes = ProcessChecks(
        leases=DynamoDBShardLeases(client=dynamodb, table=feed_table_name(settings.table)),
        stream=DynamoDBChangeStream(tables=dynamodb, streams=streams, table=settings.table),
        sweep=sweep,
        census=DynamoDBCensusTaker(client=dynamodb, table=settings.table),
        clock=SystemClock(),
    )
    web = look_at_web(url or _own_url(settings), is_named=url is not None)
    bucket = "see that LONGHAUL_BUCKET, AWS_ENDPOINT_URL_S3 and the credentials are right"
    return [
        Check(name="redis", look=redis.look, advice="see that REDIS_URL is right and Redis runs"),
        Check(name="tables", look=aws.look_at_tables, advice=_STORE),
        Check(name="aws clock", look=aws.look_at_clock, advice=_STORE),
        Check(name="stream", look=aws.look_at_stream, advice=_STORE),
        Check(name=f"bucket {settings.bucket}", look=aws.look_at_bucket, advice=bucket),
        *(
            Check(name=f"rights of {role}", look=_rights(rights, role), advice=_STORE)
            for role in roles
        ),
        *_others(settings, calls_model=calls_model),
        Check(name="web", look=web, advice="see that --url is a web process's address"),
        Check(name="workers", look=redis.workers, advice="see that Redis runs"),
        *(() if roles else _of_processes(processes)),
    ]


def _of_processes(processes: ProcessChecks) -> Iterator[Check]:
    feed = "start a feed, and see that it can reach DynamoDB"
    yield Check(name="feeds", look=processes.feeds, advice=feed)
    yield Check(name="sweep", look=processes.sweeper, advice=feed)
    yield Check(name="open jobs", look=processes.waiting, advice=_STORE)


def _rights(rights: RightsChecks, role: Role) -> Callable[[], Iterator[Finding]]:
    return lambda: rights.look(role)


def _others(settings: Settings, *, calls_model: bool) -> Iterator[Check]:
    def model() -> Iterator[Finding]:
        if not calls_model:
            yield ok("model", f"{settings.default_model} was not called; --call pays for one token")
            return
        client = connect_bedrock(connections=1, read_timeout=60)
        yield from call_model(client, settings.default_model)

    def issuer() -> Iterator[Finding]:
        url = settings.oidc_issuer
        if url is None:
            yield ok("issuer", "none: no JWTs are taken")
            return
        keys = fetch_jwks(issuer=url, jwks_url=settings.oidc_jwks_url)
        if keys:
            yield ok("issuer", f"{url} has {len(keys)} keys")
        else:
            yield fail("issuer", f"{url} has no key that can be used", "see its JWKS")

    def secrets() -> Iterator[Finding]:
        count = len(settings.webhook_secrets)
        yield ok("webhooks", f"{count} secrets sign" if count else "none: webhooks are refused")
        if settings.webhook_allow_loopback:
            advice = "set LONGHAUL_WEBHOOK_ALLOW_LOOPBACK to false, unless this is a laptop"
            if urlsplit(settings.redis_url).hostname not in {"127.0.0.1", "localhost", "::1"}:
                yield warn("webhooks", "may call this machine itself", advice)

    yield Check(
        name="model", look=model, advice="see that AWS_ENDPOINT_URL_BEDROCK_RUNTIME is right"
    )
    yield Check(name="issuer", look=issuer, advice="see LONGHAUL_OIDC_ISSUER, and that it answers")
    yield Check(name="webhooks", look=secrets, advice="see LONGHAUL_WEBHOOK_SECRETS")
    yield from _receivers(settings)


def _receivers(settings: Settings) -> Iterator[Check]:
    """Look at what ends are told to, where there is some; nothing is told."""
    if (bus := settings.eventbridge_bus) is not None:

        def look_at_bus() -> Iterator[Finding]:
            check_bus(connect_eventbridge(connections=1, seconds=5), bus)
            yield ok("event bus", f"{bus} is there, or not ours to look at")

        yield Check(name="event bus", look=look_at_bus, advice="make it, or name another")
    if settings.iot_topic is not None:
        url = connect_iot(connections=1, seconds=5).meta.endpoint_url
        yield Check(name="iot", look=lambda: _reach("iot", url), advice="see its endpoint")
    if (stage := settings.apigateway_endpoint) is not None:
        advice = "see LONGHAUL_APIGATEWAY_ENDPOINT"
        yield Check(name="api gateway", look=lambda: _reach("api gateway", stage), advice=advice)


def _reach(name: str, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_REACH_SECONDS):
            yield ok(name, f"{parts.hostname}:{port} can be reached; nothing was told")
    except OSError as error:
        told = f"{parts.hostname}:{port} cannot be reached ({type(error).__name__})"
        yield fail(name, told, "see the endpoint's name, and the way out of this network")


def _own_url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.port}"
