"""Callers with tokens: what is believed, and when the issuer is asked for its keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest

from adapters.jwks import LIFETIME, PAUSE, STALE, IssuerKeys, Jwks, read_jwks
from adapters.memory import ManualClock
from adapters.safe_url import is_safe_url
from adapters.tokens import LEEWAY, TokenCallers, TokenTerms
from jobs.caller import Scope
from jobs.errors import LonghaulError, Unauthenticated, Unavailable
from jobs.outage import Outage
from tests.builders import RecordingLog
from tests.issuer import AUDIENCE, Issuer, SigningKey

RSA, OTHER_RSA = SigningKey.rsa("rsa"), SigningKey.rsa("other")


@dataclass
class Door:
    """A process that believes one issuer, by a clock of the test's."""

    terms: dict[str, str] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    log: RecordingLog = field(default_factory=RecordingLog)
    fetches: int = 0
    is_away: bool = False

    def __post_init__(self) -> None:
        self.issuer = Issuer(keys=[RSA], now=self.clock.now)
        keys = IssuerKeys(
            self._fetch,
            clock=self.clock,
            outage=Outage("issuer", clock=self.clock, log=self.log),
        )
        terms = TokenTerms(issuer=self.issuer.url, audience=AUDIENCE, **self.terms)
        self.callers = TokenCallers(terms=terms, keys=keys, clock=self.clock)

    def _fetch(self) -> Jwks:
        self.fetches += 1
        if self.is_away:
            raise Unavailable("issuer", "away (test)")
        return read_jwks(self.issuer.jwks)

    def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.callers.identify(token)
        assert token not in str(refused.value)
        return str(refused.value)


@pytest.fixture
def door() -> Door:
    return Door()


def b64(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_token_says_who_comes_what_they_may_do_and_until_when(door: Door) -> None:
    caller = door.callers.identify(door.issuer.token("auth0|ada"))

    assert caller.user == "oidc:auth0|ada"
    assert caller.scopes == {Scope.READ, Scope.WRITE}
    assert caller.expires_at == door.clock.now() + timedelta(hours=1) + LEEWAY
    assert caller.key is None


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        SigningKey(kid="rsa", algorithm="PS384", private=RSA.private),
        SigningKey(kid="rsa", algorithm="RS512", private=RSA.private),
        SigningKey.ec("ec"),
        SigningKey.ed("ed"),
    ],
    ids=lambda key: key.algorithm,
)
def test_every_asymmetric_algorithm_is_taken(door: Door, key: SigningKey) -> None:
    door.issuer.keys = [key]

    assert door.callers.identify(door.issuer.token()).user == "oidc:ada"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("admin", {Scope.ADMIN}),
        (["jobs:read", 7, "x"], {Scope.READ}),
        ("jobs:readjobs:write Jobs:Read", set()),
        (None, set()),
        (7, set()),
        ({"jobs:read": 1}, set()),
    ],
)
def test_scopes_that_are_not_ours_open_nothing(door: Door, scope: Any, scopes: set[Scope]) -> None:  # noqa: ANN401 - JSON
    assert door.callers.identify(door.issuer.token(scope=scope)).scopes == scopes


def test_other_claims_may_name_user_and_scopes_and_no_prefix_may_lead_them() -> None:
    door = Door(terms={"user_claim": "email", "scope_claim": "roles", "prefix": ""})

    caller = door.callers.identify(door.issuer.token(email="a@b.c", roles=["admin"]))

    assert caller.user == "a@b.c"
    assert caller.scopes == {Scope.ADMIN}


@pytest.mark.parametrize("sub", [None, "", "a b", "a\nb", "ü", "x" * 129, "*", "a/b"])
def test_a_user_that_fits_nowhere_is_refused(door: Door, sub: str | None) -> None:
    token = door.issuer.token(sub=sub)  # type: ignore[arg-type] # None: no such claim

    assert "sub" in door.refusal(token)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "do not hold"),
        ({"aud": []}, "do not hold"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": None}, "do not hold"),
        ({"exp": None}, "do not hold"),
        ({"exp": 1}, "over"),
        ({"exp": 1e300}, "no time"),
        ({"exp": "tomorrow"}, "no time"),
        ({"exp": True}, "no time"),
        ({"exp": -1}, "no time"),
        ({"nbf": 4102444800}, "not count yet"),
        ({"iat": 4102444800}, "not count yet"),
        ({"nbf": [1]}, "no time"),
    ],
)
def test_a_token_that_is_not_for_us_and_for_now_is_refused(
    door: Door, claims: dict[str, Any], words: str
) -> None:
    assert words in door.refusal(door.issuer.token(**claims))


def test_a_token_counts_a_moment_longer_and_sooner_than_it_says(door: Door) -> None:
    def at(moment: timedelta) -> int:
        return int((door.clock.now() + moment).timestamp())

    late = door.issuer.token(exp=at(-LEEWAY / 2))
    early = door.issuer.token(nbf=at(LEEWAY / 2), iat=at(LEEWAY / 2))

    assert door.callers.identify(late).user == door.callers.identify(early).user == "oidc:ada"
    door.clock.advance(LEEWAY)
    assert "over" in door.refusal(late)


def test_among_many_audiences_ours_is_enough(door: Door) -> None:
    token = door.issuer.token(aud=["other", AUDIENCE])

    assert door.callers.identify(token).user == "oidc:ada"


def test_a_token_that_nobody_signed_is_refused(door: Door) -> None:
    header, payload, signature = door.issuer.token().split(".")
    for alg in ("none", "None", "NONE", ""):
        assert door.refusal(f"{b64({'alg': alg, 'kid': 'rsa'})}.{payload}.")
        assert door.refusal(f"{b64({'alg': alg, 'kid': 'rsa'})}.{payload}.{signature}")
    assert door.refusal(f"{header}.{payload}.")
    changed = b64({**json.loads(base64.urlsafe_b64decode(payload + "==")), "sub": "bob"})
    assert door.refusal(f"{header}.{changed}.{signature}")


