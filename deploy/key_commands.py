"""The operator's commands on API keys: `longhaul keys create`, `list` and `revoke`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from adapters.clock import SystemChance, SystemClock
from adapters.settings import read_settings
from adapters.wiring import open_api_keys
from deploy.table import table
from jobs.caller import Scope
from jobs.errors import InvalidRequest
from jobs.job import UserId
from jobs.keys import ENTROPY_BYTES, make_key, parse_prefix
from jobs.times import written_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from jobs.keys import ApiKey

_USUAL = frozenset({Scope.READ, Scope.WRITE})


def create_key(options: argparse.Namespace) -> int:
    """Make a key and show it."""
    made = make_key(
        user=options.user,
        scopes=frozenset(map(Scope, options.scopes)) if options.scopes else _USUAL,
        label=options.label,
        lifetime=options.expires_in,
        entropy=SystemChance().entropy(ENTROPY_BYTES),
        now=SystemClock().now(),
    )
    open_api_keys(read_settings(os.environ)).add(made.key)
    if options.json:
        _write({"key": made.token, **_whole(made.key)})
    else:
        sys.stdout.write(f"{made.token}\n")
        sys.stderr.write(f"key {made.key.prefix} of {made.key.user}; it is not shown again\n")
    return 0


def list_keys(options: argparse.Namespace) -> int:
    """List keys without their secrets."""
    user = None if options.user is None else UserId(options.user)
    found = open_api_keys(read_settings(os.environ)).find(user)
    if options.json:
        _write([_whole(key) for key in found])
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _table(found)))
    return 0


def revoke_key(options: argparse.Namespace) -> int:
    """End a key for good."""
    prefix = parse_prefix(options.prefix)
    if prefix is None:
        raise InvalidRequest("a key's prefix is lh_ and 8 letters")  # it may be a secret: no echo
    key = open_api_keys(read_settings(os.environ)).revoke(prefix, SystemClock().now())
    if key is None or key.revoked_at is None:
        raise InvalidRequest(f"no key {prefix}")
    sys.stdout.write(
        f"key {prefix} of {key.user} is revoked since {written_time(key.revoked_at)}\n"
    )
    return 0


def _table(keys: Sequence[ApiKey]) -> Iterator[str]:
    if not keys:
        yield "no keys"
        return
    rows: list[tuple[str, ...]] = [
        ("KEY", "USER", "SCOPES", "CREATED", "EXPIRES", "REVOKED", "LABEL"),
        *(
            (
                f"{key.prefix}...{key.last_four}",
                key.user,
                ",".join(sorted(key.scopes)),
                written_time(key.created_at),
                _time(key.expires_at) or "never",
                _time(key.revoked_at) or "-",
                key.label or "-",
            )
            for key in keys
        ),
    ]
    yield from table(rows)


def _whole(key: ApiKey) -> dict[str, object]:
    return {
        "prefix": key.prefix,
        "user": key.user,
        "scopes": sorted(key.scopes),
        "label": key.label,
        "last_four": key.last_four,
        "created_at": written_time(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else written_time(at)


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
