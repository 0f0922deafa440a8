"""Signature Version 4 of a call to DynamoDB: botocore's, in a quarter of its time.

Every call has the same method, path and headers, and the key is the same for a day: what is left to
do is four hashes. A test holds each signature to botocore's own. See decision 46.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime

    from botocore.credentials import ReadOnlyCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "dynamodb"
_TYPE = "application/x-amz-json-1.0"
_VERSION = "DynamoDB_20120810"
_PORTS = {"http": 80, "https": 443}  # that are not named


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs calls to one endpoint."""

    host: str
    path: str
    region: str

    @classmethod
    def of(cls, endpoint: str, *, region: str) -> Signer:
        """Read the endpoint's URL."""
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        named = parts.port not in (None, _PORTS.get(parts.scheme))
        return cls(
            host=f"{host}:{parts.port}" if named else host, path=parts.path or "/", region=region
        )

    def headers(
        self, operation: str, body: bytes, *, keys: ReadOnlyCredentials, now: datetime
    ) -> dict[str, str]:
        """Write a call's headers, its signature among them."""
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        signed = {
            "content-type": _TYPE,
            "host": self.host,
            "x-amz-date": moment,
            **({"x-amz-security-token": keys.token} if keys.token else {}),
            "x-amz-target": f"{_VERSION}.{operation}",
        }
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = f"POST\n{self.path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        day = moment[:8]
        scope = f"{day}/{self.region}/{_SERVICE}/aws4_request"
        said = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(_key(keys.secret_key, day, self.region), said.encode(), "sha256")
        authority = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}"
        return {
            **signed,
            "authorization": f"{_ALGORITHM} {authority}, Signature={signature.hex()}",
        }


@lru_cache(maxsize=4)
def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, _SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
