"""Each of the doctor's checks with what it looks at broken for real: the report names it."""

from __future__ import annotations

import os
import random
import socket
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from adapters.bootstrap import ensure_resources
from adapters.checks_rights import Role
from adapters.doctor import WITHIN, checks_of
from adapters.schema import deliveries_table, jobs_table, keys_table, tables
from adapters.settings import read_settings
from adapters.side_by_side import examine
from jobs.checkup import State
from tests.cloudformation import Template
from tests.faults.proxy import FaultProxy
from tests.iam_gate import IamGate, Right, rights_of
from tests.push_stand_in import PushStandIn
from tests.redis_stand_in import RedisStandIn
from tests.stack import Clients, LocalStack, clean_environ, environ_of
from workers.sweep_lease import SWEEP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from aiohttp import ClientSession, web

    from jobs.checkup import Check, Finding

HOUR = timedelta(hours=1)
SOUND = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": "1"}
STORES = ("DYNAMODB", "DYNAMODB_STREAMS", "S3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("doctor")) as stack:
        yield stack


@pytest.fixture(scope="module")
def clients(place: LocalStack) -> Iterator[Clients]:
    clients = Clients.of(place.environ)
    yield clients
    clients.close()


def look(
    environ: Mapping[str, str],
    *names: str,
    roles: Sequence[Role] = (),
    calls_model: bool = False,
    **settings: str,
) -> dict[str, Finding]:
    """Make these checks and those that they rest on, and give what is found by its name."""
    named = {**environ, **settings}
    with environ_of({name: value for name, value in named.items() if value}):
        checks = checks_of(
            read_settings(os.environ), roles=roles, calls_model=calls_model, url=None, sweep=SWEEP
        )
        return {one.name: one for one in examine(_with_all_below(checks, names), within=WITHIN)}


def _with_all_below(checks: Sequence[Check], names: Sequence[str]) -> list[Check]:
    wanted = set(names)
    for check in reversed(checks):
        wanted |= set(check.rests_on) if check.name in wanted else set()
    assert wanted <= {check.name for check in checks}
    return [check for check in checks if check.name in wanted]


def wrong(found: Mapping[str, Finding]) -> set[str]:
    """Name what fails or is warned of; what is not looked at is neither."""
    return {name for name, one in found.items() if one.state in {State.FAIL, State.WARN}}


def only(found: Mapping[str, Finding], name: str, *words: str, state: State = State.FAIL) -> None:
    """Hold that this alone is wrong, that it says so in these words, and advises once."""
    assert wrong(found) == {name}, found
    one = found[name]
    assert one.state is state
    assert one.advice
    for word in words:
        assert word in f"{one.told} -> {one.advice}"
    assert "bootstrap" not in one.told, "advice is given once"


def rest_on(found: Mapping[str, Finding], cause: str) -> set[str]:
    return {name for name, one in found.items() if one.rests_on == cause}


# --- who we are to AWS, and where


def test_without_credentials_they_are_the_one_cause(place: LocalStack, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none")
    found = look(
        place.environ,
        "feeds",
        "open jobs",
        "bucket cors",
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_SHARED_CREDENTIALS_FILE=nowhere,
        AWS_CONFIG_FILE=nowhere,
        AWS_EC2_METADATA_DISABLED="true",
    )

    only(found, "aws credentials", "none found", "no AWS_ACCESS_KEY_ID", nowhere, "profile default")
    only(found, "aws credentials", "no AWS_ROLE_ARN", "set AWS_ACCESS_KEY_ID", "AWS_PROFILE")
    assert rest_on(found, "aws credentials") == set(found) - {"aws credentials"}


def test_half_a_key_and_an_unknown_profile_are_named(place: LocalStack) -> None:
    half = look(place.environ, "stream", AWS_SECRET_ACCESS_KEY="")
    profile = look(place.environ, "stream", AWS_PROFILE="nobody")

    only(half, "aws credentials", "missing: AWS_SECRET_ACCESS_KEY")
    only(profile, "aws credentials", "nobody", "AWS_PROFILE")


def test_a_region_that_is_none_is_named(place: LocalStack, tmp_path: Path) -> None:
    none = look(
        place.environ,
        "stream",
        AWS_REGION="",
        AWS_DEFAULT_REGION="",
        AWS_CONFIG_FILE=str(tmp_path / "none"),
    )
    odd = look(place.environ, "stream", AWS_REGION="eu central 1")

    only(none, "aws region", "none is named", "AWS_REGION")
    only(odd, "aws region", "cannot be a region", "AWS_REGION")
    assert rest_on(odd, "aws region") == {"dynamodb", "table LLM_Jobs", "stream"}


def test_a_region_that_aws_does_not_have_is_named(place: LocalStack) -> None:
    """`.invalid` in a name is never resolved (RFC 6761), as no unknown region's is."""
    found = look(
        place.environ,
        "stream",
        AWS_REGION="nowhere-1",
        AWS_ENDPOINT_URL_DYNAMODB="https://dynamodb.nowhere-1.amazonaws.com.invalid",
    )

    only(found, "dynamodb", "cannot be reached", "AWS_REGION=nowhere-1 is no region")


class Refusing(FaultProxy):
    """Answers every call as AWS answers credentials that it does not take."""

    code, message = "UnrecognizedClientException", "The security token included is invalid"

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        del request, session
        from aiohttp import web as aio  # noqa: PLC0415 - typed above

        return aio.json_response(
            {"__type": f"com.amazon.coral.service#{self.code}", "message": self.message},
            status=400,
            content_type="application/x-amz-json-1.0",
        )


class OfAnotherRegion(Refusing):
    code = "InvalidSignatureException"
    message = "Credential should be scoped to a valid region, not 'us-east-1'."


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Refusing, ("does not take these credentials", "expired")),
        (OfAnotherRegion, ("is not us-east-1's", "AWS_REGION")),
    ],
    ids=["unknown", "of another region"],
)
def test_credentials_that_aws_refuses_are_named(
    place: LocalStack, server: type[Refusing], words: tuple[str, ...]
) -> None:
    with server(place.web_url, chance=_chance()) as refusing:
        found = look(place.environ, "feeds", AWS_ENDPOINT_URL_DYNAMODB=refusing.url)

    only(found, "dynamodb", *words)
    assert found["aws clock"].state is State.OK, "a refusal has the time, too"