def test_the_public_key_is_no_secret_to_sign_with(door: Door) -> None:
    payload = door.issuer.token().split(".")[1]
    for secret in (RSA.public_pem, json.dumps(RSA.jwk).encode()):
        signed = f"{b64({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{payload}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        assert "signed" in door.refusal(f"{signed}.{b64(mac)}")


def test_a_key_of_someone_else_under_the_issuers_id_is_refused(door: Door) -> None:
    token = door.issuer.token()
    forger = SigningKey(kid="rsa", algorithm="RS256", private=OTHER_RSA.private)
    mine, door.issuer.keys = door.issuer.keys, [forger]
    forged = door.issuer.token()
    door.issuer.keys = mine

    assert door.callers.identify(token).user == "oidc:ada"
    assert "do not hold" in door.refusal(forged)


def test_a_key_that_the_token_brings_along_is_not_believed(door: Door) -> None:
    claims = jwt.decode(door.issuer.token(), options={"verify_signature": False})
    token = jwt.encode(
        claims,
        OTHER_RSA.private,
        algorithm="RS256",
        headers={"kid": "rsa", "jwk": OTHER_RSA.jwk, "jku": "https://evil.example/jwks"},
    )

    assert door.refusal(token)


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "é.é.é",
        ".".join([b64("x")] * 3),
        f"{b64([])}.{b64({})}.x",
        f"{b64(b'[' * 5000)}.{b64({})}.x",
        f"{b64({'alg': 7, 'kid': 7})}.{b64({})}.eA",
        f"{b64({'alg': ['RS256'], 'kid': 'rsa'})}.{b64({})}.eA",
        f"{b64({'alg': 'RS256', 'crit': ['x']})}.{b64({})}.eA",
    ],
)
def test_what_is_no_token_is_refused_and_nothing_breaks(door: Door, token: str) -> None:
    assert door.refusal(token)


def test_the_issuer_is_asked_once_while_its_keys_are_good(door: Door) -> None:
    for _ in range(5):
        door.callers.identify(door.issuer.token())
    assert door.fetches == 1

    door.clock.advance(LIFETIME)
    door.callers.identify(door.issuer.token())
    assert door.fetches == 2


def test_a_new_key_is_found_at_once_and_an_old_one_forgotten(door: Door) -> None:
    old = door.issuer.token()
    door.callers.identify(old)
    door.clock.advance(PAUSE)
    door.issuer.keys = [OTHER_RSA]

    assert door.callers.identify(door.issuer.token()).user == "oidc:ada"
    assert door.fetches == 2
    assert door.refusal(old)


def test_made_up_key_ids_do_not_make_us_ask_again_and_again(door: Door) -> None:
    door.callers.identify(door.issuer.token())
    door.issuer.keys.append(OTHER_RSA)
    made_up = door.issuer.token()
    door.issuer.keys.pop()

    for _ in range(50):
        assert door.refusal(made_up)
        door.clock.advance(timedelta(milliseconds=10))
    assert door.fetches == 1


def test_while_the_issuer_is_away_its_old_keys_go_on_for_a_day(door: Door) -> None:
    door.callers.identify(door.issuer.token())
    door.is_away = True
    door.clock.advance(STALE - timedelta(seconds=1))

    assert door.callers.identify(door.issuer.token()).user == "oidc:ada"
    assert [line.event for line in door.log.lines] == ["part_away"]
    door.clock.advance(PAUSE)
    with pytest.raises(Unavailable):
        door.callers.identify(door.issuer.token())


def test_who_could_not_ask_the_issuer_does_not_say_that_a_token_is_wrong(door: Door) -> None:
    door.is_away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            door.callers.identify(door.issuer.token())
    assert door.fetches == 1

    door.is_away = False
    door.clock.advance(PAUSE)
    assert door.callers.identify(door.issuer.token()).user == "oidc:ada"


def test_a_token_without_a_key_id_is_taken_where_there_is_one_key(door: Door) -> None:
    claims = jwt.decode(door.issuer.token(), options={"verify_signature": False})
    token = jwt.encode(claims, RSA.private, algorithm="RS256")

    assert door.callers.identify(token).user == "oidc:ada"
    door.issuer.keys.append(OTHER_RSA)
    door.clock.advance(LIFETIME)
    assert door.refusal(token)


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {**RSA.jwk, "use": "enc"},
        {**RSA.jwk, "alg": "HS256"},
        {**RSA.jwk, "alg": "RSA-OAEP"},
        {**RSA.jwk, "n": "%"},
        {"kty": "RSA", "kid": "x"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": ["RSA"]},
        SigningKey.rsa("weak", bits=1024).jwk,
        "RSA",
        None,
    ],
)
def test_keys_that_sign_nothing_or_not_well_are_left_out(jwk: Any) -> None:  # noqa: ANN401 - JSON
    assert list(read_jwks({"keys": [jwk, OTHER_RSA.jwk]})) == ["other"]


def test_a_key_signs_by_its_own_algorithm_only() -> None:
    [key] = read_jwks({"keys": [{**RSA.jwk, "alg": "RS384"}]}).values()

    assert key.algorithms == {"RS384"}
    with pytest.raises(LonghaulError):
        read_jwks({"keys": "x"})


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://issuer.example/realms/a", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost/x", True),
        ("http://issuer.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("ftp://127.0.0.1", False),
        ("issuer.example", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_keys_come_by_tls_or_from_this_machine(url: str, *, is_safe: bool) -> None:
    assert is_safe_url(url) is is_safe
