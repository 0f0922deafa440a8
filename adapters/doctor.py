"""The doctor's checks, put together for one deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.aws import (
    connect_apigateway,
    connect_bedrock,
    connect_eventbridge,
    connect_iot,
)
from adapters.checks_access import (
    CREDENTIALS,
    DYNAMODB,
    GIVE_CREDENTIALS,
    REGION,
    AccessChecks,
    look_at_credentials,
    look_at_region,
)
from adapters.checks_aws import (
    BUCKET,
    STREAM,
    AwsChecks,
    BucketChecks,
    call_model,
    indexed_tables,
    indexes_check,
    table_check,
)
from adapters.checks_processes import WITHIN_SECONDS, ProcessChecks, look_at_web
from adapters.checks_receivers import (
    API_GATEWAY,
    EVENT_BUS,
    IOT,
    IOT_ADVICE,
    STAGE_ADVICE,
    ReceiverChecks,
)
from adapters.checks_redis import RedisChecks
from adapters.checks_rights import RightsChecks, Role
from adapters.clock import SystemClock
from adapters.doctors_clients import DoctorsClients
from adapters.dynamodb_census import DynamoDBCensusTaker
from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.jwks import fetch_jwks
from adapters.redis_events import connect_redis
from adapters.schema import feed_table_name, tables
from adapters.streams import DynamoDBChangeStream
from jobs.checkup import BOUND, Check, Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from adapters.settings import Settings
    from jobs.shards import StreamName

WITHIN = timedelta(seconds=12)  # all checks: the longest stands upon three short ones
WITHIN_WITH_CALL = timedelta(seconds=35)
_CALL = timedelta(seconds=30)
_WATCH = timedelta(seconds=WITHIN_SECONDS + 1.5)
_MANY_CALLS = timedelta(seconds=8)
_ASK_SECONDS = 4.0
_STORE = "see that DynamoDB answers in time"
_FEED = "start a feed, and see that it can reach DynamoDB"
_ACCESS = (CREDENTIALS, REGION)


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
    clients = DoctorsClients()
    redis = RedisChecks(client=connect_redis(settings.redis_url, connections=2))
    web = look_at_web(url or _own_url(settings), is_named=url is not None)
    return [
        Check(name="redis", look=redis.look, advice="see that REDIS_URL is right and Redis runs"),
        *_of_access(settings, clients),
        *_of_tables(settings, clients),
        *_of_bucket(settings, clients),
        *(_of_role(settings, clients, role) for role in roles),
        *_others(settings, clients, calls_model=calls_model),
        *_receivers(settings, clients, is_workers=Role.WORKER in roles),
        Check(name="web", look=web, advice="see that --url is a web process's address"),
        Check(
            name="workers", look=redis.workers, advice="see that Redis runs", rests_on=("redis",)
        ),
        *(() if roles else _of_processes(settings, clients, sweep)),
    ]


def _of_access(settings: Settings, clients: DoctorsClients) -> Iterator[Check]:
    access = AccessChecks(connect=clients.dynamodb, table=settings.table)
    yield Check(name=CREDENTIALS, look=look_at_credentials, advice=GIVE_CREDENTIALS)
    yield Check(name=REGION, look=look_at_region, advice="set AWS_REGION", rests_on=(CREDENTIALS,))
    yield Check(name=DYNAMODB, look=access.look, advice=_STORE, rests_on=_ACCESS)


def _of_tables(settings: Settings, clients: DoctorsClients) -> Iterator[Check]:
    """Look at the jobs' table first: where it is missing, so are the others, which is one fault."""

    def checks() -> AwsChecks:
        return AwsChecks(settings=settings, dynamodb=clients.dynamodb())

    def table(name: str) -> Callable[[], Iterator[Finding]]:
        return lambda: checks().look_at_table(name)

    def indexes(name: str) -> Callable[[], Iterator[Finding]]:
        return lambda: checks().look_at_indexes(name)

    jobs = table_check(settings.table)
    for definition in tables(settings.table):
        name = definition["TableName"]
        yield Check(
            name=table_check(name),
            look=table(name),
            advice=_STORE,
            rests_on=(DYNAMODB,) if name == settings.table else (jobs,),
        )
    for name in indexed_tables(settings.table):
        yield Check(
            name=indexes_check(name),
            look=indexes(name),
            advice=_STORE,
            rests_on=(table_check(name),),
        )
    yield Check(
        name="stream",
        look=lambda: checks().look_at_stream(clients.streams),
        advice=STREAM,
        rests_on=(jobs,),
    )


