"""Receivers: who is told of a job's end, and by which way.

What the request names (a URL, a connection) stands with the receiver. What the deployment names (a
bus, a topic) does not: it is looked up at each try, so that a job never knows an old one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# API Gateway's ids look like L0SM9cOFvHcCIhw=; they become a segment of a path.
_CONNECTION = re.compile(r"[A-Za-z0-9_=+/-]{1,128}")


class DeliveryKind(StrEnum):
    """How a receiver is told."""

    WEBHOOK = "webhook"
    EVENTBRIDGE = "eventbridge"
    IOT = "iot"
    APIGATEWAY = "apigateway"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """Who is told; `address` is what the job's request named, None where the deployment does."""

    kind: DeliveryKind
    address: str | None = None


def receivers_with(webhook: str | None, others: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
    """Give all who are told: the webhook, where there is one, and the others."""
    if webhook is None:
        return others
    return (Receiver(kind=DeliveryKind.WEBHOOK, address=webhook), *others)


@dataclass(frozen=True, kw_only=True, slots=True)
class PushTerms:
    """Whom this deployment tells beside webhooks.

    `always` are told of every job. `connection_key` is the key in a job's metadata under which a
    request names a connection of API Gateway; None where none is told.
    """

    always: tuple[DeliveryKind, ...] = ()
    connection_key: str | None = None

    def receivers_of(self, metadata: Mapping[str, str]) -> tuple[Receiver, ...]:
        """Say who is told of a new job's end."""
        receivers = tuple(Receiver(kind=kind) for kind in self.always)
        connection = self._connection_in(metadata)
        if connection is None:
            return receivers
        return (*receivers, Receiver(kind=DeliveryKind.APIGATEWAY, address=connection))

    def problem_with(self, metadata: Mapping[str, str]) -> str | None:
        """Say what is wrong with the connection that is named, or nothing."""
        connection = self._connection_in(metadata)
        if connection is None or _CONNECTION.fullmatch(connection):
            return None
        return "must be a connection id of API Gateway: letters, digits and _=+/-"

    def _connection_in(self, metadata: Mapping[str, str]) -> str | None:
        return None if self.connection_key is None else metadata.get(self.connection_key)
