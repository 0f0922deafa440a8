"""Bedrock Runtime on loopback: `python -m deploy.local.bedrock --port N`.

Speaks the real wire format to an unmodified boto3, streams at a model's pace, fails on command, and
keeps a ledger of calls. Its "model" is an extractive summariser that says so.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from aiohttp import web

from deploy.local.bedrock.controls import Controls
from deploy.local.bedrock.ledger import Ledger
from deploy.local.bedrock.pace import Pace
from deploy.local.bedrock.quota import Quota
from deploy.local.bedrock.server import BedrockStandIn

_TOKENS_PER_SECOND = "LONGHAUL_BEDROCK_TOKENS_PER_SECOND"
_FIRST_TOKEN_SECONDS = "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS"  # noqa: S105 - the name of a setting
_CANNOT_LISTEN = 1
_BAD_USAGE = 2
_BACKLOG = 4096  # thousands of clients may connect in the same moment
_CLEAN_UP_S = 0.5


def main() -> NoReturn:
    """Serve until SIGTERM or SIGINT."""
    arguments = _parse(sys.argv[1:], os.environ)
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.WARNING,
        format="%(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    status = asyncio.run(_serve(arguments))
    sys.stderr.flush()
    # There is nothing to save, and a thread that reads a large document must not delay the end.
    os._exit(status)


async def _serve(arguments: argparse.Namespace) -> int:
    _raise_open_file_limit()
    stand_in = BedrockStandIn(
        pace=Pace(
            first_token_s=arguments.first_token_seconds,
            tokens_per_second=arguments.tokens_per_second,
        ),
        controls=Controls(ledger=Ledger(), quota=Quota(arguments.quota_per_second)),
    )
    # A handler is cancelled when its client hangs up: that is how the ledger learns of it.
    runner = web.AppRunner(
        stand_in.application(),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=_CLEAN_UP_S / 5,
    )
    await runner.setup()
    site = web.TCPSite(runner, arguments.host, arguments.port, backlog=_BACKLOG)
    try:
        await site.start()
    except OSError as error:
        reason = error.strerror or error
        _say(f"cannot listen on {arguments.host}:{arguments.port}: {reason}")
        return _CANNOT_LISTEN
    _say(f"listening on http://{arguments.host}:{runner.addresses[0][1]}")
    await _stop_signal()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(runner.cleanup(), _CLEAN_UP_S)
    return 0


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def _raise_open_file_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _say(message)
        sys.exit(_BAD_USAGE)


def _parse(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m deploy.local.bedrock", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, required=True, help="0 takes a free one")
    parser.add_argument(
        "--tokens-per-second",
        type=_rate,
        default=_from_environment(parser, environ, _TOKENS_PER_SECOND, 40.0),
        help=f"pace of an answer; default 40, or ${_TOKENS_PER_SECOND}",
    )
    parser.add_argument(
        "--first-token-seconds",
        type=_seconds,
        default=_from_environment(parser, environ, _FIRST_TOKEN_SECONDS, 0.6),
        help=f"delay before an answer; default 0.6, or ${_FIRST_TOKEN_SECONDS}",
    )
    parser.add_argument("--quota-per-second", type=_rate, help="calls admitted; default: all")
    parser.add_argument("--debug", action="store_true", help="log a line for each call")
    return parser.parse_args(argv)


def _from_environment(
    parser: argparse.ArgumentParser, environ: Mapping[str, str], name: str, default: float
) -> float:
    if not (text := environ.get(name)):
        return default
    read = _rate if name == _TOKENS_PER_SECOND else _seconds
    try:
        return read(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"{name}: {error}")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 - the largest port there is
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (rate := float(text)) < math.inf:
            return rate
    raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")


def _say(message: str) -> None:
    sys.stderr.write(f"bedrock stand-in: {message}\n")


if __name__ == "__main__":
    main()
