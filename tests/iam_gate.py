"""A gate in front of AWS's stand-ins that lets each process do what its IAM policy allows.

Who calls is told by the access key, which each process has one of. Each call is translated into the
actions and resources that AWS would ask IAM for: a transaction into its writes, a converse into an
invoke, a presigned URL into what its signer may do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from tests.cloudformation import ACCOUNT, REGION
from tests.faults.proxy import FaultProxy

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

    from aiohttp import ClientSession

_CREDENTIAL = re.compile(r"Credential=([^/,]+)/")
_S3_ACTIONS = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}
_BUCKET_ACTIONS = {"lifecycle": "s3:GetLifecycleConfiguration", "cors": "s3:GetBucketCORS"}
_MODEL_ACTIONS = {
    "converse": "bedrock:InvokeModel",
    "converse-stream": "bedrock:InvokeModelWithResponseStream",
    "invoke-with-response-stream": "bedrock:InvokeModelWithResponseStream",
    "invoke": "bedrock:InvokeModel",
}
_TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
_BUSES = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/"
_MODELS = f"arn:aws:bedrock:{REGION}::foundation-model/"
_PROFILE = "us."  # how the ids of profiles begin that send calls on to other regions
_PROFILES = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/"
_ELSEWHERE = "arn:aws:bedrock:us-west-2::foundation-model/"
_THROUGH = "bedrock:InferenceProfileArn"


@dataclass(frozen=True, kw_only=True)
class Use:
    """That a process wants to do something with something."""

    action: str
    resource: str
    through: str = ""  # which inference profile sends the call on
    process: str = ""


@dataclass(frozen=True, kw_only=True)
class Right:
    """One action on one pattern of resources; `through` is the one condition that we have."""

    process: str
    action: str
    resource: str
    through: str = "*"

    def covers(self, use: Use) -> bool:
        return (self.process, self.action) == (use.process, use.action) and all(
            fnmatchcase(wanted, pattern)
            for wanted, pattern in ((use.resource, self.resource), (use.through, self.through))
        )


def rights_of(process: str, statements: Sequence[Mapping[str, Any]]) -> Iterator[Right]:
    """Take a policy apart into its rights."""
    for statement in statements:
        assert statement["Effect"] == "Allow"
        condition = statement.get("Condition", {"StringLike": {_THROUGH: "*"}})
        for action, resource, through in product(
            _listed(statement["Action"]),
            _listed(statement["Resource"]),
            _listed(condition["StringLike"][_THROUGH]),
        ):
            yield Right(process=process, action=action, resource=resource, through=through)


class IamGate(FaultProxy):
    """Notes what is used and what is denied, and keeps the entries that were put on a bus."""

    def __init__(
        self,
        upstream: str,
        *,
        rights: frozenset[Right],
        names: Mapping[str, str],
        chance: random.Random,
    ) -> None:
        super().__init__(upstream, chance=chance)
        self.used: set[Use] = set()
        self.denied: set[Use] = set()
        self.told: list[dict[str, Any]] = []
        self._rights = rights
        self._names = names
        self._stream = ""

    def unused(self) -> set[Right]:
        """Give the rights that nobody has needed."""
        return {right for right in self._rights if not any(map(right.covers, self.used))}

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        body = await request.read()
        process, target = self._names[_access_key(request)], request.headers.get("X-Amz-Target", "")
        uses = {replace(use, process=process) for use in self._wants(request, target, body)}
        self.used |= uses
        denied = {use for use in uses if not any(one.covers(use) for one in self._rights)}
        self.denied |= denied
        if denied:
            return _refuse(target)
        if target == "AWSEvents.PutEvents":
            self.told += json.loads(body)["Entries"]
        return await super()._answer(request, session)

    def _wants(self, request: web.Request, target: str, body: bytes) -> Iterator[Use]:
        service, _, operation = target.partition(".")
        if service.startswith("DynamoDBStreams"):
            self._stream = json.loads(body).get("StreamArn", self._stream)
            yield Use(action=f"dynamodb:{operation}", resource=self._stream)
        elif service.startswith("DynamoDB"):
            yield from _of_tables(operation, json.loads(body))
        elif service == "AWSEvents":
            fields = json.loads(body)
            for entry in fields.get("Entries", [{"EventBusName": fields.get("Name")}]):
                yield Use(action=f"events:{operation}", resource=_BUSES + entry["EventBusName"])
        elif request.path.startswith("/model/"):
            _, _, model, operation = request.raw_path.split("/")
            yield from _of_model(_MODEL_ACTIONS[operation], unquote(model))
        else:
            bucket, _, key = request.path.lstrip("/").partition("/")
            action = _S3_ACTIONS[request.method] if key else _bucket_action(request)
            yield Use(action=action, resource=f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""))


def _bucket_action(request: web.Request) -> str:
    asked = (action for name, action in _BUCKET_ACTIONS.items() if name in request.query)
    return next(asked, "s3:ListBucket")


def _of_model(action: str, model: str) -> Iterator[Use]:
    if not model.startswith(_PROFILE):
        yield Use(action=action, resource=_MODELS + model)
        return
    profile = _PROFILES + model
    yield Use(action=action, resource=profile)
    behind = _ELSEWHERE + model.removeprefix(_PROFILE)
    yield Use(action=action, resource=behind, through=profile)


def _of_tables(operation: str, fields: dict[str, Any]) -> Iterator[Use]:
    action = f"dynamodb:{operation}"
    if operation == "TransactWriteItems":
        for item in fields["TransactItems"]:
            [(kind, write)] = item.items()
            yield Use(action=f"dynamodb:{kind}Item", resource=_TABLES + write["TableName"])
    elif operation == "BatchGetItem":
        for table in fields["RequestItems"]:
            yield Use(action=action, resource=_TABLES + table)
    else:
        index = f"/index/{fields['IndexName']}" if "IndexName" in fields else ""
        yield Use(action=action, resource=_TABLES + fields["TableName"] + index)


def _access_key(request: web.Request) -> str:
    found = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    if found is not None:
        return found[1]
    return parse_qs(request.query_string)["X-Amz-Credential"][0].partition("/")[0]


def _refuse(target: str) -> web.Response:
    if not target:
        xml = "<Error><Code>AccessDenied</Code><Message>not in the policy</Message></Error>"
        headers = {"x-amzn-errortype": "AccessDeniedException"}
        return web.Response(status=403, text=xml, content_type="application/xml", headers=headers)
    fields = {"__type": "x#AccessDeniedException", "message": "not in the policy"}
    return web.json_response(fields, status=400, content_type="application/x-amz-json-1.0")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
