"""Who is told of a job's end, as attributes of its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.receiver import DeliveryKind, Receiver, receivers_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from adapters.dynamodb_row import Item


def receiver_attributes(
    webhook: str | None, also_tell: Sequence[Receiver]
) -> dict[str, Value | None]:
    """Write who is told; None says: no such attribute."""
    return {
        "WebhookUrl": {"S": webhook} if webhook else None,
        "AlsoTell": {"L": [{"M": _write(one)} for one in also_tell]} if also_tell else None,
    }


def read_receivers(item: Item) -> tuple[Receiver, ...]:
    """Read all who are told."""
    return receivers_with(read_webhook(item), read_also_tell(item))


def read_webhook(item: Item) -> str | None:
    """Read the URL that is told."""
    return item["WebhookUrl"]["S"] if "WebhookUrl" in item else None


def read_also_tell(item: Item) -> tuple[Receiver, ...]:
    """Read who is told beside the webhook."""
    if "AlsoTell" not in item:
        return ()
    return tuple(_read(one["M"]) for one in item["AlsoTell"]["L"])


def _write(receiver: Receiver) -> dict[str, Value]:
    kind: Value = {"S": receiver.kind}
    if receiver.address is None:
        return {"Kind": kind}
    return {"Kind": kind, "Address": {"S": receiver.address}}


def _read(fields: Item) -> Receiver:
    address = fields.get("Address")
    return Receiver(
        kind=DeliveryKind(fields["Kind"]["S"]), address=address["S"] if address else None
    )