def test_an_endpoint_that_is_not_dynamodbs_is_named(place: LocalStack) -> None:
    found = look(place.environ, "stream", AWS_ENDPOINT_URL_DYNAMODB=place.bedrock_url)

    only(found, "dynamodb", "AWS_ENDPOINT_URL_DYNAMODB")


class AnHourAhead(FaultProxy):
    """Passes everything on, under a date that is an hour ahead."""

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        answer = await super()._answer(request, session)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + HOUR, usegmt=True)
        return answer


def test_a_clock_that_is_off_from_awss_is_named(place: LocalStack) -> None:
    dynamodb = place.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    with AnHourAhead(dynamodb, chance=_chance()) as ahead:
        found = look(place.environ, "dynamodb", AWS_ENDPOINT_URL_DYNAMODB=ahead.url)

    only(found, "aws clock", "s from this machine's", "NTP", state=State.WARN)
    assert float(found["aws clock"].told.split()[0]) == pytest.approx(3600, abs=60)


# --- tables, stream and bucket


@contextmanager
def made(clients: Clients, table: str, **changed: Any) -> Iterator[None]:  # noqa: ANN401 - of a definition
    """Make all tables of this name, some of them another way; None leaves one out."""
    there = []
    try:
        for definition in tables(table):
            name = definition["TableName"]
            part = name.removeprefix(table).removeprefix("_") or "Jobs"
            wanted = changed.get(part, definition)
            if wanted is not None:
                clients.dynamodb.create_table(**wanted)
                there.append(name)
        yield
    finally:
        for name in there:
            clients.dynamodb.delete_table(TableName=name)


def without(definition: Any, *, index: str) -> Any:  # noqa: ANN401 - a table's definition
    """Give a definition without an index, and without what only this index needs."""
    kept = [one for one in definition["GlobalSecondaryIndexes"] if one["IndexName"] != index]
    keys = [definition, *kept]
    named = {key["AttributeName"] for one in keys for key in one["KeySchema"]}
    attributes = [
        one for one in definition["AttributeDefinitions"] if one["AttributeName"] in named
    ]
    changed = {**definition, "GlobalSecondaryIndexes": kept, "AttributeDefinitions": attributes}
    return {name: value for name, value in changed.items() if value}


