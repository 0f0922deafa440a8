"""The session that sends spans to a collector, and can say in a few words why it did not take them.

OpenTelemetry's exporter says of a batch no more than that it failed.
"""

from __future__ import annotations

import re
from typing import Any

import requests
from requests import exceptions

from adapters.safe_url import shown_url

_SYSTEMS_WORDS = re.compile(r"\[Errno -?\d+\] ([A-Za-z ,]+)")


class CollectorSession(requests.Session):
    """Remembers how its last request ended; used by the one thread that exports."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._end = "takes no spans"

    @property
    def problem(self) -> str:
        """Why the last batch was not taken, and where; without credentials."""
        return f"{shown_url(self._url)} {self._end}"

    def request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        """Send it; an error is passed on."""
        try:
            response = super().request(*args, **kwargs)
        except exceptions.RequestException as error:
            self._end = _why(error)
            raise
        self._end = f"refuses spans: it answers {response.status_code}"
        return response


def _why(error: Exception) -> str:
    """Say why there was no answer; the error itself quotes the whole URL."""
    match error:
        case exceptions.SSLError():
            return "cannot be reached: its certificate, or ours, is not accepted"
        case exceptions.ConnectTimeout():
            return "cannot be reached: no connection in time"
        case exceptions.ReadTimeout():
            return "hangs: it took the spans and did not answer in time"
    if found := _SYSTEMS_WORDS.search(str(error)):
        return f"cannot be reached: {found[1].strip().lower()}"
    return "breaks the connection off"
