"""`python -m deploy.local.attach COMMAND [ARGS...]`: run a command with every part named.

The environment names everything: the command runs at once. It does not: the command waits for
`local` and gets the stand-ins' addresses. There is no `local`: it runs against AWS, but only
where the environment names Redis and a region, so that nobody gets there by accident.
Exit codes of its own: 1 `local` went away, 2 something is not named, 127 no such command.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.local.environment import (
    ENDPOINT_VARIABLE,
    REGION_VARIABLES,
    LocalPlan,
    Part,
    SettingError,
    plan,
    shown,
)
from deploy.local.lock import attach, is_alive, is_held
from deploy.local.ready import AGREED, Ready, read_ready

POLL: Final = timedelta(milliseconds=50)
APPEARS_WITHIN: Final = timedelta(seconds=3)
READY_WITHIN: Final = timedelta(seconds=60)


class LocalGoneError(Exception):
    """`local` was there and did not become ready."""


def main(arguments: Sequence[str]) -> int:
    """Become the command; return an exit code only where that is impossible."""
    if not arguments:
        return fail("usage: python -m deploy.local.attach COMMAND [ARGS...]", code=2)
    # `.venv/bin/honcho start` works without an activated environment, too.
    ours = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": os.pathsep.join([ours, os.environ.get("PATH", os.defpath)])}
    try:
        environ |= additions_for(plan(environ), environ)
    except SettingError as error:
        return fail(str(error), code=2)
    except LocalGoneError as error:
        return fail(str(error), code=1)
    try:
        os.execvpe(arguments[0], list(arguments), environ)  # noqa: S606 - becoming it is the task
    except OSError as error:
        return fail(f"cannot run {arguments[0]}: {error.strerror}", code=127)


def additions_for(decided: LocalPlan, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables to add; raises SettingError or LocalGoneError if it may not run."""
    if not decided.stand_ins:
        return decided.always
    ready = wait_for_local(decided.data_dir)
    if ready is None:
        refuse_unless_aws_is_meant(decided, environ)
        parts = ", ".join(part for part in Part if part not in decided.named)
        say(f"no `local` for {decided.data_dir}: using AWS for {parts}")
        return decided.always
    additions = agree(decided, ready)
    attach(decided.data_dir)
    say(where_everything_is(decided, additions))
    return additions


def wait_for_local(data_dir: Path) -> Ready | None:
    """Return what `local` says when it is ready, None if there is no `local`.

    Raises LocalGoneError if it was there and ended, or is not ready in time.
    """
    seen = False
    start = last_held = time.monotonic()
    while time.monotonic() - start < READY_WITHIN.total_seconds():
        if is_held(data_dir):
            last_held = time.monotonic()
            ready = read_ready(data_dir)
            # A file whose writer is dead is what a killed one left behind.
            if ready is not None and is_alive(ready.pid):
                return ready
            if not seen:
                say("waiting for `local`")
            seen = True
        elif time.monotonic() - last_held >= APPEARS_WITHIN.total_seconds():
            if seen:
                raise LocalGoneError("`local` ended before it was ready: see what it printed")
            return None
        time.sleep(POLL.total_seconds())
    raise LocalGoneError(f"`local` was not ready in {READY_WITHIN}: see {data_dir}/logs")


def refuse_unless_aws_is_meant(decided: LocalPlan, environ: Mapping[str, str]) -> None:
    """Raise SettingError unless the environment says that AWS is what it wants."""
    missing = []
    if Part.REDIS in set(Part) - set(decided.named):
        missing.append("REDIS_URL")
    if not any(environ.get(variable) for variable in REGION_VARIABLES):
        missing.append("an AWS region (AWS_REGION)")
    if missing:
        raise SettingError(
            f"{' and '.join(missing)} not named, and no `local` runs for {decided.data_dir}:"
            " name them, or run the stand-ins too with `honcho start`"
        )


def agree(decided: LocalPlan, ready: Ready) -> dict[str, str]:
    """Return the plan's additions as `local` has them; raises SettingError if it lacks a part."""
    absent = [
        ENDPOINT_VARIABLE[part]
        for part in Part
        if part not in decided.named and ENDPOINT_VARIABLE[part] not in ready.environment
    ]
    if absent:
        raise SettingError(
            f"`local` (pid {ready.pid}) was given its own {' and '.join(absent)}:"
            " give this process the same"
        )
    shared = {ENDPOINT_VARIABLE[part] for part in Part if part not in decided.named} | set(AGREED)
    theirs = {name: value for name, value in ready.environment.items() if name in shared}
    return {name: theirs.get(name, value) for name, value in decided.additions.items()}


def where_everything_is(decided: LocalPlan, additions: Mapping[str, str]) -> str:
    """Return one line with every part's address, without credentials."""
    places = (
        f"{part} {shown(decided.named[part])}"
        if part in decided.named
        else f"{part} {shown(additions[ENDPOINT_VARIABLE[part]])} (stand-in)"
        for part in Part
    )
    return ", ".join(places)


def say(line: str) -> None:
    """Print a line before the command takes over, whose standard output is its own."""
    sys.stderr.write(f"attach: {line}\n")


def fail(message: str, *, code: int) -> int:
    """Print what is wrong and return the exit code."""
    sys.stderr.write(f"attach: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
