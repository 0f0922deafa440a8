"""Wiring: the parts of each process, from its settings. The roots call this, nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import redis

from adapters.announcers import open_announcers
from adapters.aws import (
    connect_dynamodb,
    connect_eventbridge,
    connect_s3,
    connect_streams,
)
from adapters.bedrock import BedrockModel
from adapters.bootstrap import check_bus, check_objects, check_store
from adapters.clock import SystemChance, SystemClock
from adapters.direct_bedrock import connect_direct_bedrock
from adapters.direct_dynamodb import connect_direct
from adapters.documents import BoundedReader, ReadingBounds
from adapters.dynamodb_census import DynamoDBCensusTaker
from adapters.dynamodb_deliveries import DynamoDBDeliveries
from adapters.dynamodb_due import DynamoDBDueJobs
from adapters.dynamodb_find import DynamoDBFinder
from adapters.dynamodb_idempotency import DynamoDBKeyedJobs
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.dynamodb_keys import DynamoDBApiKeys
from adapters.dynamodb_list import DynamoDBJobList
from adapters.dynamodb_rejected import DynamoDBRejectedRecords
from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.jwks import IssuerKeys, fetch_jwks
from adapters.kept_answers import AnswersInEither, AnswersInObjects
from adapters.key_cache import KeyCallers
from adapters.keys import Authenticators, SettingsAuthenticator
from adapters.local_slots import LocalSlots
from adapters.logs import get_log
from adapters.process import process_name
from adapters.redis_drain import RedisDrainSource, RedisWorkers
from adapters.redis_events import RedisEventBus, RedisEventSource, connect_redis
from adapters.redis_fenced import RedisFencedSource
from adapters.redis_lines import RedisLines
from adapters.redis_log import RedisEventLog
from adapters.redis_nudges import RedisNudges
from adapters.redis_open_jobs import RedisOpenJobs
from adapters.redis_rate import RedisRates
from adapters.redis_slots import RedisSlots
from adapters.redis_tickets import RedisTickets
from adapters.s3 import S3ObjectStore
from adapters.s3_uploads import S3Uploads
from adapters.schema import feed_table_name
from adapters.slots import FallbackSlots
from adapters.spool import AnswerSpool
from adapters.streams import DynamoDBChangeStream
from adapters.tokens import TokenCallers, TokenTerms
from adapters.traced import TracedAnnouncer, TracedModel
from jobs.add_documents import DocumentParts
from jobs.announce import AnnounceParts
from jobs.cancel import CancelParts
from jobs.delete import DeleteParts
from jobs.deliver import DeliverParts
from jobs.errors import Unavailable
from jobs.in_flight import Ceiling
from jobs.job import WorkerId
from jobs.outage import Outage
from jobs.redrive import RedriveParts
from jobs.running import RunParts
from jobs.submit import SubmitParts
from jobs.tracing import UNTRACED
from jobs.uploads import OfferParts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from adapters.direct_dynamodb import DirectDynamoDB
    from adapters.settings import Settings
    from jobs.answer import KeptAnswers
    from jobs.census import CensusTaker
    from jobs.delivery_ports import Deliveries
    from jobs.event_log import EventLog
    from jobs.feed_ports import ChangeStream, RejectedRecords, ShardLeases
    from jobs.fenced import FencedSource, Holders
    from jobs.find import Finder
    from jobs.idempotency import KeyedJobs
    from jobs.in_flight import OpenJobs
    from jobs.keys import ApiKeys
    from jobs.listing import JobList
    from jobs.model_ports import Model
    from jobs.ports import (
        Authenticator,
        Chance,
        Clock,
        DueJobs,
        EventBus,
        EventSource,
        JobStore,
        Leases,
        Log,
        ObjectStore,
    )
    from jobs.rate import Rates
    from jobs.slots import Lines
    from jobs.tickets import Tickets
    from jobs.tracing import Tracer

L = TypeVar("L", bound="Leases")

_WEB_CONNECTIONS = 200  # requests under way at once, and the few watchers whose turn it is


@dataclass(frozen=True, kw_only=True)
class WebAdapters:
    """What the web process stands on."""

    submit: SubmitParts
    keyed: KeyedJobs
    delete: DeleteParts
    jobs: JobList
    cancel: CancelParts
    redrive: RedriveParts
    offer: OfferParts
    deliveries: Deliveries
    store: JobStore
    objects: ObjectStore
    source: EventSource
    event_log: EventLog
    tickets: Tickets
    rates: Rates
    rates_outage: Outage
    authenticator: Authenticator
    clock: Clock
    chance: Chance
    readiness: Mapping[str, Callable[[], None]]


@dataclass(frozen=True, kw_only=True)
class FeedAdapters:
    """What the feed stands on; the queue is Celery's and so not made here."""

    stream: ChangeStream
    leases: ShardLeases
    rejected: RejectedRecords
    deliveries: DynamoDBDeliveries
    due: DueJobs
    census_taker: CensusTaker
    store: JobStore
    events: EventBus
    holders: Holders
    lines: Lines
    open_jobs: OpenJobs
    nudges: RedisNudges
    clock: Clock
    log: Log
    process: str


