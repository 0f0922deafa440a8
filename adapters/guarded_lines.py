"""Guarded lines: what no log line may hold, whoever writes it, is taken out of it.

Our own lines name no secret and no payload; this is the second lock, and the only one on lines of
libraries: a server that quotes a broken request, or an error that quotes what it choked on.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING

from jobs.sketch import sketch

if TYPE_CHECKING:
    import structlog

    ExcInfo = structlog.typing.ExcInfo

_WITHHELD = "[withheld]"
_MOST_CAUSES = 10
# What to find, what to put there, and a clue: some word, in lower case, of each text that has it.
# Nearly no text has a clue, and to look for one costs a tenth of the search (decision 47). Words in
# any case are ASCII's: (?i) would take the Kelvin sign for a k, which no lower() makes one of.
SECRETS = (
    # Query strings carry tickets and presigned URLs' signatures.
    (re.compile(r"\?[^\s\"'<>=]+=[^\s\"'<>]*"), "?" + _WITHHELD, "?"),
    (re.compile(r"\b((?ai:bearer))\s+[^\s\"',]+"), r"\1 " + _WITHHELD, "bearer"),
    (re.compile(r"\b((?ai:basic))\s+[^\s\"',]+"), r"\1 " + _WITHHELD, "basic"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), _WITHHELD, "whsec_"),
    (re.compile(r"\b(lh_[a-z2-7]{8})_[a-z2-7]+"), r"\1_" + _WITHHELD, "lh_"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), _WITHHELD, "eyj"),
    (re.compile(r"(\w://)[^/\s@\"']+@"), r"\1" + _WITHHELD + "@", "://"),
    # gunicorn quotes the line of a request that it cannot read, Celery a message of nobody's.
    (re.compile(r"(Invalid request from ip=[^\s:]+).*", re.DOTALL), r"\1", "invalid request"),
    (
        re.compile(r"(full contents of the message \w+).*", re.DOTALL),
        r"\1 " + _WITHHELD,
        "full contents",
    ),
)


def guard(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take out of each text of a line what must not be in it; a processor of structlog's."""
    for name, value in line.items():
        if type(value) is str:
            line[name] = guarded(value)
    return line


def guarded(text: str) -> str:
    """Give a text without what looks like a credential, a query string or somebody's message."""
    lowered = text.lower()
    for pattern, put, clue in SECRETS:
        if clue in lowered:
            text = pattern.sub(put, text)
    return text


def write_exception(exc_info: ExcInfo) -> str:
    """Write where an error came from, and those that led to it, without quoting what it quotes."""
    error: BaseException | None = exc_info[1]
    blocks: list[str] = []
    while error is not None and len(blocks) < _MOST_CAUSES:
        where = "".join(traceback.format_tb(error.__traceback__))
        blocks.append(f"{where}{sketch(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came from:\n".join(blocks)