def _of_bucket(settings: Settings, clients: DoctorsClients) -> Iterator[Check]:
    def checks() -> BucketChecks:
        return BucketChecks(settings=settings, s3=clients.s3())

    name = _bucket_check(settings)
    yield Check(name=name, look=lambda: checks().look(), advice=BUCKET, rests_on=_ACCESS)
    yield Check(
        name="bucket lifecycle",
        look=lambda: checks().look_at_lifecycle(),
        advice=BUCKET,
        rests_on=(name,),
    )
    yield Check(
        name="bucket cors", look=lambda: checks().look_at_cors(), advice=BUCKET, rests_on=(name,)
    )


def _bucket_check(settings: Settings) -> str:
    return f"bucket {settings.bucket}"


def _of_role(settings: Settings, clients: DoctorsClients, role: Role) -> Check:
    def look() -> Iterator[Finding]:
        rights = RightsChecks(
            dynamodb=clients.dynamodb(),
            streams=clients.streams(),
            s3=clients.s3(),
            table=settings.table,
            bucket=settings.bucket,
        )
        yield from rights.look(role)

    there = [table_check(one["TableName"]) for one in tables(settings.table)]
    indexes = map(indexes_check, indexed_tables(settings.table))
    return Check(
        name=f"rights of {role}",
        look=look,
        advice=_STORE,
        rests_on=(*there, *indexes, "stream", _bucket_check(settings)),
        bound=_MANY_CALLS,
    )


def _of_processes(
    settings: Settings, clients: DoctorsClients, sweep: StreamName
) -> Iterator[Check]:
    def checks() -> ProcessChecks:
        dynamodb, table = clients.dynamodb(), settings.table
        return ProcessChecks(
            leases=DynamoDBShardLeases(client=dynamodb, table=feed_table_name(table)),
            stream=DynamoDBChangeStream(tables=dynamodb, streams=clients.streams(), table=table),
            sweep=sweep,
            census=DynamoDBCensusTaker(client=dynamodb, table=table),
            clock=SystemClock(),
        )

    leases = table_check(feed_table_name(settings.table))
    yield Check(
        name="feeds",
        look=lambda: checks().feeds(),
        advice=_FEED,
        rests_on=(leases, "stream"),
        bound=_WATCH,
    )
    yield Check(
        name="sweep",
        look=lambda: checks().sweeper(),
        advice=_FEED,
        rests_on=(leases,),
        bound=_WATCH,
    )
    yield Check(
        name="open jobs",
        look=lambda: checks().waiting(),
        advice=_STORE,
        rests_on=(indexes_check(settings.table),),
        bound=_MANY_CALLS,
    )


def _others(settings: Settings, clients: DoctorsClients, *, calls_model: bool) -> Iterator[Check]:
    name = f"model {settings.default_model}"

    def not_called() -> Iterator[Finding]:
        yield ok(name, "was not called; --call pays for one token")

    def call() -> Iterator[Finding]:
        client = clients.make(
            lambda: connect_bedrock(connections=1, read_timeout=_CALL.total_seconds())
        )
        yield from call_model(client, name, settings.default_model)

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
        name=name,
        look=call if calls_model else not_called,
        advice="see AWS_REGION and AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        rests_on=_ACCESS if calls_model else (),
        bound=_CALL if calls_model else BOUND,
    )
    yield Check(name="issuer", look=issuer, advice="see LONGHAUL_OIDC_ISSUER, and that it answers")
    yield Check(name="webhooks", look=secrets, advice="see LONGHAUL_WEBHOOK_SECRETS")


def _receivers(settings: Settings, clients: DoctorsClients, *, is_workers: bool) -> Iterator[Check]:
    """Look at what ends are told to, where there is some; nothing is told."""
    receivers, seconds = ReceiverChecks(is_workers=is_workers), _ASK_SECONDS
    if (bus := settings.eventbridge_bus) is not None:
        yield Check(
            name=EVENT_BUS,
            look=lambda: receivers.look_at_bus(
                clients.make(lambda: connect_eventbridge(connections=1, seconds=seconds)), bus
            ),
            advice="see AWS_REGION and AWS_ENDPOINT_URL_EVENTBRIDGE",
            rests_on=_ACCESS,
        )
    if settings.iot_topic is not None:
        yield Check(
            name=IOT,
            look=lambda: receivers.look_at_iot(
                clients.make(lambda: connect_iot(connections=1, seconds=seconds))
            ),
            advice=IOT_ADVICE,
            rests_on=_ACCESS,
        )
    if (stage := settings.apigateway_endpoint) is not None:
        yield Check(
            name=API_GATEWAY,
            look=lambda: receivers.look_at_stage(
                clients.make(lambda: connect_apigateway(stage, connections=1, seconds=seconds))
            ),
            advice=STAGE_ADVICE,
            rests_on=_ACCESS,
        )


def _own_url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.port}"
