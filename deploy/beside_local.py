"""What an operator's command says to who runs it beside `make run` with nothing named."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BESIDE_LOCAL = "beside `make run`: python -m deploy.local.attach"
# One of them, and a person has a deployment in mind.
_NAMES = ("REDIS_URL", "LONGHAUL_BUCKET")


def advice_beside_local(command: str, environ: Mapping[str, str]) -> str | None:
    """Say how to reach what `make run` has started, where the environment names nothing at all."""
    if any(environ.get(name) for name in _NAMES):
        return None
    return f"{BESIDE_LOCAL} longhaul {command}"
