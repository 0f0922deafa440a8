"""`python -m deploy.local`: the local stand-ins, from start to stop. The Procfile's `local`.

Exit code 0 after SIGTERM, SIGINT or SIGHUP, 1 if the stand-ins cannot run, 2 for an argument that
nobody knows. `may-start` starts nothing and says whether they could: 0, or 2 and why not (`make
run` asks it first). Only the standard library is loaded before the lock is taken: `attach` waits
for that lock for seconds only.
"""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.local.child import StopSignals, wait_until
from deploy.local.environment import (
    ENDPOINT_VARIABLE,
    STAND_IN_FOR,
    LocalPlan,
    SettingError,
    StandIn,
    may_create_stores,
    plan,
    shown,
)
from deploy.local.lock import holder, is_alive, is_attached, is_held, take_lock
from deploy.local.ready import ready_of, remove_ready, write_ready
from deploy.local.servers import servers_of, taken_ports
from deploy.local.supervisor import POLL, LocalError, Stopped, Supervisor, WebAwaited, say

# honcho kills after five seconds; the worker wants its table until it has released its claims.
ATTACHED_MAY_TAKE: Final = timedelta(seconds=4)
LEFT_BEHIND_MAY_TAKE: Final = timedelta(seconds=25)


def main() -> int:
    """Run until a stop signal; return the exit code."""
    environ = dict(os.environ)
    if sys.argv[1:] == ["may-start"]:
        return may_start(environ)
    if sys.argv[1:]:
        say(f"local: may-start is its only argument, not {' '.join(sys.argv[1:])!r}")
        return 2
    signals = StopSignals()
    signals.block()
    try:
        run(plan(environ), environ, signals)
    except Stopped:
        say("stopped")
    except (SettingError, LocalError) as error:
        say(f"local: {error}")
        return 1
    return 0


def may_start(environ: Mapping[str, str]) -> int:
    """Say why the whole system would not start: beside the other processes it is hard to see."""
    try:
        decided = plan(environ)
        refuse_running(decided.data_dir)
        if not is_held(decided.data_dir):  # else by servers that a killed one left: they go
            refuse_taken_ports(decided)
    except (SettingError, LocalError) as error:
        say(f"local: {error}")
        return 2
    return 0


def run(decided: LocalPlan, environ: Mapping[str, str], signals: StopSignals) -> None:
    """Hold the folder, start the servers, watch them; always leaves nothing running."""
    lock = hold(decided.data_dir, signals)
    remove_ready(decided.data_dir)
    refuse_taken_ports(decided)
    servers = servers_of(decided, environ)
    supervisor = Supervisor(servers, plan=decided, environ=environ, lock=lock, signals=signals)
    tell(decided)
    try:
        supervisor.start_all()
        if may_create_stores(decided, environ):
            supervisor.make_stores()
        else:
            say("table and bucket are not on this machine: `longhaul bootstrap` makes them")
        write_ready(decided.data_dir, ready_of(decided, environ, pid=os.getpid()))
        say("the stand-ins are ready")
        supervisor.watch(WebAwaited(decided))
    finally:
        remove_ready(decided.data_dir)
        let_attached_finish(decided.data_dir)
        supervisor.stop_all()


def hold(data_dir: Path, signals: StopSignals) -> int:
    """Take the lock; raises LocalError if another `local` has it.

    Servers whose supervisor was killed keep the lock while they save: those are waited for.
    """
    polls = LEFT_BEHIND_MAY_TAKE // POLL
    for _ in range(polls):
        lock = take_lock(data_dir)
        if lock is not None:
            return lock
        refuse_running(data_dir)
        if signals.came(within=POLL):
            raise Stopped
    raise LocalError(f"servers of a killed `local` still hold {data_dir}: `fuser {data_dir}/lock`")


def refuse_running(data_dir: Path) -> None:
    """Raise LocalError if another `local` has the folder and lives."""
    pid = holder(data_dir)
    if is_held(data_dir) and pid is not None and is_alive(pid):
        raise LocalError(
            f"already running for {data_dir} (pid {pid}): stop it,"
            " or name another folder with LONGHAUL_LOCAL_DIR"
        )


def refuse_taken_ports(decided: LocalPlan) -> None:
    """Raise LocalError naming every port that cannot be opened, and what to do."""
    wanted = {str(stand_in): decided.ports.of(stand_in) for stand_in in decided.stand_ins}
    if not is_attached(decided.data_dir):  # otherwise it is our own web process that has it
        wanted["web"] = decided.ports.web
    reasons = taken_ports(wanted)
    if not reasons:
        return
    lines = [
        f"port {wanted[name]} ({name}) cannot be opened: {reason}"
        for name, reason in reasons.items()
    ]
    advice = [
        "stop what listens there",
        f"shift all ports, as with LONGHAUL_PORT_BASE={decided.ports.aws + 999}",
        *(f"name {_instead_of(name)}" for name in reasons),
    ]
    raise LocalError("\nlocal: ".join([*lines, f"nothing was started; {', or '.join(advice)}"]))


def _instead_of(name: str) -> str:
    if name == "web":
        return "another web port with PORT"
    variables = [ENDPOINT_VARIABLE[part] for part, by in STAND_IN_FOR.items() if by == name]
    return f"your own {name} server with {' and '.join(variables)}"


def tell(decided: LocalPlan) -> None:
    """Print where each part is."""
    programs = {StandIn.AWS: "ministack", StandIn.REDIS: "valkey", StandIn.BEDROCK: "stand-in"}
    for part, stand_in in STAND_IN_FOR.items():
        where = shown(decided.address(part))
        by = "named by the environment" if part in decided.named else programs[stand_in]
        say(f"{part}: {where} ({by})")
    say(f"data and logs: {decided.data_dir}")


def let_attached_finish(data_dir: Path) -> None:
    """Give the processes that use the stand-ins a moment to put their work down."""
    if is_attached(data_dir):
        say("waiting for attached processes to finish")
        wait_until(lambda: not is_attached(data_dir), within=ATTACHED_MAY_TAKE, every=POLL)


if __name__ == "__main__":
    sys.exit(main())