def test_a_missing_jobs_table_is_the_one_cause(place: LocalStack) -> None:
    names = ("feeds", "sweep", "open jobs", "stream", "table Other_Keys")
    found = look(place.environ, *names, LONGHAUL_TABLE="Other")

    only(found, "table Other", "is not there", "us-east-1", "longhaul bootstrap")
    only(found, "table Other", "deploy/aws/longhaul.yaml with TableName=Other")
    assert set(names) <= rest_on(found, "table Other")
    assert "feed" not in str(found["table Other"].advice)


def test_a_missing_feeds_table_is_why_feeds_are_not_looked_at(
    place: LocalStack, clients: Clients
) -> None:
    with made(clients, "No_Feed", Feed=None):
        found = look(place.environ, "feeds", "sweep", "open jobs", LONGHAUL_TABLE="No_Feed")

    assert wrong(found) >= {"table No_Feed_Feed"}
    assert rest_on(found, "table No_Feed_Feed") == {"feeds", "sweep"}
    assert found["open jobs"].state is State.OK


def test_a_table_with_another_key_is_named(place: LocalStack, clients: Clients) -> None:
    key: Any = {
        **keys_table("Odd_Key"),
        "KeySchema": [{"AttributeName": "Other", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "Other", "AttributeType": "S"}],
    }
    with made(clients, "Odd_Key", Keys=key):
        found = look(place.environ, "table Odd_Key_Keys", LONGHAUL_TABLE="Odd_Key")

    assert found["table Odd_Key_Keys"].told == "its key must be KeyPrefix"
    assert found["table Odd_Key_Keys"].state is State.FAIL


@pytest.mark.parametrize(
    ("table", "index"),
    [("Jobs", "OpenJobs"), ("Jobs", "UserJobs"), ("Deliveries", "DueDeliveries")],
)
def test_a_missing_index_is_named_and_no_bootstrap_is_advised(
    place: LocalStack, clients: Clients, table: str, index: str
) -> None:
    name = f"No_{index}"
    define = {"Jobs": jobs_table, "Deliveries": deliveries_table}[table]
    whole = name if table == "Jobs" else f"{name}_{table}"
    with made(clients, name, **{table: without(define(name), index=index)}):
        found = look(
            place.environ, f"indexes of {whole}", "open jobs", "stream", LONGHAUL_TABLE=name
        )

    one = found[f"indexes of {whole}"]
    assert (one.state, index in one.told) == (State.FAIL, True)
    assert "aws dynamodb update-table" in str(one.advice)
    assert found["stream"].state is State.OK
    skipped = {"open jobs"} if table == "Jobs" else set()
    assert rest_on(found, f"indexes of {whole}") == skipped


