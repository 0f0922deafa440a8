"""EventBridge: one event on a bus for each end, with its trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.aws_answers import REFUSALS, TOLD, refusal, word_for
from jobs.delivery import Answered
from jobs.trace import Trace

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef, PutEventsResponseTypeDef

    from jobs.delivery import Delivery


@dataclass(frozen=True, kw_only=True)
class EventBridgeAnnouncer:
    """jobs.delivery_ports.Announcer; `source` is the body's, for rules to match."""

    client: EventBridgeClient
    bus: str
    source: str

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Put one event; its `detail` is the whole body, so that `detail.id` is the event's id."""
        event = delivery.event
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self.bus,
            "Source": self.source,
            "DetailType": event.type,
            "Detail": body,
            "Time": event.at,
            "Resources": [f"{self.source}:{event.job}"],
        }
        # A row that another system wrote may have a trace that X-Ray would refuse.
        if (trace := Trace.from_xray(event.trace.header)) is not None:
            entry["TraceHeader"] = trace.header
        try:
            return _read(self.client.put_events(Entries=[entry]))
        except REFUSALS as error:
            return refusal(error)


def _read(answer: PutEventsResponseTypeDef) -> Answered:
    """Read the answer, whose 200 says nothing: each entry tells for itself."""
    entries = answer.get("Entries") or []
    if len(entries) != 1:
        return Answered(error="answer_unreadable")
    if code := entries[0].get("ErrorCode"):
        return Answered(error=word_for(code))
    if answer.get("FailedEntryCount") or not entries[0].get("EventId"):
        return Answered(error="refused")
    return TOLD
