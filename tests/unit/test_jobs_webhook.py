"""Which URLs a caller may name, and which addresses may be called."""

from __future__ import annotations

import pytest

from jobs.webhook import LONGEST_URL, is_public, problem_with_url

GOOD = [
    "https://example.com",
    "https://example.com:8443/hooks/longhaul?tenant=7&x=%20",
    "https://xn--mnchen-3ya.de/",
    "https://93.184.215.14/",
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:444/x",
]
BAD = [
    "",
    "example.com",
    "ftp://example.com",
    "http://example.com/",
    "https://",
    "https:///path",
    "https://user:pass@example.com/",
    "https://@example.com/",
    "https://example.com/#part",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://exa mple.com/",
    "https://exam\r\nple.com/",
    "https://münchen.de/",
    "https://[::1",
    "https://127.0.0.1/",
    "https://10.1.2.3/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://" + "x" * LONGEST_URL,
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1"]
CLOSED = [
    "0.0.0.0",  # noqa: S104 - nobody binds here
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
    "",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_url_of_the_open_internet_is_taken(url: str) -> None:
    assert problem_with_url(url, allow_loopback=False) is None


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_or_must_not_be_called_is_refused(url: str) -> None:
    assert problem_with_url(url, allow_loopback=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/hook", "http://localhost/", "http://[::1]/"]
)
def test_loopback_and_plain_http_are_taken_where_they_are_opened(url: str) -> None:
    assert problem_with_url(url, allow_loopback=True) is None
    assert problem_with_url(url, allow_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_public(address, allow_loopback=False)


@pytest.mark.parametrize("address", CLOSED + LOOPBACK)
def test_no_other_address_may_be_called(address: str) -> None:
    assert not is_public(address, allow_loopback=False)


@pytest.mark.parametrize("address", CLOSED)
def test_opening_loopback_opens_nothing_else(address: str) -> None:
    assert not is_public(address, allow_loopback=True)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_can_be_opened(address: str) -> None:
    assert is_public(address, allow_loopback=True)
