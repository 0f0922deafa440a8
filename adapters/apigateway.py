"""API Gateway's WebSockets: one message to the connection that the job names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.aws_answers import REFUSALS, TOLD, refusal
from jobs.delivery import Answered

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi.client import ApiGatewayManagementApiClient

    from jobs.delivery import Delivery


@dataclass(frozen=True, kw_only=True)
class ApiGatewayAnnouncer:
    """jobs.delivery_ports.Announcer; a connection that is gone answers 410, which ends it."""

    client: ApiGatewayManagementApiClient

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Post once; the body's `id` is the event's."""
        if delivery.receiver.address is None:
            return Answered(error="not_found")
        try:
            self.client.post_to_connection(
                ConnectionId=delivery.receiver.address, Data=body.encode()
            )
        except REFUSALS as error:
            return refusal(error)
        return TOLD
