"""Where the server is, and who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from longhaul_client.errors import SettingWrong

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "http://127.0.0.1:5000"
URL_VARIABLE = "LONGHAUL_URL"
KEY_VARIABLE = "LONGHAUL_API_KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A server's address without a slash at its end, and the key to use there."""

    url: str
    key: str | None = field(repr=False)

    @classmethod
    def named(
        cls, base_url: str | None, api_key: str | None, environ: Mapping[str, str]
    ) -> Endpoint:
        """Take what is given, else what the environment names. Raises SettingWrong."""
        url = base_url or environ.get(URL_VARIABLE) or DEFAULT_URL
        key = api_key or environ.get(KEY_VARIABLE) or None
        return cls(url=_checked_url(url), key=_checked_key(key))

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say who asks."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        fits = False
    if (
        not fits
        or not url.isprintable()
        or " " in url
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise SettingWrong(f"{url!r} is not an address such as https://longhaul.example.com")
    return url.rstrip("/")


def _checked_key(key: str | None) -> str | None:
    if key is not None and not all("!" <= letter <= "~" for letter in key):
        raise SettingWrong("the API key must be visible ASCII characters without spaces")
    return key