@dataclass(frozen=True, kw_only=True)
class OperatorAdapters:
    """What the operator's command stands on."""

    rejected: RejectedRecords
    store: JobStore
    deliveries: Deliveries
    clock: Clock
    process: str


def open_web_parts(settings: Settings, *, tracer: Tracer = UNTRACED) -> WebAdapters:
    """Make the web process's adapters."""
    log, clock, chance = get_log(), SystemClock(), SystemChance()
    dynamodb = connect_dynamodb(connections=_WEB_CONNECTIONS, for_callers=True)
    s3 = connect_s3(connections=_WEB_CONNECTIONS, for_callers=True)
    client = connect_redis(settings.redis_url, connections=_WEB_CONNECTIONS)
    direct = connect_direct(connections=_WEB_CONNECTIONS, for_callers=True)
    store = _job_store(direct, settings)
    ceiling = _ceiling(client, store, settings, clock=clock, log=log)
    objects = S3ObjectStore(client=s3, bucket=settings.bucket)
    bus = RedisEventBus(client, log)
    event_log = RedisEventLog(client)
    deliveries = _deliveries(dynamodb, settings)
    process = process_name("web")
    return WebAdapters(
        submit=SubmitParts(
            store=store,
            objects=objects,
            events=bus,
            feed=bus,
            clock=clock,
            chance=chance,
            log=log,
            process=process,
            max_attempts=settings.retry_policy.max_calls,
            inline_prompt_bytes=settings.inline_prompt_bytes,
            ceiling=ceiling,
            tracer=tracer,
        ),
        keyed=DynamoDBKeyedJobs(
            client=dynamodb,
            jobs=settings.table,
            retention=timedelta(days=settings.retention_days),
            clock=clock,
        ),
        delete=DeleteParts(store=store, objects=objects, event_log=event_log, log=log),
        jobs=DynamoDBJobList(client=dynamodb, table=settings.table, log=log),
        cancel=CancelParts(
            store=store, events=bus, holders=bus, clock=clock, log=log, process=process
        ),
        redrive=RedriveParts(
            store=store,
            events=bus,
            feed=bus,
            announcing=AnnounceParts(deliveries=deliveries, clock=clock, log=log, process=process),
            clock=clock,
            log=log,
            process=process,
            attempts=settings.retry_policy.max_calls,
            ceiling=ceiling,
            tracer=tracer,
        ),
        offer=OfferParts(
            uploads=S3Uploads(client=s3, bucket=settings.bucket),
            clock=clock,
            chance=chance,
            log=log,
            most_bytes=settings.max_upload_bytes,
            lifetime=settings.url_lifetime,
        ),
        deliveries=deliveries,
        store=store,
        objects=objects,
        source=RedisEventSource(client, log),
        event_log=event_log,
        tickets=RedisTickets(client),
        rates=RedisRates(client),
        rates_outage=Outage("rate limits: every call passes", clock=clock, log=log),
        authenticator=_authenticator(dynamodb, settings, clock=clock, log=log),
        clock=clock,
        chance=chance,
        readiness={
            "store": lambda: check_store(dynamodb, settings.table),
            "objects": lambda: check_objects(s3, settings.bucket),
            "events": lambda: check_redis(client),
        },
    )


