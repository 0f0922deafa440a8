"""The image's entry: become the process that the first argument names, `web`, `worker` or `feed`.

`python -m deploy.start web`; further arguments are that process's own. It works from any folder,
as the Procfile's commands do from the checkout's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What follows `python -m`.
PROCESSES = {
    "web": ("web.serve",),
    "worker": ("workers.worker_entry",),
    "feed": ("workers.feed_entry",),
}
_WRONG = 2  # exit status


def main(arguments: Sequence[str]) -> int:
    """Replace this process by the one that is named; returns only where none is."""
    name, *others = arguments or [""]
    if name in PROCESSES:
        command = [sys.executable, "-m", *PROCESSES[name], *others]
        os.execv(sys.executable, command)  # noqa: S606 - no shell, on purpose
    sys.stderr.write(f"start: name one of {', '.join(PROCESSES)}, not {name!r}\n")
    return _WRONG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