@pytest.mark.parametrize("view", ["none", "KEYS_ONLY"])
def test_a_stream_that_is_off_or_of_another_view_is_named(
    place: LocalStack, clients: Clients, view: str
) -> None:
    name = f"View_{view}"
    jobs: Any = dict(jobs_table(name))
    if view == "none":
        del jobs["StreamSpecification"]
    else:
        jobs["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    with made(clients, name, Jobs=jobs):
        found = look(place.environ, "feeds", LONGHAUL_TABLE=name)

    assert found["stream"].state is State.FAIL
    assert view in found["stream"].told
    assert "StreamViewType=NEW_AND_OLD_IMAGES" in str(found["stream"].advice)
    assert rest_on(found, "stream") == {"feeds"}


def test_a_streams_endpoint_that_is_away_is_named(place: LocalStack) -> None:
    found = look(place.environ, "feeds", AWS_ENDPOINT_URL_DYNAMODB_STREAMS="http://127.0.0.1:1")

    only(found, "stream", "cannot be reached", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS")
    assert rest_on(found, "stream") == {"feeds"}


def test_rows_that_do_not_expire_or_by_another_attribute_are_named(
    place: LocalStack, clients: Clients
) -> None:
    with made(clients, "Lasting"):
        clients.dynamodb.update_time_to_live(
            TableName="Lasting_Keys",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "Other"},
        )
        names = ("table Lasting_Keys", "table Lasting_Feed")
        found = look(place.environ, *names, LONGHAUL_TABLE="Lasting")

    assert wrong(found) == {"table Lasting", "table Lasting_Keys"}
    assert found["table Lasting"].state is State.WARN
    assert found["table Lasting"].told == "expires no rows: it grows for ever"
    assert "by Other" in found["table Lasting_Keys"].told


@contextmanager
def bucket(place: LocalStack, clients: Clients, name: str) -> Iterator[dict[str, str]]:
    """Make a bucket as bootstrap does."""
    environ = {
        **clean_environ(),
        **place.environ,
        "LONGHAUL_BUCKET": name,
        "LONGHAUL_ALLOWED_ORIGINS": "https://app.example.com",
    }
    with environ_of(environ):
        ensure_resources(environ)
    try:
        yield environ
    finally:
        clients.s3.delete_bucket(Bucket=name)


def test_a_bucket_without_its_rules_is_named(place: LocalStack, clients: Clients) -> None:
    with bucket(place, clients, "without-rules") as environ:
        whole = look(environ, "bucket lifecycle", "bucket cors")
        rules = clients.s3.get_bucket_lifecycle_configuration(Bucket="without-rules")["Rules"]
        changed: Any = [{**one, "Status": "Disabled"} for one in rules if "answers" in one["ID"]]
        clients.s3.put_bucket_lifecycle_configuration(
            Bucket="without-rules", LifecycleConfiguration={"Rules": [*rules[:2], *changed]}
        )
        disabled = look(environ, "bucket lifecycle")
        clients.s3.delete_bucket_lifecycle(Bucket="without-rules")
        clients.s3.delete_bucket_cors(Bucket="without-rules")
        none = look(environ, "bucket lifecycle", "bucket cors")

    assert wrong(whole) == set()
    assert wrong(disabled) == {"bucket lifecycle"}
    assert "answers/" in disabled["bucket lifecycle"].told
    assert wrong(none) == {"bucket lifecycle", "bucket cors"}
    assert "https://app.example.com cannot upload" in none["bucket cors"].told


def test_pages_that_were_added_since_bootstrap_are_named(
    place: LocalStack, clients: Clients
) -> None:
    with bucket(place, clients, "older-rule") as environ:
        found = look(environ, "bucket cors", LONGHAUL_ALLOWED_ORIGINS="https://new.example.com")

    only(found, "bucket cors", "https://new.example.com", "bootstrap", state=State.WARN)


def test_what_belongs_to_a_missing_bucket_is_not_looked_at(place: LocalStack) -> None:
    found = look(place.environ, "bucket lifecycle", "bucket cors", LONGHAUL_BUCKET="not-there-2")

    only(
        found, "bucket not-there-2", "is not there", "longhaul bootstrap", "BucketName=not-there-2"
    )
    assert rest_on(found, "bucket not-there-2") == {"bucket lifecycle", "bucket cors"}


# --- Redis


@pytest.mark.parametrize(
    ("changed", "name", "words", "state"),
    [
        ({"redis_version": "6.0.16"}, "redis version", ("6.0.16", "6.2 or newer"), State.FAIL),
        ({"maxmemory_policy": "volatile-lru"}, "redis eviction", ("volatile-lru",), State.FAIL),
        ({"aof_enabled": "0"}, "redis durability", ("appendonly",), State.WARN),
    ],
    ids=["version", "eviction", "durability"],
)
def test_a_redis_that_is_not_as_it_should_be_is_named(
    place: LocalStack, changed: dict[str, str], name: str, words: tuple[str, ...], state: State
) -> None:
    with RedisStandIn(now=datetime.now(UTC), info={**SOUND, **changed}).running() as url:
        found = look(place.environ, "redis", REDIS_URL=url)

    only(found, name, *words, state=state)


def test_a_redis_whose_clock_is_off_is_named(place: LocalStack) -> None:
    with RedisStandIn(now=datetime.now(UTC) - HOUR, info=SOUND).running() as url:
        found = look(place.environ, "redis", REDIS_URL=url)

    only(found, "redis clock", "NTP", state=State.WARN)


def test_a_redis_that_is_too_old_to_be_greeted_or_wants_a_password_is_named(
    place: LocalStack,
) -> None:
    now = datetime.now(UTC)
    with RedisStandIn(now=now, hello=False).running() as url:
        old = look(place.environ, "workers", REDIS_URL=url)
    with RedisStandIn(now=now, password=True).running() as url:
        closed = look(place.environ, "workers", REDIS_URL=url)

    only(old, "redis", "older than Redis 6", "6.2 or newer")
    only(closed, "redis", "refuses these credentials", "REDIS_URL")
    assert rest_on(old, "redis") == rest_on(closed, "redis") == {"workers"}


# --- what hangs


@pytest.fixture
def silent() -> Iterator[str]:
    """A port on which connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_redis_that_hangs_is_told_and_the_rest_is_looked_at(
    place: LocalStack, silent: str
) -> None:
    found = look(place.environ, "workers", "stream", REDIS_URL=f"redis://{silent}/0")

    only(found, "redis", "takes connections and does not answer")
    assert rest_on(found, "redis") == {"workers"}
    assert found["stream"].state is State.OK


def test_an_aws_that_hangs_is_told_and_the_rest_is_looked_at(
    place: LocalStack, silent: str
) -> None:
    hanging = {f"AWS_ENDPOINT_URL_{one}": f"http://{silent}" for one in STORES}
    environ = {**place.environ, **hanging}
    bucket_name = f"bucket {place.environ['LONGHAUL_BUCKET']}"
    found = look(environ, "redis", "feeds", "open jobs", "bucket cors")

    assert wrong(found) == {"dynamodb", bucket_name}
    assert "does not answer" in found["dynamodb"].told
    assert {"aws clock", "stream", "feeds", "open jobs"} <= rest_on(found, "dynamodb")
    assert found["redis version"].state is State.OK


def test_an_issuer_a_receiver_and_a_web_process_that_hang_are_told(
    place: LocalStack, silent: str
) -> None:
    address, _, port = silent.partition(":")
    found = look(
        {**place.environ, **receivers(f"http://{silent}")},
        "issuer",
        "event bus",
        "iot",
        "api gateway",
        "web",
        HOST=address,
        PORT=port,
        LONGHAUL_OIDC_ISSUER=f"http://{silent}",
        LONGHAUL_OIDC_AUDIENCE="longhaul",
    )

    assert wrong(found) == {"issuer", "event bus", "iot", "api gateway", "web"}


# --- rights


def rights(process: str) -> frozenset[Right]:
    template = Template(given={"TableName": "LLM_Jobs", "BucketName": "longhaul-local"})
    return frozenset(rights_of(process, template.statements(process.title())))


def _chance() -> random.Random:
    return random.Random(1)  # noqa: S311 - guards no secret


@contextmanager
def gated(place: LocalStack, granted: frozenset[Right]) -> Iterator[dict[str, str]]:
    """Let these rights be all that there are, on every store and on the model."""
    [process] = {right.process for right in granted}
    names = {place.environ["AWS_ACCESS_KEY_ID"]: process}
    store, model = place.environ["AWS_ENDPOINT_URL_DYNAMODB"], place.bedrock_url
    with (
        IamGate(store, rights=granted, names=names, chance=_chance()) as stores,
        IamGate(model, rights=granted, names=names, chance=_chance()) as models,
    ):
        yield {
            **place.environ,
            **{f"AWS_ENDPOINT_URL_{one}": stores.url for one in STORES},
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": models.url,
        }


@pytest.mark.parametrize(
    ("role", "lost", "told"),
    [
        (Role.WEB, ("dynamodb:GetItem", "_Keys"), "GetItem on LLM_Jobs_Keys is refused"),
        (Role.WEB, ("dynamodb:Query", "/index/UserJobs"), "Query on LLM_Jobs/UserJobs is refused"),
        (Role.WORKER, ("s3:PutObject", "/results/*"), "PutObject on results/ is refused"),
        (Role.FEED, ("dynamodb:GetRecords", "/stream/*"), "GetRecords on stream is refused"),
    ],
    ids=["a table", "an index", "a prefix", "the stream"],
)
def test_a_right_that_is_refused_is_named(
    place: LocalStack, role: Role, lost: tuple[str, str], told: str
) -> None:
    all_of_them = rights(role)
    action, end = lost
    granted = frozenset(
        one for one in all_of_them if not (one.action == action and one.resource.endswith(end))
    )
    assert len(granted) == len(all_of_them) - 1

    with gated(place, granted) as environ:
        found = look(environ, f"rights of {role}", roles=[role])

    only(found, f"right of {role}", told, "deploy/aws/longhaul.yaml")


def test_a_table_that_may_not_be_looked_at_is_named(place: LocalStack) -> None:
    granted = frozenset(one for one in rights("operator") if "Describe" not in one.action)
    with gated(place, granted) as environ:
        found = look(environ, "feeds", "open jobs")

    only(found, "table LLM_Jobs", "may not be looked at", "dynamodb:DescribeTable")
    assert found["dynamodb"].state is State.OK


def test_a_model_that_is_not_enabled_is_named(place: LocalStack) -> None:
    with gated(place, rights("worker")) as environ:
        model = "amazon.nova-pro-v1:0"
        found = look(environ, f"model {model}", calls_model=True, LONGHAUL_DEFAULT_MODEL=model)

    only(
        found,
        f"model {model}",
        "refuses: AccessDeniedException",
        "bedrock:InvokeModel",
        "docs/aws.md",
    )


# --- receivers of ends


def receivers(url: str) -> dict[str, str]:
    return {
        "LONGHAUL_EVENTBRIDGE_BUS": "ends",
        "LONGHAUL_IOT_TOPIC": "longhaul/{user}",
        "LONGHAUL_APIGATEWAY_ENDPOINT": f"{url}/_aws/execute-api/a1b2c3/prod",
        "LONGHAUL_APIGATEWAY_CONNECTION_KEY": "connection",
        "AWS_ENDPOINT_URL_EVENTBRIDGE": url,
        "AWS_ENDPOINT_URL_IOT_DATA_PLANE": url,
    }


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushStandIn]:
    with PushStandIn(tmp_path_factory.mktemp("pushes")).running() as server:
        yield server


def test_receivers_that_are_there_are_found_and_a_missing_bus_is_named(
    place: LocalStack, pushes: PushStandIn
) -> None:
    names = ("event bus", "iot", "api gateway")
    missing = look({**place.environ, **receivers(pushes.url)}, *names)
    pushes.client("events").create_event_bus(Name="ends")
    there = look({**place.environ, **receivers(pushes.url)}, *names)

    only(missing, "event bus", "ends is not there", "LONGHAUL_EVENTBRIDGE_BUS")
    assert wrong(there) == set()
    assert there["api gateway"].told.endswith("lets us post")


class Forbidding(Refusing):
    code, message = "ForbiddenException", "Forbidden"

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        answer = await super()._answer(request, session)
        answer.set_status(403)
        answer.headers["x-amzn-errortype"] = self.code
        return answer


def test_a_stage_that_refuses_a_worker_is_named_and_an_operator_need_not_post(
    place: LocalStack,
) -> None:
    with Forbidding(place.web_url, chance=_chance()) as stage:
        environ = {**place.environ, **receivers(stage.url)}
        of_worker = look(environ, "api gateway", roles=[Role.WORKER])
        of_operator = look(environ, "api gateway", "iot")

    only(of_worker, "api gateway", "refuses us", "execute-api:ManageConnections")
    assert wrong(of_operator) == set()


def test_endpoints_that_are_not_the_receivers_are_named(place: LocalStack) -> None:
    found = look({**place.environ, **receivers(place.bedrock_url)}, "iot", "api gateway")

    assert wrong(found) == {"iot", "api gateway"}
    assert "LONGHAUL_APIGATEWAY_ENDPOINT" in str(found["api gateway"].advice)
    assert "aws iot describe-endpoint" in str(found["iot"].advice)


def test_a_receiver_that_does_not_take_the_credentials_is_named(place: LocalStack) -> None:
    with Refusing(place.web_url, chance=_chance()) as server:
        found = look({**place.environ, **receivers(server.url)}, "event bus")

    assert wrong(found) == {"event bus"}