def open_worker_parts(
    settings: Settings, *, make_leases: Callable[[JobStore], L], tracer: Tracer = UNTRACED
) -> tuple[RunParts, L]:
    """Make a worker's adapters; `make_leases` gives the keeper of claims its store."""
    log = get_log()
    connections = settings.worker_concurrency + 10
    store = _job_store(connect_direct(connections=connections), settings)
    leases = make_leases(store)
    parts = RunParts(
        store=store,
        objects=S3ObjectStore(client=connect_s3(connections=connections), bucket=settings.bucket),
        kept=_kept_answers(settings, log, connections=connections),
        model=_model(settings, tracer, connections=connections),
        leases=leases,
        events=RedisEventBus(connect_redis(settings.redis_url, connections=connections), log),
        clock=SystemClock(),
        chance=SystemChance(),
        log=log,
        policy=settings.retry_policy,
        worker=WorkerId(process_name("worker")),
        lease=settings.lease,
        patience=settings.patience,
        inline_result_bytes=settings.inline_result_bytes,
        documents=_document_parts(settings, connections=connections),
        tracer=tracer,
    )
    return parts, leases


def open_deliver_parts(settings: Settings, *, tracer: Tracer = UNTRACED) -> DeliverParts:
    """Make what a worker delivers with, on connections of its own: jobs never wait for these."""
    clock, connections = SystemClock(), settings.webhook_concurrency
    dynamodb = connect_dynamodb(connections=connections)
    s3 = connect_s3(connections=connections, for_callers=True)
    source = f"urn:longhaul:{settings.table}"
    announcers = open_announcers(settings, clock, source=source)
    if tracer is not UNTRACED:
        announcers = {
            kind: TracedAnnouncer(announcer=announcer, tracer=tracer)
            for kind, announcer in announcers.items()
        }
    return DeliverParts(
        deliveries=_deliveries(dynamodb, settings),
        announcers=announcers,
        store=_job_store(dynamodb, settings),
        objects=S3ObjectStore(client=s3, bucket=settings.bucket),
        clock=clock,
        log=get_log(),
        schedule=settings.webhook_schedule,
        url_lifetime=settings.url_lifetime,
        source=source,
        process=process_name("worker"),
    )


def open_slots(settings: Settings) -> FallbackSlots:
    """Make a worker's limiter: shared through Redis, or its own while Redis is away."""
    log, room = get_log(), settings.worker_concurrency
    local = LocalSlots(capacity=room, share=settings.user_share)
    shared = RedisSlots(
        connect_redis(settings.redis_url, connections=room + 10),
        worker=process_name("worker"),
        room=room,
        share=settings.user_share,
        log=log,
        heard=local.learn,
    )
    return FallbackSlots(shared=shared, local=local, log=log)


def open_fenced_source(settings: Settings) -> FencedSource:
    """Make a worker's end of the hint that a job was taken from it."""
    return RedisFencedSource(connect_redis(settings.redis_url, connections=1), get_log())


