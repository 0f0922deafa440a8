"""gunicorn's own lines in the form of all others: through the root's handler, guarded as they are.

Its own handler would write them as they are, with the query of a request that it cannot read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gunicorn.glogging import Logger

if TYPE_CHECKING:
    from gunicorn.config import Config


class OneLog(Logger):  # type: ignore[misc] # gunicorn is not typed
    """gunicorn's logger without handlers of its own."""

    def setup(self, cfg: Config) -> None:
        """Let the root's handler have every line."""
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True
