"""The system that the demo needs: the one that runs already, or one of its own."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import honcho.environ

from deploy.local.child import wait_until
from deploy.local.demo.error import DemoError
from deploy.local.demo.log import has_ended, what_went_wrong
from deploy.local.demo.processes import POLL, ProcessTree, stop_signals_wait
from deploy.local.demo.screen import Screen
from deploy.local.demo.start import answers_ready, parts_of, show_end_of_log, wait_for
from deploy.local.environment import HONCHO_BASE, REPO_ROOT, LocalPlan, SettingError, plan
from deploy.local.lock import holder, is_alive, is_held
from deploy.local.ready import read_ready

RUNNING_ANSWERS_WITHIN: Final = timedelta(seconds=15)
STOPS_WITHIN: Final = timedelta(seconds=30)
FALLS_WITHIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class System:
    """A system that is ready; `log` is None where somebody else started it."""

    address: str
    log: Path | None


@contextlib.contextmanager
def ready_system(environ: Mapping[str, str], screen: Screen) -> Iterator[System]:
    """Give a ready system, and stop it afterwards if it was started here.

    Raises DemoError if there is none to be had.
    """
    try:
        seen = as_web_sees_it(environ, REPO_ROOT / ".env")
        decided = plan(seen)
    except SettingError as error:
        raise DemoError(str(error)) from error
    if (running := running_system(decided, screen)) is not None:
        yield running
        return
    log = decided.data_dir / "logs" / "demo.log"
    tree = ProcessTree(
        (sys.executable, "-m", "honcho", "start"),
        environ=in_this_virtual_environment(environ),
        cwd=REPO_ROOT,
        log=log,
    )
    try:
        screen.line(f"starting the system: honcho start (its output: {log})")
        with stop_signals_wait():
            tree.start()
        wait_for(parts_of(decided, seen, tree), tree, screen)
        yield System(address=decided.web_address, log=log)
    except DemoError as error:
        # Where the system fell over, what the client met is only a consequence.
        if wait_until(partial(has_fallen, tree), within=FALLS_WITHIN, every=POLL):
            show_end_of_log(tree, screen)
            raise DemoError(f"{error}: {what_went_wrong(tree.log_lines())}") from error
        raise
    finally:
        stop(tree, screen)


def as_web_sees_it(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """Return the environment that honcho gives the web process: with .env, PORT and a name."""
    merged = dict(environ)
    with contextlib.suppress(FileNotFoundError):
        merged |= honcho.environ.parse(dotenv.read_text())
    return {
        **merged,
        "PORT": merged.get("PORT") or str(HONCHO_BASE),
        "HONCHO_PROCESS_NAME": "web.1",
    }


def in_this_virtual_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Have the Procfile use the Python that runs the demo."""
    ours = {} if sys.prefix == sys.base_prefix else {"VIRTUAL_ENV": sys.prefix}
    return {**environ, **ours}


def running_system(decided: LocalPlan, screen: Screen) -> System | None:
    """Return the system that runs for this data folder, None if none does.

    Raises DemoError if one runs and does not answer: a second one could not start beside it.
    """
    pid = holder(decided.data_dir)
    if pid is None or not (is_held(decided.data_dir) and is_alive(pid)):
        return None
    screen.waiting(f"waiting for the system that runs already (pid {pid})")
    deadline = time.monotonic() + RUNNING_ANSWERS_WITHIN.total_seconds()
    while time.monotonic() < deadline:
        ready = read_ready(decided.data_dir)
        if ready is not None and answers_ready(ready.web):
            screen.line(f"using the system that runs already at {ready.web} (pid {pid})")
            return System(address=ready.web, log=None)
        time.sleep(POLL.total_seconds())
    raise DemoError(
        f"`local` runs already for {decided.data_dir} (pid {pid}), but no web process answers:"
        " start the rest with `honcho start web worker feed`, or stop it"
    )


def stop(tree: ProcessTree, screen: Screen) -> None:
    """Stop what was started; a second Ctrl-C does not keep it from that."""
    with stop_signals_wait():
        start = time.monotonic()
        if tree.exit_code is None:
            # Whoever read our lines may be gone, which must not keep us from stopping.
            with contextlib.suppress(BrokenPipeError):
                screen.line("\nstopping the system")
        if not tree.stop(within=STOPS_WITHIN):
            with contextlib.suppress(BrokenPipeError):
                screen.line(f"not all of it stopped by itself in {STOPS_WITHIN.seconds} s: killed")
        with contextlib.suppress(BrokenPipeError):
            screen.line(f"no process left, after {time.monotonic() - start:.1f} s")


def has_fallen(tree: ProcessTree) -> bool:
    """Tell whether honcho, or any process under it, has ended by itself."""
    return tree.exit_code is not None or has_ended(tree.log_lines())
