"""The errors that only a transport can meet; jobs/errors.py has the rest of the tree.

LonghaulError
├── MalformedBody             what was sent is not the JSON text it says it is
├── UnsupportedMediaType      what was sent is not JSON in UTF-8
├── OriginRefused             a page of a foreign origin wants a WebSocket, or to change something
├── HostRefused               nobody without a credential is answered under this name
├── UpgradeRequired           a WebSocket's address was called without a WebSocket's handshake
├── FileNotThere              pages have no such file
└── Draining                  this process is going away; another one answers
"""

from __future__ import annotations

from jobs.errors import LonghaulError


class MalformedBody(LonghaulError):
    """What was sent is not the JSON text it says it is."""

    code = "malformed_json"


class UnsupportedMediaType(LonghaulError):
    """What was sent is not JSON in UTF-8."""

    code = "unsupported_media_type"


class OriginRefused(LonghaulError):
    """A page of a foreign origin may not do this from its visitor's browser."""

    code = "origin_refused"


class HostRefused(LonghaulError):
    """Nobody without a credential is answered under this name."""

    code = "host_refused"


class UpgradeRequired(LonghaulError):
    """A WebSocket's address was called without a WebSocket's handshake."""

    code = "upgrade_required"


class FileNotThere(LonghaulError):
    """Pages have no such file."""

    code = "not_found"


class Draining(LonghaulError):
    """This process is going away; another one answers."""

    code = "draining"
