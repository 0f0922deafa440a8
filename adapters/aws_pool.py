"""Connections to one endpoint as botocore would make them, for calls that go without it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from botocore.httpsession import create_urllib3_context, get_cert_path

if TYPE_CHECKING:
    import botocore.session
    from botocore.client import BaseClient


def open_pool(
    client: BaseClient, session: botocore.session.Session, *, connections: int, is_bound: bool
) -> urllib3.HTTPConnectionPool:
    """Make a pool with a client's endpoint, time-outs and certificates.

    Where it `is_bound`, who finds all connections in use waits for one; else one more is opened.
    """
    endpoint = client.meta.endpoint_url
    config: Any = client.meta.config  # botocore sets what it was given by name
    options: dict[str, Any] = {
        "maxsize": connections,
        "block": is_bound,
        "timeout": urllib3.Timeout(connect=config.connect_timeout, read=config.read_timeout),
        "socket_options": [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(config.tcp_keepalive)),
        ],
    }
    if urlsplit(endpoint).scheme == "https":
        authorities = session.get_config_variable("ca_bundle")
        verify: Any = authorities or os.environ.get("REQUESTS_CA_BUNDLE") or True
        options["ssl_context"] = create_urllib3_context()
        options["cert_reqs"] = "CERT_REQUIRED"
        options["ca_certs"] = get_cert_path(verify)
    return urllib3.connection_from_url(endpoint, **options)
