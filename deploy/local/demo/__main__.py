"""`python -m deploy.local.demo`: one real job through the whole system, shown as it happens.

Exit code 0 only if the job completed and the text that was streamed equals the stored result; 1 if
not, with one line that says why; 128 and the signal's number after a stop signal.
"""

import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TextIO

from deploy.local.demo.client import LonghaulClient, Subscribed, Told, Watch
from deploy.local.demo.error import DemoError
from deploy.local.demo.processes import Interrupted, stop_signals_raise
from deploy.local.demo.report import (
    new_job_lines,
    outcome_lines,
    sha256_prefix,
    state_line,
    timeline_lines,
)
from deploy.local.demo.screen import Screen
from deploy.local.demo.stream import Streamed
from deploy.local.demo.system import System, ready_system
from deploy.local.environment import REPO_ROOT
from jobs.events import EventType
from jobs.job import JobStatus

DOCUMENT: Final = REPO_ROOT / "tests" / "data" / "debian-reference.txt"
INSTRUCTION: Final = "Summarise this manual for a new administrator."
JOB_ENDS_WITHIN: Final = timedelta(seconds=180)
WIDEST: Final = 100


def main() -> int:
    """Run the demo; return the exit code."""
    screen = screen_on(sys.stdout)
    try:
        with stop_signals_raise():
            show(dict(os.environ), screen)
    except DemoError as error:
        return fail(str(error), screen, code=1)
    except Interrupted as interrupted:
        return fail(f"stopped by {interrupted}", screen, code=interrupted.exit_code)
    except BrokenPipeError:
        # Whoever read our lines is gone; the interpreter's own flush at the end would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def show(environ: Mapping[str, str], screen: Screen) -> None:
    """Start what is needed, run one job and show it; raises DemoError if it is not as it must."""
    with ready_system(environ, screen) as system:
        client = LonghaulClient(system.address, key=first_key(environ))
        with client.watch() as watch:
            screen.line(f"\nconnected to {watch.address}")
            location, streamed = run_job(client, watch, screen)
        show_outcome(client, location, streamed, screen)
    for line in where_to_go(system):
        screen.line(line)


def run_job(client: LonghaulClient, watch: Watch, screen: Screen) -> tuple[str, Streamed]:
    """Submit the document and show all that is told until the job has ended."""
    text = DOCUMENT.read_text(encoding="utf-8")
    size = len(text.encode())
    screen.line(f"\nPOST /v1/jobs with the whole of {DOCUMENT.name} ({size:,} bytes)")
    start = time.monotonic()
    accepted = client.submit(job_request(text))
    job_id = accepted.job["id"]
    watch.subscribe(job_id)
    screen.line(f"{accepted.status_line} after {accepted.seconds * 1000:.0f} ms")
    screen.line(f"Location: {accepted.location}")
    for line in new_job_lines(accepted.job):
        screen.line(line)
    screen.line("\nevents as they come, the text as it streams:")
    until = start + JOB_ENDS_WITHIN.total_seconds()
    streamed = follow(watch.messages(job_id, until=until), screen)
    screen.line(f"\ntime to 202          {accepted.seconds:7.3f} s")
    if streamed.first_text_at is not None:
        screen.line(f"time to first token  {streamed.first_text_at - start:7.3f} s")
    screen.line(f"time to the end      {time.monotonic() - start:7.3f} s\n")
    return accepted.location, streamed


def follow(messages: Iterable[Subscribed | Told], screen: Screen) -> Streamed:
    """Show the job's events until the last one; return what they told."""
    streamed = Streamed()
    for message in messages:
        if isinstance(message, Subscribed):
            screen.line(f"  subscribed, up to seq {message.seq}")
            continue
        if streamed.take(message, at=time.monotonic()):
            show_event(message, streamed, screen)
        if streamed.has_ended:
            break
    return streamed


def show_event(event: Told, streamed: Streamed, screen: Screen) -> None:
    """Show one event; an attempt that starts, or is to start, makes the text so far void."""
    if event.type is EventType.DELTA:
        screen.text(event.text)
        return
    if event.type.is_terminal:
        screen.line(f"  ({streamed.came_in})")
    screen.line(f"  {state_line(event)}")
    if not event.type.is_terminal and streamed.void():
        screen.line("  the text so far is void: the next attempt starts from nothing")


def show_outcome(client: LonghaulClient, location: str, streamed: Streamed, screen: Screen) -> None:
    """Show the job as it ended; raises DemoError unless it completed with the text that came."""
    job = client.job(location)
    for line in outcome_lines(job):
        screen.line(line)
    completed = job["status"] == JobStatus.COMPLETED
    stored = client.result(location) if completed else b""
    if completed:
        screen.line(f"result       {len(stored):,} bytes, sha256 {sha256_prefix(stored)}...")
    screen.line("\ntimeline:")
    for line in timeline_lines(client.timeline(location)["steps"]):
        screen.line(f"  {line}")
    screen.line()
    if not completed:
        raise DemoError(f"the job ended {job['status']}{why(job)}")
    if streamed.content != stored:
        told = f"{len(streamed.content):,} bytes, sha256 {sha256_prefix(streamed.content)}..."
        raise DemoError(f"the streamed text ({told}) is not the stored result")
    screen.line(f"streamed text equals the stored result (sha256 {sha256_prefix(stored)}...)")


def job_request(text: str) -> dict[str, object]:
    """Return the body: an instruction and the whole document as one prompt."""
    return {
        "prompt": f"{INSTRUCTION}\n\n{text}",
        "metadata": {"document": DOCUMENT.name, "submitted_by": "make demo"},
    }


def why(job: Mapping[str, Any]) -> str:
    """Return the job's error as the end of a line."""
    error = job.get("error")
    return f": {error['code']}: {error['message']}" if error else ""


def where_to_go(system: System) -> list[str]:
    """Say how to do the same by hand."""
    curl = (
        f"curl -i {system.address}v1/jobs -H 'Content-Type: application/json'"
        """ -d '{"prompt": "Say hello."}'"""
    )
    if system.log is None:
        return [f"\nnext: {curl}"]
    return ["\nnext: `make run` starts the system and leaves it running; then", f"  {curl}"]


def first_key(environ: Mapping[str, str]) -> str | None:
    """Return the first of LONGHAUL_API_KEYS (`user:key,user:key`); a local system needs none."""
    _user, _colon, key = environ.get("LONGHAUL_API_KEYS", "").partition(",")[0].partition(":")
    return key or None


def screen_on(stream: TextIO) -> Screen:
    """Return a screen as wide as the terminal is, within reason."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that cannot show it all shows the rest
    columns = shutil.get_terminal_size((WIDEST, 24)).columns
    return Screen(stream, width=max(20, min(WIDEST, columns)), is_terminal=stream.isatty())


def fail(message: str, screen: Screen, *, code: int) -> int:
    """Say in one line why the demo ended, below everything else; return the exit code."""
    with contextlib.suppress(BrokenPipeError):
        screen.end_text()
    sys.stderr.write(f"demo: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
