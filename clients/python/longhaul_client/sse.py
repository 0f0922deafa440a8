"""Server-sent events: bytes in, messages out.

https://html.spec.whatwg.org/multipage/server-sent-events.html; lines end where it says, and not
at the other characters at which str.splitlines() would cut a text in two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r(?=[^\n]))")  # a last \r may be half a line's end


class SentEvents:
    """Reads one answer; `heard` counts its messages and comments, the signs of life."""

    def __init__(self) -> None:
        self._unread = b""
        self._data: list[str] = []
        self.heard = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """Take the next bytes and give the `data` of each message that is whole now."""
        unread = self._unread + piece
        end = 0
        for line in _LINE.finditer(unread):
            end = line.end()
            data = self._take(line[1])
            if data is not None:
                yield data
        self._unread = unread[end:]

    def _take(self, line: bytes) -> str | None:
        if not line:
            data, self._data = self._data, []
            self.heard += bool(data)
            return "\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if not name:
            self.heard += 1
        elif name == b"data":
            self._data.append(value.removeprefix(b" ").decode(errors="replace"))
        return None