def open_feed_parts(settings: Settings) -> FeedAdapters:
    """Make the feed's adapters."""
    dynamodb, log = connect_dynamodb(connections=10), get_log()
    client = connect_redis(settings.redis_url, connections=8)
    bus = RedisEventBus(client, log)
    return FeedAdapters(
        stream=DynamoDBChangeStream(
            tables=dynamodb,
            streams=connect_streams(),
            table=settings.table,
            batch=settings.feed_batch,
        ),
        leases=DynamoDBShardLeases(client=dynamodb, table=feed_table_name(settings.table)),
        rejected=_rejected_records(dynamodb, settings),
        deliveries=_deliveries(dynamodb, settings),
        due=DynamoDBDueJobs(client=dynamodb, table=settings.table, log=log),
        census_taker=DynamoDBCensusTaker(client=dynamodb, table=settings.table),
        store=_job_store(dynamodb, settings),
        events=bus,
        holders=bus,
        lines=RedisLines(client),
        open_jobs=RedisOpenJobs(client),
        nudges=RedisNudges(client),
        clock=SystemClock(),
        log=log,
        process=process_name("feed"),
    )


def open_operator_parts(settings: Settings) -> OperatorAdapters:
    """Make the operator's command's adapters."""
    dynamodb = connect_dynamodb(connections=1)
    return OperatorAdapters(
        rejected=_rejected_records(dynamodb, settings),
        store=_job_store(dynamodb, settings),
        deliveries=_deliveries(dynamodb, settings),
        clock=SystemClock(),
        process=process_name("operator"),
    )


def open_finder(settings: Settings) -> Finder:
    """Make the operator's way to everybody's jobs."""
    return DynamoDBFinder(client=connect_dynamodb(connections=1), table=settings.table)


def open_redrive_parts(settings: Settings) -> RedriveParts:
    """Make what an operator redrives jobs with: whatever their users' ceilings are."""
    dynamodb, clock, log = connect_dynamodb(connections=1), SystemClock(), get_log()
    bus = RedisEventBus(connect_redis(settings.redis_url, connections=2), log)
    process = process_name("operator")
    return RedriveParts(
        store=_job_store(dynamodb, settings),
        events=bus,
        feed=bus,
        announcing=AnnounceParts(
            deliveries=_deliveries(dynamodb, settings), clock=clock, log=log, process=process
        ),
        clock=clock,
        log=log,
        process=process,
        attempts=settings.retry_policy.max_calls,
    )


def open_workers(settings: Settings) -> RedisWorkers:
    """Make the operator's way to the workers."""
    return RedisWorkers(connect_redis(settings.redis_url, connections=1))


def open_lines(settings: Settings) -> RedisLines:
    """Make the operator's view of who stands in line."""
    return RedisLines(connect_redis(settings.redis_url, connections=1))


def open_drain_source(settings: Settings) -> RedisDrainSource:
    """Make a worker's end of the operator's word that it is to go."""
    client = connect_redis(settings.redis_url, connections=1)
    return RedisDrainSource(client, worker=process_name("worker"))


def open_api_keys(settings: Settings) -> ApiKeys:
    """Make the operator's way to the API keys."""
    return DynamoDBApiKeys(client=connect_dynamodb(connections=1), jobs=settings.table)


def check_resources(settings: Settings) -> None:
    """Check the tables and the bucket before a process starts. Raises Misconfigured."""
    check_store(connect_dynamodb(connections=1), settings.table)
    check_objects(connect_s3(connections=1), settings.bucket)


def check_all_resources(settings: Settings) -> None:
    """Check also what ends are told to, for those who tell. Raises Misconfigured, Unavailable."""
    check_resources(settings)
    if settings.eventbridge_bus is not None:
        client = connect_eventbridge(connections=1, seconds=settings.webhook_timeout_seconds)
        check_bus(client, settings.eventbridge_bus)


def check_redis(client: redis.Redis) -> None:
    """Check that Redis answers. Raises Unavailable."""
    try:
        client.ping()
    except redis.RedisError as error:
        raise Unavailable("events", f"Redis does not answer ({type(error).__name__})") from error


def _authenticator(
    client: DynamoDBClient, settings: Settings, *, clock: Clock, log: Log
) -> Authenticator:
    """Make who says who is calling: by the settings' keys, by ours, by an issuer's tokens."""
    return Authenticators(
        settings=SettingsAuthenticator(
            users=settings.api_keys, allow_anonymous=settings.allow_anonymous
        ),
        keys=KeyCallers(
            DynamoDBApiKeys(client=client, jobs=settings.table),
            clock=clock,
            outage=Outage("API keys: those that were read go on", clock=clock, log=log),
        ),
        tokens=_token_callers(settings, clock=clock, log=log),
        clock=clock,
    )


