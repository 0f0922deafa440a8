"""A server of the standard library on loopback, in a thread of its own, for as long as a block."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], *, certificate: Path | None = None
) -> Iterator[str]:
    """Serve, by TLS where there is a certificate, and give the server's address without a path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)
