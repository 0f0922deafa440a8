"""What REDIS_URL may be: what redis-py and Celery's kombu both take, and read as the same.

kombu refuses every option that redis-py knows but those of TLS, and does so at the first message;
redis-py refuses a name that it does not know at the first connection. Here both are told at the
start.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from adapters.setting_words import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

_FORM = re.compile(
    # kombu takes what stands behind a semicolon for another address
    r"rediss?://([^/?#@;]*@)?(\[[0-9a-fA-F:]+\]|[^/?#:@;]*)(:\d{1,5})?(/\d*)?(\?[^#;]*)?"
)
_NAME = re.compile(r"[a-z_]{1,40}")
FORMS = "redis://host:6379/0 or rediss://user:password@host:6379/0"


def problem_with_redis_url(url: str) -> str | None:
    """Say what is wrong with the address of a Redis; nothing of its values is in what is said."""
    if not _FORM.fullmatch(url):
        return f"must be {FORMS}"
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError  # noqa: TRY301 - as a port above 65535 is
    except ValueError:
        return f"must be {FORMS}, with a port from 1 to 65535"
    return _problem_with_options(parts.query, tls=parts.scheme == "rediss")


def _problem_with_options(query: str, *, tls: bool) -> str | None:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, value in pairs:
        if name not in _OPTIONS:
            return _unknown(name)
        if not tls:
            return f"{name} is for rediss:// only"
        is_one, allowed = _OPTIONS[name]
        if not is_one(value):
            return f"{name} must be {allowed}"
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    return None if twice is None else f"names {twice} twice"


def _unknown(name: str) -> str:
    known = f"those of rediss:// alone are taken: {', '.join(_OPTIONS)}"
    if not _NAME.fullmatch(name):  # it may be a piece of a password
        return f"has an option that is not known; {known}"
    meant = nearest(name, _OPTIONS)
    return f"has no option {name}{'' if meant is None else f' ({meant} is one)'}; {known}"


def _is_text(value: str) -> bool:
    return bool(value)


def _is_truth(value: str) -> bool:
    return value in {"true", "false"}


def _is_file(value: str) -> bool:
    return _is_there(value, Path.is_file)


def _is_folder(value: str) -> bool:
    return _is_there(value, Path.is_dir)


def _is_there(value: str, is_one: Callable[[Path], bool]) -> bool:
    try:
        return is_one(Path(value)) and os.access(value, os.R_OK)
    except (OSError, ValueError):  # no path can be so
        return False


_A_FILE = (_is_file, "a file that can be read")
_OPTIONS: dict[str, tuple[Callable[[str], bool], str]] = {
    "ssl_cert_reqs": (
        lambda value: value in {"none", "optional", "required"},
        "none, optional or required",
    ),
    "ssl_check_hostname": (_is_truth, "true or false"),
    "ssl_ca_certs": _A_FILE,
    "ssl_ca_path": (_is_folder, "a folder that can be read"),
    "ssl_certfile": _A_FILE,
    "ssl_keyfile": _A_FILE,
    "ssl_password": (_is_text, "text"),
    "ssl_ciphers": (_is_text, "text"),
}
