"""Announcers: the ways of telling a job's end that a worker's settings allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.apigateway import ApiGatewayAnnouncer
from adapters.aws import connect_apigateway, connect_eventbridge, connect_iot
from adapters.eventbridge import EventBridgeAnnouncer
from adapters.iot import IoTAnnouncer
from adapters.public_http import PublicHttp
from adapters.webhooks import WebhookAnnouncer
from jobs.receiver import DeliveryKind

if TYPE_CHECKING:
    from adapters.settings import Settings
    from jobs.delivery_ports import Announcer
    from jobs.ports import Clock


def open_announcers(
    settings: Settings, clock: Clock, *, source: str
) -> dict[DeliveryKind, Announcer]:
    """Make an announcer of each kind that is set up; what has none waits for a worker that has."""
    connections, seconds = settings.webhook_concurrency, settings.webhook_timeout_seconds
    announcers: dict[DeliveryKind, Announcer] = {}
    if settings.webhook_secrets:
        announcers[DeliveryKind.WEBHOOK] = WebhookAnnouncer(
            secrets=settings.webhook_secrets,
            http=PublicHttp(allow_loopback=settings.webhook_allow_loopback, seconds=seconds),
            clock=clock,
        )
    if settings.eventbridge_bus is not None:
        announcers[DeliveryKind.EVENTBRIDGE] = EventBridgeAnnouncer(
            client=connect_eventbridge(connections=connections, seconds=seconds),
            bus=settings.eventbridge_bus,
            source=source,
        )
    if settings.iot_topic is not None:
        announcers[DeliveryKind.IOT] = IoTAnnouncer(
            client=connect_iot(connections=connections, seconds=seconds),
            topic=settings.iot_topic,
        )
    if settings.apigateway_endpoint is not None:
        announcers[DeliveryKind.APIGATEWAY] = ApiGatewayAnnouncer(
            client=connect_apigateway(
                settings.apigateway_endpoint, connections=connections, seconds=seconds
            )
        )
    return announcers
