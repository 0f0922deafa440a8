"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from web.json_text import write_json
from web.process_calls import LIFE, READINESS
from web.readiness import PartState, Readiness
from web.routes import Route

if TYPE_CHECKING:
    from web.hub import Hub
    from web.parts import WebParts


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
        """Say whether requests should be sent here, and which part stands in the way."""
        if self._hub.is_draining:
            return _no_store({"status": "draining", "parts": {}}, status=503)
        states = self._readiness.states()
        is_ready = all(state is PartState.READY for state in states.values())
        body = {"status": "ready" if is_ready else "not_ready", "parts": states}
        return _no_store(body, status=200 if is_ready else 503)


def _no_store(body: object, *, status: int) -> Response:
    return Response(
        write_json(body) + "\n",
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
