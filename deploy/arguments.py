"""What the operator's commands take. Nothing here loads what they need (boto3, Redis, Celery).

Each `run` names its function, `module:function`, which is loaded when it is asked for: a user's
command and a `--help` need none of that, and it takes a second.
"""

from __future__ import annotations

import argparse
import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from deploy.beside_local import BESIDE_LOCAL
from jobs.caller import Scope

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name

LISTED = 50
ROLES = ("web", "worker", "feed")  # as in adapters.checks_rights, which wants boto3
_MOST_LISTED = 1000
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_LIFETIME = re.compile(r"([0-9]{1,5})([mhd])")
_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = timedelta(days=3650)
_LONGEST_WAIT = timedelta(days=1)
_STATUSES = """exit status:
  0  done, or all is well
  1  not all: a job, a worker or a record is left, or something is worth a look
  2  the arguments, the settings or the parts need you"""


def add_command(commands: Commands, name: str, told: str) -> argparse.ArgumentParser:
    """Add a command, which tells in its help what the list of commands tells of it."""
    parser = commands.add_parser(
        name,
        help=told,
        description=f"{told[0].upper()}{told[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.epilog = (
        "Where everything is, the environment says\n"
        f"({BESIDE_LOCAL} {parser.prog} ...).\n\n{_STATUSES}"
    )
    return parser


def add_doctor(doctor: argparse.ArgumentParser) -> None:
    """Add what `longhaul doctor` takes."""
    doctor.add_argument(
        "--role",
        action="append",
        dest="roles",
        default=[],
        choices=ROLES,
        help="try this process's rights, too: run it with that process's credentials; repeatable",
    )
    doctor.add_argument("--call", action="store_true", help="call the default model, for one token")
    doctor.add_argument(
        "--url", type=_url, help="where a web process is (default LONGHAUL_URL, or this machine)"
    )
    doctor.add_argument("--json", action="store_true", help="write JSON")
    doctor.set_defaults(name="doctor", run="deploy.doctor_command:see_doctor")


def add_drain(drain: argparse.ArgumentParser) -> None:
    """Add what `longhaul drain` takes."""
    drain.add_argument("workers", nargs="*", metavar="WORKER", help="as in worker@host:4711")
    drain.add_argument("--all", action="store_true", help="all that are there now")
    drain.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="wait so long for them to go (default: LONGHAUL_DRAIN_SECONDS and a minute)",
    )
    drain.add_argument("--json", action="store_true", help="write JSON, once it is over")
    drain.set_defaults(name="drain", run="deploy.drain_command:drain_workers")


def add_jobs(jobs: argparse.ArgumentParser) -> None:
    """Add what `longhaul jobs` takes."""
    jobs.add_argument("--stuck", action="store_true", required=True, help="those that do not end")
    jobs.add_argument(
        "--older-than",
        type=_span,
        default=timedelta(minutes=10),
        metavar="TIME",
        help="accepted, or redriven, so long ago: 30s, 10m, 2h, 1d (default 10m)",
    )
    jobs.add_argument(
        "--limit", type=_limit, default=LISTED, metavar="N", help=f"show so many (default {LISTED})"
    )
    jobs.add_argument("--json", action="store_true", help="write JSON")
    jobs.set_defaults(name="jobs", run="deploy.job_commands:list_stuck")


def add_bulk_redrive(redrive: argparse.ArgumentParser) -> None:
    """Add what `longhaul redrive --failed-since` takes."""
    redrive.add_argument(
        "--failed-since",
        type=_span,
        required=True,
        metavar="TIME",
        help="those that have failed or expired within it: 30m, 2h, 1d",
    )
    redrive.add_argument("--error", metavar="CODE", help="only those with this error")
    redrive.add_argument("--user", help="only this user's, which are found by an index")
    redrive.add_argument("--limit", type=_limit, metavar="N", help="so many at most")
    redrive.add_argument("--dry-run", action="store_true", help="only say which")
    redrive.add_argument("--yes", action="store_true", help="do not ask")
    redrive.add_argument("--json", action="store_true", help="write a line of JSON each")
    redrive.set_defaults(name="redrive", run="deploy.job_commands:redrive_many")


def add_feed_commands(feed: argparse.ArgumentParser) -> None:
    """Add what stands below `longhaul feed`."""
    below = feed.add_subparsers(metavar="COMMAND", required=True)
    rejected = add_command(below, "rejected", "list the rejected records, or show one whole")
    rejected.add_argument("id", nargs="?", metavar="ID", help="show this record whole")
    rejected.add_argument(
        "--limit",
        type=_limit,
        metavar="N",
        help=f"list so many, the newest first (default {LISTED})",
    )
    rejected.add_argument("--json", action="store_true", help="write JSON, all of each record")
    rejected.set_defaults(name="feed rejected", run="deploy.feed_commands:list_rejected")
    again = add_command(below, "replay", "trigger the jobs of rejected records that wait now")
    again.add_argument("ids", nargs="*", metavar="ID", help="replay these records")
    again.add_argument("--all", action="store_true", help="replay every rejected record")
    again.add_argument("--json", action="store_true", help="write a line of JSON each")
    again.set_defaults(name="feed replay", run="deploy.feed_commands:replay_rejected")


def add_key_commands(keys: argparse.ArgumentParser) -> None:
    """Add what stands below `longhaul keys`."""
    below = keys.add_subparsers(metavar="COMMAND", required=True)
    create = add_command(below, "create", "make a key and show it, this once only")
    create.add_argument("--user", required=True, help="whose jobs it opens")
    create.add_argument(
        "--scope",
        action="append",
        dest="scopes",
        choices=[scope.value for scope in Scope],
        help="what it may do; repeatable (default jobs:read and jobs:write)",
    )
    create.add_argument(
        "--expires-in", type=_lifetime, metavar="TIME", help="30m, 12h or 90d (default: never)"
    )
    create.add_argument("--label", default="", help="what it is for")
    create.add_argument("--json", action="store_true", help="write JSON")
    create.set_defaults(name="keys create", run="deploy.key_commands:create_key")
    listed = add_command(below, "list", "list the keys, without their secrets")
    listed.add_argument("--user", help="those of one user")
    listed.add_argument("--json", action="store_true", help="write JSON")
    listed.set_defaults(name="keys list", run="deploy.key_commands:list_keys")
    revoke = add_command(below, "revoke", "end a key for good")
    revoke.add_argument("prefix", metavar="PREFIX", help="its first 11 letters, lh_...")
    revoke.set_defaults(name="keys revoke", run="deploy.key_commands:revoke_key")


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise argparse.ArgumentTypeError("must be such as http://host:5000")
    return text


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    span = timedelta(seconds=int(found[1]) * _UNITS[found[2]] if found else 0)
    if not timedelta(0) < span <= _LONGEST:
        raise argparse.ArgumentTypeError("must be such as 30s, 10m, 2h or 1d, ten years at most")
    return span


def _lifetime(text: str) -> timedelta:
    found = _LIFETIME.fullmatch(text)
    lifetime = timedelta(seconds=int(found[1]) * _UNITS[found[2]] if found else 0)
    if not timedelta(0) < lifetime <= _LONGEST:
        raise argparse.ArgumentTypeError("must be such as 30m, 12h or 90d, ten years at most")
    return lifetime


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_WAIT.total_seconds():
        raise argparse.ArgumentTypeError("must be a number of seconds, from 0 to a day's")
    return seconds


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_LISTED):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MOST_LISTED}")
    return int(text)
