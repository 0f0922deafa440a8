"""IoT Core: one MQTT message for each end, on a topic of the job's user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.aws_answers import REFUSALS, TOLD, refusal
from adapters.topics import LONGEST_TOPIC_BYTES, write_topic
from jobs.delivery import Answered

if TYPE_CHECKING:
    from mypy_boto3_iot_data.client import IoTDataPlaneClient

    from jobs.delivery import Delivery

_AT_LEAST_ONCE = 1  # MQTT's quality of service


@dataclass(frozen=True, kw_only=True)
class IoTAnnouncer:
    """jobs.delivery_ports.Announcer; `topic` is a template (adapters/topics.py)."""

    client: IoTDataPlaneClient
    topic: str

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Publish once; MQTT 5 subscribers find the event's id in the user properties, too."""
        event = delivery.event
        topic = write_topic(self.topic, user=event.user, job=event.job)
        if len(topic.encode()) > LONGEST_TOPIC_BYTES:
            return Answered(error="topic_too_long")
        properties = [
            {"event-id": delivery.event_id},
            {"event-type": event.type},
            {"trace-id": event.trace_id},
        ]
        if (traceparent := event.trace.traceparent) is not None:
            properties.append({"traceparent": traceparent})
        try:
            self.client.publish(
                topic=topic,
                qos=_AT_LEAST_ONCE,
                payload=body.encode(),
                contentType="application/json",
                payloadFormatIndicator="UTF8_DATA",
                userProperties=properties,  # type: ignore[arg-type] # botocore writes the JSON itself
            )
        except REFUSALS as error:
            return refusal(error)
        return TOLD
