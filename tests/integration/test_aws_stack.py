"""The CloudFormation stack made for real; Longhaul runs on it with its policies and no others.

The stand-in takes the whole template, and makes all of it but the times to live, the recovery to a
point in time and the lifecycle rules, which tests/unit/test_aws_template.py holds to the schema.
It keeps who is trusted with a role, and asks no token for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from adapters.bootstrap import ensure_resources
from adapters.settings import read_settings
from adapters.wiring import check_all_resources
from deploy.local.environment import REPO_ROOT
from deploy.start import PROCESSES
from tests.aws_stack import PARAMETERS, SERVICES, AwsStack, Runner, make_stack
from tests.contracts.stories import new_id
from tests.documents import PDF, a_dense_pdf
from tests.faults.proxy import DYNAMODB, Mode, Rule
from tests.free_ports import free_base
from tests.integration.test_documents import upload
from tests.integration.test_main_path import ended, result_of, submit
from tests.push_stand_in import PushStandIn
from tests.stack import RedisServer, environ_of, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.iam_gate import IamGate
    from tests.stack import LocalStack

REDIS = {"REDIS_URL": "redis://127.0.0.1:6379/0"}
TABLE, BUCKET = PARAMETERS["TableName"], PARAMETERS["BucketName"]
SETTINGS = {
    "LONGHAUL_ALLOW_ANONYMOUS": "true",
    "LONGHAUL_LEASE_SECONDS": "3",
    "LONGHAUL_SWEEP_SECONDS": "0.5",
    "LONGHAUL_WEBHOOK_SCHEDULE": "0,1,1,1,1,1",
    "LONGHAUL_LOG_FORMAT": "json",
}
DIVIDES = "mistral.mistral-7b-instruct-v0:2"
DOES_NOT_STREAM = "amazon.nova-canvas-v1:0"
LONG = "word " * 20_000
# What a run of a minute does not come to: (process, action, what its resource ends with).
SELDOM = {
    ("operator", "dynamodb:PutItem", "_Deliveries"),  # a redrive before the feed sees the end
    ("feed", "dynamodb:DeleteItem", "_Feed"),  # a shard that the stream no longer has, after a day
}
# The API keys' adapters: take these out when the scenario uses a key.
KEYS = "_Keys"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStack]:
    server = PushStandIn(tmp_path_factory.mktemp("aws"), services=SERVICES)
    with server.running():
        yield AwsStack.deploy(server)


def test_the_application_finds_all_that_it_needs(stack: AwsStack) -> None:
    environ = stack.environ_through(stack.server.url, process="operator")
    with environ_of({**environ, **REDIS}):
        settings = read_settings({**environ, **REDIS})

        check_all_resources(settings)

    assert (settings.table, settings.bucket, settings.retention_days) == (TABLE, BUCKET, 7)
    assert settings.allowed_origins == {"https://app.example.com", "https://ops.example.com"}
    assert settings.eventbridge_bus == "ends"


def test_bootstrap_finds_nothing_to_make_where_a_stack_is(stack: AwsStack) -> None:
    environ = stack.environ_through(stack.server.url, process="operator")
    with environ_of({**environ, **REDIS}):
        done = ensure_resources({**environ, **REDIS})

    made = [line for line in done if not line.endswith("is there")]
    # The stand-in's CloudFormation leaves these out.
    assert all("expires rows by ExpiresAt" in line for line in made), made


def test_the_bucket_is_closed(stack: AwsStack) -> None:
    s3 = stack.server.client("s3")

    access = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    policy = s3.get_bucket_policy(Bucket=BUCKET)["Policy"]

    assert set(access.values()) == {True}
    assert "aws:SecureTransport" in policy


def test_with_a_clusters_issuer_only_its_service_accounts_take_the_roles(stack: AwsStack) -> None:
    """The trust is text with a condition's key in it, which no other parameter brings about."""
    issuer = "oidc.eks.us-east-1.amazonaws.com/id/ABC"
    outputs = make_stack(
        stack.server,
        "of-a-cluster",
        {
            "TableName": "Eks_Jobs",
            "BucketName": "eks-jobs",
            "OidcProvider": issuer,
            "Namespace": "ours",
        },
    )

    iam = stack.server.client("iam")
    for process in PROCESSES:
        name = outputs[f"{process.title()}Role"].rpartition("/")[2]
        [trust] = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert trust["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
        assert trust["Condition"]["StringEquals"] == {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"system:serviceaccount:ours:{process}",
        }
        [policy] = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        assert policy["PolicyArn"] == outputs[f"{process.title()}Policy"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


class Story:
    """One run of everything, in which each right is needed."""

    def __init__(self, runner: Runner, gate: IamGate, stand_ins: LocalStack) -> None:
        self.runner = runner
        self.gate = gate
        self.stand_ins = stand_ins
        self.url = runner.url  # what the other tests' helpers know of a system
        self.stack = stand_ins

    def before_there_is_a_feed(self) -> str:
        """A job that is redriven before its end was announced."""
        job = submit(self, {"prompt": "Hi"})  # type: ignore[arg-type] # it has the URL
        own = f"{self.url}/v1/jobs/{job['id']}"
        http.post(f"{own}/cancel").raise_for_status()
        http.post(f"{own}/redrive").raise_for_status()
        return str(job["id"])

    def submit_and_end(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        job = submit(self, body, headers=headers)  # type: ignore[arg-type]
        return ended(self, job["id"], within=90)  # type: ignore[arg-type]

    def fail_the_first_telling(self) -> None:
        """The bus is away once, so that the sweep finds the delivery."""
        refusing = Rule(mode=Mode.FAIL, kinds=frozenset({"s3:POST"}))
        self.gate.add(refusing)
        job = self.submit_and_end({"prompt": "Hi"})
        wait_until(lambda: self.gate.struck, "the bus has refused")
        self.gate.remove(refusing)
        wait_until(lambda: self.delivery_of(job["id"])["state"] == "delivered", "it is told")
        delivery = self.delivery_of(job["id"])["id"]
        own = f"{self.url}/v1/jobs/{job['id']}/deliveries/{delivery}"
        http.post(f"{own}/replay").raise_for_status()

    def delivery_of(self, job_id: str) -> dict[str, Any]:
        answer = http.get(f"{self.url}/v1/jobs/{job_id}/deliveries").raise_for_status()
        deliveries = answer.json()["deliveries"]
        return dict(deliveries[0]) if deliveries else {"state": "none"}

    def told_of(self, job_id: str) -> list[dict[str, Any]]:
        details = [json.loads(entry["Detail"]) for entry in self.gate.told]
        return [detail for detail in details if detail["subject"] == job_id]

    def divide_and_delete(self) -> None:
        """A document that is too long for its model, and all that it leaves."""
        document = upload(self, a_dense_pdf(80), PDF)  # type: ignore[arg-type]
        job = self.submit_and_end(
            {
                "prompt": "Sum up.",
                "documents": [{"upload_id": document}],
                "model": DIVIDES,
                "inference_config": {"max_tokens": 2_000},
            }
        )
        assert job["status"] == "COMPLETED", job
        http.delete(f"{self.url}/v1/jobs/{job['id']}").raise_for_status()

    def say_much(self) -> None:
        """A prompt and a result that are too big for a row; the result is read by its URLs."""
        job = self.submit_and_end(
            {
                "prompt": f"{LONG} <<stand-in: tokens=20000; duration_s=0>>",
                "inference_config": {"max_tokens": 20_000},
            },
            **{"Idempotency-Key": "once"},
        )
        assert job["status"] == "COMPLETED", job
        assert len(result_of(self, job["id"])) > 64 * 1024  # type: ignore[arg-type]
        [told] = wait_until(lambda: self.told_of(job["id"]), "it is told")
        http.get(told["data"]["result"]["url"]).raise_for_status()
        key = f"answers/{job['id']}/1.json"  # as a worker leaves it that died after its last word
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
        assert job["id"] in [one["id"] for one in http.get(f"{self.url}/v1/jobs").json()["jobs"]]
        http.delete(f"{self.url}/v1/jobs/{job['id']}").raise_for_status()

    def lose_a_worker_with_an_answer(self) -> None:
        """The store is away when the answer is paid: it is kept, found, and forgotten."""
        refusing = Rule(mode=Mode.REFUSE, kinds=frozenset({DYNAMODB}))
        with self.runner.running("worker", name="dies") as first:
            job = submit(self, {"prompt": "Hi <<stand-in: echo=Worth it; duration_s=1.5>>"})  # type: ignore[arg-type]
            wait_until(lambda: self.stack.model_calls(job["id"]), "the call")
            self.gate.add(refusing)
            first.wait_for(lambda: '"answer_kept"' in first.output, "it is kept", within=60)
            first.kill()
        self.gate.remove(refusing)
        with self.runner.running("worker", name="finds"):
            assert ended(self, job["id"])["status"] == "COMPLETED"  # type: ignore[arg-type]
        assert len(self.stack.model_calls(job["id"])) == 1

    def write_a_foreign_row(self) -> str:
        dynamodb = self.runner.stack.server.client("dynamodb")
        key = {"JobId": {"S": new_id()}}
        dynamodb.put_item(TableName=TABLE, Item=key | {"JobStatus": {"S": "DREAMING"}})

        def rejected() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = dynamodb.scan(TableName=f"{TABLE}_Rejected")["Items"]
            return items

        record = wait_until(rejected, "it is set aside")[0]["RejectedId"]["S"]
        dynamodb.delete_item(TableName=TABLE, Key=key)  # so that there is nothing to replay
        return str(record)

    def operate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the command under test
            [sys.executable, "-m", "deploy.cli", *arguments],
            cwd=REPO_ROOT,
            env=self.runner.environ_of("operator"),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def s3(self) -> Any:  # noqa: ANN401 - boto3's
        return self.runner.stack.server.client("s3")


@pytest.mark.timeout(400)
def test_each_process_has_the_rights_it_needs_and_no_other(
    stack: AwsStack, stand_ins: LocalStack, redis: RedisServer, tmp_path: Path
) -> None:
    with ExitStack() as exits:
        gate, models = exits.enter_context(stack.gated(stand_ins.bedrock_url))
        environ = {
            **SETTINGS,
            "REDIS_URL": redis.url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": models.url,
        }
        runner = Runner(
            stack=stack, gate=gate, environ=environ, logs=tmp_path / "logs", port=free_base(1)
        )
        story = Story(runner, gate, stand_ins)
        exits.enter_context(runner.running("web"))
        redriven = story.before_there_is_a_feed()
        exits.enter_context(runner.running("feed"))
        with runner.running("worker"):
            assert ended(story, redriven)["status"] == "COMPLETED"  # type: ignore[arg-type]
            story.fail_the_first_telling()
            story.say_much()
            story.divide_and_delete()
            # The stand-in does not know this model's shape; the right is needed all the same.
            for model in (DOES_NOT_STREAM, f"us.{DOES_NOT_STREAM}"):
                story.submit_and_end({"model": model, "body": {"taskType": "TEXT_IMAGE"}})
            story.submit_and_end({"model": "us.amazon.nova-pro-v1:0", "prompt": "Hi"})
        story.lose_a_worker_with_an_answer()
        record = story.write_a_foreign_row()
        told = [
            story.operate(*command)
            for command in (
                ("check",),
                ("feed", "rejected"),
                ("feed", "rejected", record),
                ("feed", "replay", record),
                ("jobs", "--stuck"),
                ("redrive", "--failed-since", "1h", "--yes"),
                ("redrive", "--failed-since", "1h", "--user", "local", "--yes"),
            )
        ]
        looked = story.operate("doctor", "--json", "--url", story.url)

    assert gate.denied | models.denied == set(), [one.stderr for one in told]
    assert [one.returncode for one in told] == [0] * len(told), [one.stderr for one in told]
    found = json.loads(looked.stdout)["findings"]
    # No worker runs any more, and the stand-in leaves out how things expire.
    assert {one["name"] for one in found if one["state"] == "fail"} == {"workers"}, found
    assert {
        (right.process, right.action, right.resource)
        for right in gate.unused() & models.unused()
        if not right.resource.endswith(KEYS)
        and not any(
            (right.process, right.action) == seldom[:2] and right.resource.endswith(seldom[2])
            for seldom in SELDOM
        )
    } == set()
