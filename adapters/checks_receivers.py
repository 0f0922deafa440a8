"""The doctor's look at AWS's receivers of ends: each is asked what harms nobody.

What a refusal means depends on who asks: only workers tell, so it is a fault with their credentials
alone. See docs/decisions/0040-a-doctor-names-one-cause.md for what was not asked, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions
import botocore.parsers

from adapters.aws_errors import REFUSED_CREDENTIALS, code_of, translating
from adapters.checks_access import MEND_CREDENTIALS
from jobs.checkup import Finding, fail, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_iot_data.client import IoTDataPlaneClient

EVENT_BUS, IOT, API_GATEWAY = "event bus", "iot", "api gateway"
IOT_ADVICE = (
    "see AWS_ENDPOINT_URL_IOT_DATA_PLANE: aws iot describe-endpoint --endpoint-type iot:Data-ATS"
)
STAGE_ADVICE = (
    "see LONGHAUL_APIGATEWAY_ENDPOINT: https://{api}.execute-api.{region}.amazonaws.com/{stage}"
)
PROBE_TOPIC = "longhaul/doctor-probe"  # nothing is retained there
PROBE_CONNECTION = "bG9uZ2hhdWwtZG9jdG9yLXByb2Jl"  # longer than API Gateway's own
_REFUSED = frozenset(
    {"AccessDenied", "AccessDeniedException", "ForbiddenException", "UnauthorizedException", "403"}
)
_NOBODY = frozenset({"GoneException", "410", "BadRequestException"})


@dataclass(frozen=True, kw_only=True)
class ReceiverChecks:
    """`is_workers` says that these are credentials which are to tell."""

    is_workers: bool

    def look_at_bus(self, client: EventBridgeClient, bus: str) -> Iterator[Finding]:
        """Look whether the bus is there: what is put on one that is not is lost with a 200."""
        with translating("eventbridge"):
            try:
                client.describe_event_bus(Name=bus)
            except botocore.exceptions.ClientError as error:
                code = code_of(error)
                if code == "ResourceNotFoundException":
                    advice = "make it, or name another with LONGHAUL_EVENTBRIDGE_BUS"
                    yield fail(EVENT_BUS, f"{bus} is not there", advice)
                elif code in _REFUSED:  # another account's may be put to, and not looked at
                    yield ok(EVENT_BUS, f"{bus} is not ours to look at")
                else:
                    url = client.meta.endpoint_url
                    yield _odd(EVENT_BUS, url, code, "see AWS_ENDPOINT_URL_EVENTBRIDGE")
                return
        yield ok(EVENT_BUS, f"{bus} is there")

    def look_at_iot(self, client: IoTDataPlaneClient) -> Iterator[Finding]:
        """Ask for a message that nobody retained: that it answers and knows us, no more."""
        url = client.meta.endpoint_url
        told = f"{url} answers; only a message shows iot:Publish, and none was sent"
        with translating("iot"):
            try:
                client.get_retained_message(topic=PROBE_TOPIC)
            except botocore.exceptions.ClientError as error:
                code = code_of(error)
                if code not in {"ResourceNotFoundException", *_REFUSED}:
                    yield _odd(IOT, url, code, IOT_ADVICE)
                    return
            except botocore.parsers.ResponseParserError:
                yield _odd(IOT, url, "what is not JSON", IOT_ADVICE)
                return
        yield ok(IOT, told)

    def look_at_stage(self, client: ApiGatewayManagementApiClient) -> Iterator[Finding]:
        """Post to a connection that nobody has: 410 says that we may, 403 that we may not."""
        url = client.meta.endpoint_url
        with translating("apigateway"):
            try:
                client.post_to_connection(ConnectionId=PROBE_CONNECTION, Data=b"{}")
            except botocore.exceptions.ClientError as error:
                yield self._answered(url, code_of(error))
            except botocore.parsers.ResponseParserError:
                yield _odd(API_GATEWAY, url, "what is not JSON", STAGE_ADVICE)
            else:
                yield _odd(API_GATEWAY, url, "for a connection that cannot be", STAGE_ADVICE)

    def _answered(self, url: str, code: str) -> Finding:
        if code in _NOBODY:
            return ok(API_GATEWAY, f"{url} lets us post")
        if code in _REFUSED and self.is_workers:
            advice = "grant execute-api:ManageConnections on the stage's POST/@connections/*"
            return fail(API_GATEWAY, f"{url} refuses us", advice)
        if code in _REFUSED:
            return ok(API_GATEWAY, f"{url} answers; only workers may post (--role worker)")
        return _odd(API_GATEWAY, url, code, STAGE_ADVICE)


def _odd(name: str, url: str, code: str, advice: str) -> Finding:
    if code in REFUSED_CREDENTIALS:
        return fail(name, f"{url} does not take these credentials ({code})", MEND_CREDENTIALS)
    return fail(name, f"{url} answers {code}", advice)
