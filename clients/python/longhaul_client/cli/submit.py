"""`longhaul submit`: files and a prompt become a job."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from longhaul_client.cli.exits import Exit, exit_of_status
from longhaul_client.cli.screen import bar, elapsed
from longhaul_client.cli.watch import told, watch
from longhaul_client.errors import SettingWrong

if TYPE_CHECKING:
    from longhaul_client.cli.screen import Screen
    from longhaul_client.client import Longhaul
    from longhaul_client.models import Job


def add_submit(parser: argparse.ArgumentParser) -> None:
    """Add what `longhaul submit` takes."""
    parser.add_argument("files", nargs="*", metavar="FILE", type=Path, help="upload and attach it")
    parser.add_argument(
        "--prompt", required=True, metavar="TEXT", help="the prompt; @FILE reads it, - reads stdin"
    )
    parser.add_argument("--model", help="another model than the server's default")
    parser.add_argument("--system", metavar="TEXT", help="the system prompt; @FILE and - as above")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the answer")
    parser.add_argument(
        "--title", metavar="TEXT", help="what the console calls the job: its metadata's title"
    )
    parser.add_argument(
        "--metadata", action="append", default=[], type=_pair, metavar="NAME=VALUE", help="repeat"
    )
    parser.add_argument("--webhook", metavar="URL", help="who is told of the end")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key is the same job")
    then = parser.add_mutually_exclusive_group()
    then.add_argument("--stream", action="store_true", help="watch it, as `longhaul watch` does")
    then.add_argument(
        "--wait", type=_seconds, metavar="N", help="wait N seconds at most and write the result"
    )


def submit(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Upload, submit, and do what was asked for after that."""
    if options.prompt == options.system == "-":
        raise SettingWrong("--prompt and --system cannot both be read from stdin")
    prompt, system = _read(options.prompt), _read(options.system)
    since = time.monotonic()
    job = client.jobs.create(
        prompt=prompt,
        system=system,
        model=options.model,
        inference_config=_inference_of(options),
        metadata=_metadata_of(options) or None,
        documents=[_upload(client, screen, path) for path in options.files] or None,
        webhook=options.webhook,
        idempotency_key=options.idempotency_key,
    )
    if options.stream:
        screen.note(job.id)
        return watch(client, screen, job.id, after=0, as_json=options.json)
    if options.wait is not None:
        left = options.wait - (time.monotonic() - since)
        return _wait(client, screen, job, seconds=left, as_json=options.json)
    if options.json:
        screen.json(job.raw)
    else:
        screen.line(job.id)
    return Exit.DONE


def _inference_of(options: argparse.Namespace) -> dict[str, int] | None:
    # Not "if options.max_tokens": 0 is wrong, and the server says why.
    return None if options.max_tokens is None else {"max_tokens": options.max_tokens}


def _metadata_of(options: argparse.Namespace) -> dict[str, str]:
    title = {} if options.title is None else {"title": options.title}
    return {**dict(options.metadata), **title}


def _wait(client: Longhaul, screen: Screen, job: Job, *, seconds: float, as_json: bool) -> Exit:
    # Not by `Prefer: wait`: who interrupts is to know the job's id, and a wait may be longer.
    screen.moving(elapsed(f"{job.id} is under way"))
    try:
        job = client.jobs.wait(job.id, timeout=max(seconds, 0))
    except KeyboardInterrupt:
        screen.note(f"{job.id} goes on; come back with: longhaul watch {job.id}", "yellow")
        return Exit.INTERRUPTED
    ended = exit_of_status(job.status)
    if as_json:
        screen.json(job.raw)
    elif ended is Exit.DONE:
        screen.text(client.jobs.result(job.id))
    else:
        screen.note(f"{job.id} is {job.status}: {told(job.error)}", "red")
    return ended


def _upload(client: Longhaul, screen: Screen, path: Path) -> str:
    sent = size = 0

    def show() -> str:
        return f"{path.name} {bar(sent, size)} of {size:,} bytes"

    def on_progress(sent_now: int, size_in_all: int) -> None:
        nonlocal sent, size
        sent, size = sent_now, size_in_all
        screen.moving(show)

    try:
        upload_id = client.uploads.create(path, on_progress=on_progress)
    except OSError as error:
        raise SettingWrong(f"{path} cannot be read: {error.strerror or error}") from error
    screen.settle()
    return upload_id


def _read(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        if text == "-":
            return sys.stdin.read()
        if text.startswith("@"):
            return Path(text[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingWrong(f"{text[1:]} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingWrong(f"{text} is not text in UTF-8") from error
    return text


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return seconds
