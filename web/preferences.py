"""Prefer and Idempotency-Key: what a caller asks for beside the body.

https://www.rfc-editor.org/rfc/rfc7240 and the IETF's draft of the Idempotency-Key header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import FieldProblem, InvalidRequest
from jobs.idempotency import LONGEST_KEY

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

LONGEST_WAIT = timedelta(seconds=60)
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?')
_KEY = re.compile(rf"[ -+\--~]{{1,{LONGEST_KEY}}}")  # a comma joins what was sent twice


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What of `Prefer` is kept here; whatever else it says is left alone, as the RFC wants."""

    responds_async: bool = False
    wait: timedelta | None = None

    @property
    def applied(self) -> str | None:
        """Say in `Preference-Applied` what was kept."""
        said = ["respond-async"] if self.responds_async else []
        if self.wait is not None:
            said.append(f"wait={self.wait.total_seconds():g}")
        return ", ".join(said) or None


def read_preferences(headers: Headers) -> Preferences:
    """Read `Prefer`; a longer wait than LONGEST_WAIT becomes that."""
    responds_async, wait = False, None
    for header in headers.getlist("Prefer"):
        for word in (part.partition(";")[0].strip().lower() for part in header.split(",")):
            if word == "respond-async":
                responds_async = True
            elif (found := _WAIT.fullmatch(word)) and wait is None:  # the first counts
                wait = min(timedelta(seconds=int(found[1])), LONGEST_WAIT)
    return Preferences(responds_async=responds_async, wait=wait)


def read_idempotency_key(headers: Headers) -> str | None:
    """Read `Idempotency-Key`. Raises InvalidRequest where it is there and is none."""
    name = "Idempotency-Key"
    if name not in headers:
        return None
    sent = headers.getlist(name)
    if len(sent) > 1 or not _KEY.fullmatch(sent[0].strip()):
        detail = f"must be sent once: 1 to {LONGEST_KEY} printable ASCII characters without a comma"
        problem = FieldProblem(field=name, detail=detail)
        raise InvalidRequest(f"{name} {detail}", problems=(problem,))
    return sent[0].strip()
