"""`python -m deploy.local.ministack`: ministack, whose garbage collector lets old rows be.

It keeps each row as hundreds of objects of Python. Its collector would look at all of them again
and again, and stop it for as long as there are rows: for half a second at 20,000 of them.
"""

from __future__ import annotations

import gc
import runpy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_OLDEST = 2


def let_the_old_be(phase: str, info: Mapping[str, int]) -> None:
    """Look no more at what was there when everything was looked at; for gc.callbacks."""
    if phase == "stop" and info["generation"] == _OLDEST:
        gc.freeze()


def main() -> None:
    """Be ministack."""
    gc.callbacks.append(let_the_old_be)
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