def _model(settings: Settings, tracer: Tracer, *, connections: int) -> Model:
    client = connect_direct_bedrock(
        connections=connections, read_timeout=settings.bedrock_read_timeout_seconds
    )
    model = BedrockModel(client=client, default_max_tokens=settings.default_max_tokens)
    if tracer is UNTRACED:
        return model
    return TracedModel(
        model=model,
        tracer=tracer,
        clock=SystemClock(),
        endpoint=client.meta.endpoint_url,
        default_max_tokens=settings.default_max_tokens,
    )


def _token_callers(settings: Settings, *, clock: Clock, log: Log) -> TokenCallers | None:
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if issuer is None or audience is None:
        return None
    return TokenCallers(
        terms=TokenTerms(
            issuer=issuer,
            audience=audience,
            user_claim=settings.oidc_user_claim,
            scope_claim=settings.oidc_scope_claim,
            prefix=settings.oidc_user_prefix,
        ),
        keys=IssuerKeys(
            lambda: fetch_jwks(issuer=issuer, jwks_url=settings.oidc_jwks_url),
            clock=clock,
            outage=Outage("issuer: its old keys go on", clock=clock, log=log),
        ),
        clock=clock,
    )


def _ceiling(
    client: redis.Redis, store: JobStore, settings: Settings, *, clock: Clock, log: Log
) -> Ceiling | None:
    if settings.user_max_jobs_in_flight is None:
        return None
    return Ceiling(
        open_jobs=RedisOpenJobs(client),
        store=store,
        outage=Outage("ceiling on jobs in flight: nobody is refused", clock=clock, log=log),
        most=settings.user_max_jobs_in_flight,
    )


def _kept_answers(settings: Settings, log: Log, *, connections: int) -> KeptAnswers:
    """Make where paid answers are kept; its client gives up soon, for there is the spool."""
    s3 = connect_s3(connections=connections, for_callers=True)
    home = AnswersInObjects(objects=S3ObjectStore(client=s3, bucket=settings.bucket), log=log)
    if settings.spool_dir is None:
        return home
    folder = settings.spool_dir / settings.bucket  # answers of another deployment stay apart
    return AnswersInEither(home=home, spool=AnswerSpool(folder, clock=SystemClock(), log=log))


def _document_parts(settings: Settings, *, connections: int) -> DocumentParts:
    s3 = connect_s3(connections=connections)
    uploads = S3Uploads(client=s3, bucket=settings.bucket)
    bounds = ReadingBounds(
        characters=settings.document_characters,
        seconds=settings.document_seconds,
        memory_bytes=settings.document_memory_bytes,
    )
    return DocumentParts(
        uploads=uploads,
        reader=BoundedReader(uploads=uploads, bounds=bounds, at_once=settings.document_readers),
        most_characters=settings.document_characters,
        most_parts=settings.document_parts,
        answer_tokens=settings.default_max_tokens,
    )


def _job_store(client: DynamoDBClient | DirectDynamoDB, settings: Settings) -> DynamoDBJobStore:
    return DynamoDBJobStore(
        client=client,
        table=settings.table,
        retention=timedelta(days=settings.retention_days),
    )


def _deliveries(client: DynamoDBClient, settings: Settings) -> DynamoDBDeliveries:
    return DynamoDBDeliveries(
        client=client,
        jobs=settings.table,
        retention=timedelta(days=settings.retention_days),
    )


def _rejected_records(client: DynamoDBClient, settings: Settings) -> DynamoDBRejectedRecords:
    return DynamoDBRejectedRecords(
        client=client,
        jobs=settings.table,
        retention=timedelta(days=settings.retention_days),
    )
