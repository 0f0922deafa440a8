"""POST to an address that was looked at: no rebinding, no redirect, no proxy, no endless answer.

http.client of the standard library, on a socket that is opened here: that it goes to the very
address which was checked can be read, not hoped for. TLS is verified for the URL's name.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from jobs.webhook import is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import BufferedReader

_CONNECT_SECONDS = 5.0
_MOST_ANSWER_BYTES = 4096  # what a receiver says beside its status is not for us
_LONGEST_PATIENCE_TEXT = 100


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A receiver's answer: the status, and its header Retry-After where it sent one."""

    status: int
    retry_after: str | None


class CallFailed(Exception):
    """There was no answer; `reason` is one word for the log and the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def resolve(host: str, port: int) -> list[str]:
    """Look a name up. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, kw_only=True)
class PublicHttp:
    """Posts; `seconds` bounds a whole call after the name was looked up."""

    allow_loopback: bool
    seconds: float
    resolve: Callable[[str, int], list[str]] = resolve

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once and give the answer. Raises CallFailed."""
        parts = urlsplit(url)
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        address = self._checked_address(host, port)
        with (
            _failing_in_a_word(),
            self._connected(address, port) as plain,
            _secured(plain, host) if is_tls else plain as channel,
        ):
            connection = http.client.HTTPConnection(host, port)
            connection.sock = channel
            connection.response_class = _WholeResponse
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            named = {"Host": parts.netloc, **headers, "Connection": "close"}
            connection.request("POST", target, body=body, headers=named)
            response = connection.getresponse()
            answer = Answer(status=response.status, retry_after=_retry_after(response))
            with suppress(OSError, http.client.HTTPException):
                response.read(_MOST_ANSWER_BYTES)  # the status is what counts
            response.close()
            return answer

    def _checked_address(self, host: str, port: int) -> str:
        """Look the name up and give an address, if every one that it has may be called."""
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise CallFailed("name_not_found") from error
        if not addresses:
            raise CallFailed("name_not_found")
        if not all(is_public(one, allow_loopback=self.allow_loopback) for one in addresses):
            raise CallFailed("address_refused")
        return addresses[0]

    @contextmanager
    def _connected(self, address: str, port: int) -> Iterator[socket.socket]:
        """Connect to the address, and cut the line when the call's time is over."""
        within = min(_CONNECT_SECONDS, self.seconds)
        with socket.create_connection((address, port), timeout=within) as plain:
            plain.settimeout(self.seconds)
            # A second handle on the same line: whoever reads from the first is woken by its end.
            with closing(plain.dup()) as handle:
                cut = _Cut(handle)
                timer = threading.Timer(self.seconds, cut)
                timer.daemon = True
                timer.start()
                try:
                    yield plain
                except (OSError, http.client.HTTPException) as error:
                    if cut.is_made:
                        raise CallFailed("timeout") from error
                    raise
                finally:
                    timer.cancel()
                    timer.join()


class _WholeResponse(http.client.HTTPResponse):
    """A response whose headers came to their end: to http.client, any that stop have ended."""

    def begin(self) -> None:
        """Read status and headers. Raises ConnectionResetError where the line breaks off."""
        self.fp = cast("BufferedReader", _WholeLines(self.fp))
        super().begin()


class _WholeLines:
    """A file of which each line ends with its end."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file

    def readline(self, most: int = -1) -> bytes:
        """Read a line; one of more than `most` bytes is its reader's to refuse."""
        line = self._file.readline(most)
        if not line.endswith(b"\n") and len(line) != most:
            raise ConnectionResetError("the answer broke off")
        return line

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class _Cut:
    """Ends a connection, from another thread."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self.is_made = False

    def __call__(self) -> None:
        self.is_made = True
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)


def _secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _retry_after(response: http.client.HTTPResponse) -> str | None:
    value = response.getheader("Retry-After")
    return None if value is None else value[:_LONGEST_PATIENCE_TEXT]


@contextmanager
def _failing_in_a_word() -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise CallFailed("certificate_refused") from error
    except ssl.SSLError as error:
        raise CallFailed("tls_failed") from error
    except TimeoutError as error:
        raise CallFailed("timeout") from error
    except ConnectionRefusedError as error:
        raise CallFailed("connection_refused") from error
    except OSError as error:
        raise CallFailed("connection_lost") from error
    except (http.client.HTTPException, ValueError) as error:
        raise CallFailed("answer_unreadable") from error
