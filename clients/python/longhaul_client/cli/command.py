"""The command: its arguments, its commands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TextIO

from longhaul_client.api import client_version
from longhaul_client.cli import jobs
from longhaul_client.cli.exits import MEANINGS, Exit, exit_of_error
from longhaul_client.cli.screen import Screen
from longhaul_client.cli.submit import add_submit, submit
from longhaul_client.cli.watch import watch
from longhaul_client.client import Longhaul
from longhaul_client.endpoint import DEFAULT_URL, URL_VARIABLE, Endpoint
from longhaul_client.errors import LonghaulError, NotConnected, Problem
from longhaul_client.models import JobStatus
from longhaul_client.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Command = Callable[[Longhaul, Screen, argparse.Namespace], int]
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name
    AddCommands = Callable[[Commands], None]

# Distributions that are installed beside this one add their commands by an entry point of this
# group: a function that takes argparse's subparsers. Each of its parsers sets `runner`, which takes
# the parsed options and gives the exit status.
GROUP = "longhaul.commands"
# A verb for one job may have a plural for operators; by this option it is meant, and then the
# other distribution's command of that name is the one.
_PLURALS = {"redrive": "--failed-since"}
# A person waits at the terminal: a server that is not there is to be told soon.
_RETRY = Retry(tries=4)
_LISTED = 20


def main(
    arguments: Sequence[str] | None = None, *, others: Iterable[AddCommands] | None = None
) -> int:
    """Run one command and give its exit status (exits.py); `others` add commands of their own."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = _parser()
    named = next((word for word in words if not word.startswith("-")), "")
    if named in _PLURALS or named not in commands.choices:  # importing those may take a while
        singular = commands.choices.pop(named, None) if _is_plural(named, words) else None
        for add_commands in _installed() if others is None else others:
            add_commands(commands)
        if singular is not None:
            commands.choices.setdefault(named, singular)
    options = parser.parse_args(words)
    try:
        status: int = options.runner(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `longhaul ... | head`
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return Exit.INTERRUPTED
    return status


def _is_plural(named: str, words: Sequence[str]) -> bool:
    """Tell whether a verb's plural is meant; an option may be cut short, as argparse has it."""
    option = _PLURALS.get(named, "")
    begun = (word.partition("=")[0] for word in words if len(word) > len("--"))
    return any(option.startswith(word) for word in begun)


def _installed() -> Iterable[AddCommands]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        add_commands: AddCommands = point.load()
        yield add_commands


def _parser() -> tuple[argparse.ArgumentParser, Commands]:
    parser = argparse.ArgumentParser(
        prog="longhaul",
        description="Run generative-AI jobs that outlast an HTTP request, and watch them.",
        epilog=f"LONGHAUL_URL says where the server is (default {DEFAULT_URL}), and\n"
        f"LONGHAUL_API_KEY who asks.\n\n{MEANINGS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"longhaul-client {client_version()}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_submit(_add(commands, "submit", submit, "upload files and submit a job"))
    watching = _add(commands, "watch", _watch, "follow a job to its end", takes_id=True)
    watching.add_argument("--after", type=int, default=0, metavar="N", help="only after event N")
    listing = _add(commands, "list", jobs.list_jobs, "list your jobs, the newest first")
    listing.add_argument("--status", type=str.upper, choices=[str(one) for one in JobStatus])
    listing.add_argument(
        "--limit", type=_limit, default=_LISTED, metavar="N", help=f"so many (default {_LISTED})"
    )
    _add(commands, "show", jobs.show, "show a job", takes_id=True)
    reading = _add(commands, "result", jobs.result, "write a job's result", takes_id=True)
    reading.add_argument("-o", "--output", metavar="FILE", help="write it to a file")
    _add(commands, "cancel", jobs.cancel, "cancel a job", takes_id=True)
    _add(commands, "redrive", jobs.redrive, "run a job that did not complete again", takes_id=True)
    _add(commands, "delete", jobs.delete, "remove an ended job", takes_id=True)
    _add(commands, "timeline", jobs.timeline, "show each step of a job", takes_id=True)
    _add(commands, "deliveries", jobs.deliveries, "show who was told of its end", takes_id=True)
    return parser, commands


def _add(
    commands: Commands, name: str, command: Command, told: str, *, takes_id: bool = False
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=told,
        description=f"{told[0].upper()}{told[1:]}.",
        epilog=MEANINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if takes_id:
        parser.add_argument("id", metavar="ID", help="the job's id")
    parser.add_argument(
        "--json", action="store_true", help="write JSON: a line an event where a job is followed"
    )
    parser.add_argument("--url", help="the server's address, instead of LONGHAUL_URL")
    parser.set_defaults(runner=lambda options: _run(command, options))
    return parser


def _run(command: Command, options: argparse.Namespace) -> int:
    """Run a command as a user of the server; its errors become words and a status."""
    _speak_utf8(sys.stdout)
    screen = Screen(sys.stdout, sys.stderr, os.environ)

    def tell(failure: LonghaulError, seconds: float) -> None:
        screen.note(f"{failure}; again in {seconds:.1f} s", "yellow")

    try:
        with Longhaul(options.url, retry=_RETRY, on_retry=tell) as client:
            return command(client, screen, options)
    except LonghaulError as error:
        _tell_error(screen, error, hint=_hint_at(error, options.url), as_json=options.json)
        return exit_of_error(error)
    finally:
        screen.close()


def _watch(client: Longhaul, screen: Screen, options: argparse.Namespace) -> int:
    return watch(client, screen, options.id, after=options.after, as_json=options.json)


def _hint_at(error: LonghaulError, url: str | None) -> str:
    """Say how to ask another server, where nothing listens at the address that was asked."""
    if not isinstance(error, NotConnected):
        return ""
    asked = Endpoint.named(url, None, os.environ).url
    if not str(error).startswith(asked):  # the store that the server led to
        return ""
    return f"; does a server run at {asked}? {URL_VARIABLE} or --url names another"


def _tell_error(screen: Screen, error: LonghaulError, *, hint: str, as_json: bool) -> None:
    members = _members_of(error) if isinstance(error, Problem) else {}
    if as_json:
        screen.error_json({"error": {"detail": f"{error}{hint}", **members}})
        return
    screen.note(f"{error}{hint}", "red")
    if isinstance(error, Problem):
        for problem in error.errors:
            screen.note(f"  {problem.field}: {problem.detail}", "red")
        if error.trace_id is not None:
            screen.note(f"  {error.code}, trace {error.trace_id}")


def _members_of(problem: Problem) -> dict[str, object]:
    return {
        "status": problem.status,
        "code": problem.code,
        "errors": [asdict(one) for one in problem.errors],
        "trace_id": problem.trace_id,
    }


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a number from 1")
    return int(text)


def _speak_utf8(out: TextIO) -> None:
    """Write a result's bytes as they are, whatever the locale; a terminal gets what it can show."""
    reconfigure = getattr(out, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(**({"errors": "replace"} if out.isatty() else {"encoding": "utf-8"}))
