"""Watching a job: its text on stdout, and how it goes on stderr."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from longhaul_client.cli.exits import Exit, exit_of_status
from longhaul_client.cli.screen import bar, countdown, elapsed
from longhaul_client.events import (
    JobCompleted,
    JobExpired,
    JobFailed,
    JobProgress,
    JobQueued,
    JobRetrying,
    JobStarted,
    StreamGap,
)
from longhaul_client.text import Text

if TYPE_CHECKING:
    from longhaul_client.cli.screen import Screen
    from longhaul_client.client import Longhaul
    from longhaul_client.events import Event
    from longhaul_client.models import JobError


def watch(client: Longhaul, screen: Screen, job_id: str, *, after: int, as_json: bool) -> Exit:
    """Follow a job to its end. Ctrl-C leaves it running and says how to come back."""
    place = after
    view = EventLines(screen) if as_json else TextView(client, screen)
    try:
        with closing(client.jobs.stream(job_id, after=after)) as events:
            for event in events:
                place = event.seq
                view.show(event)
                if event.is_terminal:
                    return exit_of_status(event.type.removeprefix("job.").upper())
    except KeyboardInterrupt:
        screen.note(f"{job_id} goes on; come back with: longhaul watch {job_id}", "yellow")
        if as_json:
            screen.note(f"after event {place}: --after {place}", "yellow")
        return Exit.INTERRUPTED
    job = client.jobs.get(job_id)  # whoever has seen the end is told no more
    screen.note(f"{job.id} is {job.status}; there is nothing after event {after}")
    return exit_of_status(job.status)


class EventLines:
    """Each event as a line of JSON."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def show(self, event: Event) -> None:
        """Show one event."""
        self._screen.json_line(event.raw)


class TextView:
    """The text as it is written, where stdout is a terminal; else the whole text at the end.

    What has gone into a pipe cannot be taken back, and an attempt that fails makes its text void.
    """

    def __init__(self, client: Longhaul, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        self._text = Text()

    def show(self, event: Event) -> None:
        """Show one event."""
        change = self._client.jobs.take(self._text, event)
        is_live = self._screen.shows_text_live
        if change is not None and change.anew and is_live:
            self._screen.note("what stands above is void; the text begins anew", "yellow")
        self._show_state(event)
        if change is not None and change.added and is_live:
            self._screen.text(change.added)
        if isinstance(event, JobCompleted) and not is_live:
            self._screen.text(str(self._text))

    def _show_state(self, event: Event) -> None:
        screen = self._screen
        match event:
            case JobQueued():
                screen.moving(elapsed(f"{event.job_id} waits"))
            case JobStarted():
                screen.moving(elapsed(f"{event.job_id} runs, attempt {event.attempt}"))
            case JobProgress(done=done, total=total):
                screen.moving(lambda: f"{event.job_id} {bar(done, total)} {done} of {total} parts")
            case JobRetrying(delay=delay, error=error):
                screen.note(f"attempt {event.attempt} failed: {told(error)}", "yellow")
                seconds, then = delay.total_seconds(), "the next attempt is about to begin"
                screen.moving(countdown("the next attempt begins in", seconds, then=then))
            case StreamGap():
                screen.note("events are missing; the whole text comes with the end", "yellow")
            case JobFailed(error=error) | JobExpired(error=error):
                screen.note(f"{event.job_id} {event.type[4:]}: {told(error)}", "red")
            case _ if event.is_terminal and not isinstance(event, JobCompleted):
                screen.note(f"{event.job_id} was cancelled", "yellow")


def told(error: JobError | None) -> str:
    """Say why in one line."""
    return "no reason was given" if error is None else f"{error.code}: {error.message}"
