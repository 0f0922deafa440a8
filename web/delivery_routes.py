"""The REST calls about deliveries: who was told of a job's end, and telling them again."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g

from jobs.caller import Scope
from jobs.delivery import DeliveryId
from jobs.errors import DeliveryNotFound, JobNotFound
from jobs.job import parse_job_id
from jobs.receiver import DeliveryKind
from jobs.results import get_own_job
from jobs.times import written_time
from web.delivery_calls import REPLAY, SHOW
from web.job_answers import json_response
from web.routes import Route, the_caller

if TYPE_CHECKING:
    from jobs.delivery import Delivery
    from jobs.job import JobId
    from web.parts import WebParts

LONGEST_DELIVERY_ID = 200  # characters; ours have about sixty


class DeliveryRoutes:
    """GET and POST under /v1/jobs/{id}/deliveries, each for the caller's own jobs only."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        here = "/v1/jobs/<job_id>/deliveries"
        again = f"{here}/<delivery_id>/replay"
        return (
            Route(name="deliveries", path=here, view=self.show, scope=Scope.READ, call=SHOW),
            Route(
                name="replay",
                method="POST",
                path=again,
                view=self.replay,
                scope=Scope.WRITE,
                call=REPLAY,
            ),
        )

    def show(self, job_id: str) -> Response:
        """Show each announcement of the job, with its tries."""
        found = self._parts.deliveries.of_job(self._own_job_id(job_id))
        return _json_response({"deliveries": [write_delivery(one) for one in found]})

    def replay(self, job_id: str, delivery_id: str) -> Response:
        """Tell an announcement again, soon."""
        job = self._own_job_id(job_id)
        if len(delivery_id) > LONGEST_DELIVERY_ID:
            raise DeliveryNotFound("no announcement can have this id")
        delivery = self._parts.deliveries.replay(
            job, DeliveryId(delivery_id), self._parts.clock.now()
        )
        return _json_response(write_delivery(delivery), status=HTTPStatus.ACCEPTED)

    def _own_job_id(self, text: str) -> JobId:
        job_id = parse_job_id(text)
        if job_id is None:
            raise JobNotFound("no job can have this id")
        g.job_id = job_id
        return get_own_job(job_id, the_caller().user, self._parts.store).id


def write_delivery(delivery: Delivery) -> dict[str, object]:
    """Give the contract's delivery."""
    address, kind = delivery.receiver.address, delivery.kind
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "event": delivery.event.type,
        "kind": kind,
        "url": address if kind is DeliveryKind.WEBHOOK else None,
        "connection_id": address if kind is DeliveryKind.APIGATEWAY else None,
        "state": delivery.state,
        "tries": delivery.tries,
        "next_try_at": written_time(delivery.not_before) if delivery.not_before else None,
        "log": [
            {
                "number": one.number,
                "at": written_time(one.at),
                "took_s": one.took.total_seconds(),
                "status": one.status,
                "error": one.error,
            }
            for one in delivery.log
        ],
    }


def _json_response(value: object, *, status: int = 200) -> Response:
    response = json_response(value, status=status)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
