"""The file that says that the stand-ins are up: written by `local`, read by `attach`."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.environment import LocalPlan

# What a person may have named for `local` and every process must agree upon. No credentials.
AGREED = ("AWS_REGION", "AWS_DEFAULT_REGION", "LONGHAUL_BUCKET")


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Who runs the stand-ins, the variables that lead to them, and the address to open."""

    pid: int
    web: str
    environment: Mapping[str, str]


def ready_of(plan: LocalPlan, environ: Mapping[str, str], *, pid: int) -> Ready:
    """Say what a plan means to the processes that will attach."""
    agreed = {name: environ[name] for name in AGREED if environ.get(name)}
    return Ready(pid=pid, web=plan.web_address, environment={**plan.additions, **agreed})


def write_ready(data_dir: Path, ready: Ready) -> None:
    """Put the whole file there at once, so that a reader never sees half of it."""
    draft = data_dir / "ready.json.tmp"
    draft.write_text(json.dumps(asdict(ready), indent=2) + "\n")
    os.replace(draft, path_of(data_dir))  # noqa: PTH105 - the atomic one, said by its name


def read_ready(data_dir: Path) -> Ready | None:
    """Return what the file says, None if there is none."""
    try:
        return Ready(**json.loads(path_of(data_dir).read_text()))
    except FileNotFoundError:
        return None


def remove_ready(data_dir: Path) -> None:
    """Take the file away, if it is there."""
    path_of(data_dir).unlink(missing_ok=True)


def path_of(data_dir: Path) -> Path:
    """Return where the file is."""
    return data_dir / "ready.json"
