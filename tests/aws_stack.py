"""The template as a real stack, on a server that speaks CloudFormation, IAM and what it makes."""

from __future__ import annotations

import random
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cloudformation import TEMPLATE
from tests.iam_gate import IamGate, rights_of
from tests.stack import BIN, Program, answers, clean_environ, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_cloudformation.client import CloudFormationClient

    from tests.iam_gate import Right
    from tests.push_stand_in import PushStandIn

SERVICES = "cloudformation,cloudwatch,dynamodb,dynamodbstreams,events,iam,s3,sns"
NAME = "longhaul"
PROCESSES = ("web", "worker", "feed", "operator")
PARAMETERS = {
    "TableName": "Acme_Jobs",
    "BucketName": "acme-jobs",
    "RetentionDays": "7",
    "AllowedOrigins": "https://app.example.com,https://ops.example.com",
    "Models": "arn:aws:bedrock:us-east-1::foundation-model/*",
    "InferenceProfiles": "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.*",
    "EventBusName": "ends",
}
COMMANDS = {
    "web": (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app"),
    "worker": (sys.executable, "-m", "workers.worker_entry"),
    "feed": (sys.executable, "-m", "workers.feed_entry"),
}


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """What a process signs with."""

    id: str
    secret: str

    @classmethod
    def made_for(cls, process: str, server: PushStandIn) -> AccessKey:
        iam = server.client("iam")
        iam.create_user(UserName=process)
        made = iam.create_access_key(UserName=process)["AccessKey"]
        return cls(id=made["AccessKeyId"], secret=made["SecretAccessKey"])


def make_stack(server: PushStandIn, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Let CloudFormation make the template's stack, and give its outputs."""
    client: CloudFormationClient = server.client("cloudformation")
    client.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )

    def made() -> dict[str, Any]:
        [stack] = client.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] in {"CREATE_IN_PROGRESS", "CREATE_COMPLETE"}, stack
        return dict(stack) if stack["StackStatus"] == "CREATE_COMPLETE" else {}

    outputs = wait_until(made, "the stack is made")["Outputs"]
    return {one["OutputKey"]: one["OutputValue"] for one in outputs}


@dataclass(frozen=True, kw_only=True)
class AwsStack:
    """What `aws cloudformation deploy` has made."""

    server: PushStandIn
    outputs: Mapping[str, str]
    keys: Mapping[str, AccessKey]

    @classmethod
    def deploy(cls, server: PushStandIn) -> AwsStack:
        return cls(
            server=server,
            outputs=make_stack(server, NAME, PARAMETERS),
            keys={process: AccessKey.made_for(process, server) for process in PROCESSES},
        )

    @property
    def environ(self) -> dict[str, str]:
        """Read the environment that the stack tells its operator to set."""
        lines = self.outputs["Environment"].splitlines()
        return dict(line.split("=", 1) for line in lines)

    def environ_through(self, url: str, *, process: str) -> dict[str, str]:
        """Lead a process to all of AWS at `url`, under its own name."""
        return {
            **clean_environ(),
            **self.environ,
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": self.keys[process].id,
            "AWS_SECRET_ACCESS_KEY": self.keys[process].secret,
        }

    def rights(self) -> frozenset[Right]:
        """Read every process's policy from IAM, as it was deployed."""
        iam = self.server.client("iam")
        return frozenset(
            right
            for process in PROCESSES
            for right in rights_of(
                process,
                iam.get_policy_version(
                    PolicyArn=self.outputs[f"{process.title()}Policy"], VersionId="v1"
                )["PolicyVersion"]["Document"]["Statement"],
            )
        )

    @contextmanager
    def gated(self, bedrock_url: str) -> Iterator[tuple[IamGate, IamGate]]:
        """Give a gate to the stack and one to the model, by the same policies."""
        rights, chance = self.rights(), random.Random(1)  # noqa: S311 - guards no secret
        names = {key.id: process for process, key in self.keys.items()}
        with (
            IamGate(self.server.url, rights=rights, names=names, chance=chance) as stack,
            IamGate(bedrock_url, rights=rights, names=names, chance=chance) as models,
        ):
            yield stack, models


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Starts the processes by their commands, each with its own rights."""

    stack: AwsStack
    gate: IamGate
    environ: Mapping[str, str]
    logs: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, process: str, *, name: str = "") -> Iterator[Program]:
        program = Program(
            COMMANDS[process],
            environ=self.environ_of(process),
            log=self.logs / f"{name or process}.log",
        )
        try:
            program.wait_for(lambda: self._is_up(process, program), f"{process} is up")
            yield program
        finally:
            program.kill()

    def environ_of(self, process: str) -> dict[str, str]:
        through = self.stack.environ_through(self.gate.url, process=process)
        return {**through, **self.environ, "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    def _is_up(self, process: str, program: Program) -> bool:
        if process == "web":
            return answers(f"{self.url}/readyz")
        return f'"{process}_started"' in program.output
