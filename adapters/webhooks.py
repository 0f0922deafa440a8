"""Webhooks by the Standard Webhooks specification, signed by its own reference library.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from adapters.public_http import CallFailed
from jobs.delivery import Answered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from adapters.public_http import PublicHttp
    from jobs.delivery import Delivery
    from jobs.ports import Clock

_LONGEST_RETRY_AFTER_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class WebhookAnnouncer:
    """jobs.delivery_ports.Announcer; every secret signs, so that receivers can change in time."""

    secrets: Sequence[str]
    http: PublicHttp
    clock: Clock

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Post the body, signed for this moment."""
        at = self.clock.now().astimezone(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "longhaul-webhooks",
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._sign(delivery.event_id, at, body),
        }
        if (traceparent := delivery.event.trace.traceparent) is not None:
            headers["traceparent"] = traceparent
        try:
            answer = self.http.post(delivery.receiver.address or "", body.encode(), headers)
        except CallFailed as error:
            return Answered(error=error.reason)
        return Answered(
            status=answer.status,
            retry_after=read_retry_after(answer.retry_after, self.clock.now()),
        )

    def _sign(self, event_id: str, at: datetime, body: str) -> str:
        return " ".join(Webhook(secret).sign(event_id, at, body) for secret in self.secrets)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read the header, seconds or an HTTP date; None where it says nothing that can be kept."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:_LONGEST_RETRY_AFTER_DIGITS]))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(at - now, timedelta(0))
