"""Which process serves its metrics where."""

from __future__ import annotations

# One setting for all kinds of process, which may stand on one machine.
PORTS_ON = {"web": 0, "worker": 1, "feed": 2}
MOST_PORTS_ON = max(PORTS_ON.values())
