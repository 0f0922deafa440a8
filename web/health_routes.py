"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flask import Response

from web.json_text import write_json
from web.process_calls import LIFE, READINESS
from web.readiness import NEEDED_BY_ALL, PartState, Readiness
from web.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.hub import Hub
    from web.parts import WebParts

ReadinessStatus = Literal["ready", "degraded", "not_ready", "draining"]
_CODES: dict[ReadinessStatus, int] = {
    "ready": 200,
    "degraded": 200,
    "not_ready": 503,
    "draining": 503,
}


class HealthRoutes:
    """/healthz and /readyz; neither asks who is calling, and neither tells more than states."""

    def __init__(self, parts: WebParts, hub: Hub) -> None:
        self._readiness = Readiness(parts.readiness, parts.log)
        self._hub = hub

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        return (
            Route(name="healthz", path="/healthz", view=self.show_life, scope=None, call=LIFE),
            Route(
                name="readyz",
                path="/readyz",
                view=self.show_readiness,
                scope=None,
                call=READINESS,
            ),
        )

    def show_life(self) -> Response:
        """Answer; that is the whole proof."""
        return _no_store({"status": "alive"}, status=200)

    def show_readiness(self) -> Response:
        """Say whether requests should be sent here, and which parts do not answer.

        Where this is 503, Kubernetes and load balancers send this process nothing.
        """
        if self._hub.is_draining:
            return _no_store({"status": "draining", "parts": {}}, status=_CODES["draining"])
        states = self._readiness.states()
        status = _status_of(states)
        return _no_store({"status": status, "parts": states}, status=_CODES[status])


def _status_of(states: Mapping[str, PartState]) -> ReadinessStatus:
    """Be ready without what only some requests need: jobs are accepted while Redis is away."""
    away = {name for name, state in states.items() if state is not PartState.READY}
    if away & NEEDED_BY_ALL:
        return "not_ready"
    return "degraded" if away else "ready"


def _no_store(body: object, *, status: int) -> Response:
    return Response(
        write_json(body) + "\n",
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
