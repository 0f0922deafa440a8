"""The store's calls without botocore's layers: what it would sign, read and raise, they do, too."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from adapters.aws_errors import code_of, translating
from adapters.aws_signature import Signer
from adapters.direct_dynamodb import DirectDynamoDB, connect_direct
from jobs.errors import Misconfigured, Unavailable
from tests.serving import serving
from tests.stack import environ_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
NOW = datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)
REFUSED = "ConditionalCheckFailedException"
AT_ONCE = 2


@dataclass(kw_only=True)
class Store:
    """A store that gives one answer to all, once `goes_on` is set, and remembers who asked."""

    status: int = 200
    first_status: int | None = None  # of the first answer, where it differs
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    goes_on: threading.Event = field(default_factory=threading.Event)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def serving(self) -> Iterator[str]:
        with serving(self._handler()) as address:
            yield address

    def _handler(store: Store) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                with store.lock:
                    store.asked.append(dict(self.headers.items()))
                    store.at_once += 1
                    store.most_at_once = max(store.most_at_once, store.at_once)
                store.goes_on.wait(10)
                with store.lock:
                    store.at_once -= 1
                is_first = len(store.asked) == 1
                self.send_response((is_first and store.first_status) or store.status)
                for name, value in store.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(store.body)))
                self.end_headers()
                self.wfile.write(store.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def of(address: str, *, for_callers: bool = False, **environ: str) -> DirectDynamoDB:
    """Connect as a worker or web does whose environment names this address."""
    named = {**KEYS, "AWS_ENDPOINT_URL_DYNAMODB": address, **environ}
    with environ_of({name: value for name, value in named.items() if value}):
        client = connect_direct(connections=AT_ONCE, for_callers=for_callers)
    assert isinstance(client, DirectDynamoDB)
    return client


@contextmanager
def asking(store: Store, *, for_callers: bool = False, **environ: str) -> Iterator[DirectDynamoDB]:
    store.goes_on.set()
    with store.serving() as address:
        client = of(address, for_callers=for_callers, **environ)
        yield client
        client.close()


@given(
    endpoint=st.sampled_from(
        ["https://dynamodb.eu-west-1.amazonaws.com", "http://127.0.0.1:8000", "http://[::1]:8000/x"]
    ),
    body=st.binary(),
    secret=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1),
    token=st.none() | st.text(st.sampled_from("abc/+="), min_size=1),
)
def test_a_signature_is_botocores_own(
    endpoint: str, body: bytes, secret: str, token: str | None
) -> None:
    keys = Credentials("AKID", secret, token)

    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.GetItem",
    }
    ours = Signer.of(endpoint, service="dynamodb", region="eu-west-1").sign(
        headers, body, keys=keys.get_frozen_credentials(), now=NOW
    )

    assert ours["authorization"] == signed_by_botocore(endpoint, body, keys)


def signed_by_botocore(endpoint: str, body: bytes, keys: Credentials) -> str:
    request = AWSRequest(
        "POST",
        endpoint,
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.GetItem",
        },
        data=body,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda **_: NOW)
        SigV4Auth(keys, "dynamodb", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


def test_an_answer_is_as_it_came() -> None:
    row = {"JobId": {"S": "job_1"}, "Ö": {"L": [{"N": "1"}]}}
    body = json.dumps({"Attributes": row}).encode()
    store = Store(body=body, headers={"x-amz-crc32": str(crc32(body))})

    with asking(store) as client:
        answer = client.update_item(TableName="t", Key={"JobId": {"S": "job_1"}})

    assert answer == {"Attributes": row}
    [asked] = store.asked
    assert asked["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert asked["user-agent"].startswith("longhaul")


def test_a_session_token_goes_along() -> None:
    store = Store()

    with asking(store, AWS_SESSION_TOKEN="session") as client:
        client.get_item(TableName="t")

    assert store.asked[0]["x-amz-security-token"] == "session"


def test_a_refusal_has_its_name_and_the_row_that_refused() -> None:
    row = {"JobId": {"S": "job_1"}}
    said = {"__type": f"com.amazonaws.dynamodb.v20120810#{REFUSED}", "message": "no", "Item": row}
    store = Store(status=400, body=json.dumps(said).encode())

    with asking(store) as client, pytest.raises(ClientError) as raised:
        client.put_item(TableName="t")

    error = raised.value
    assert (code_of(error), error.response["Error"]["Message"]) == (REFUSED, "no")
    assert error.response.get("Item") == row
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.operation_name == "PutItem"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"__type": "x#ProvisionedThroughputExceededException"}', Unavailable),
        (500, b'{"__type": "x#InternalServerError", "Message": "no"}', Unavailable),
        (502, b"<html>Bad gateway</html>", Unavailable),
        (503, b"[]", Unavailable),
        (400, b'{"__type": "x#AccessDeniedException"}', Misconfigured),
        (400, b'{"__type": "x#ExpiredTokenException"}', Misconfigured),
    ],
    ids=["throttled", "internal", "no JSON", "no object", "denied", "expired"],
)
def test_a_store_that_is_busy_or_refuses_us_is_told_in_our_words(
    status: int, body: bytes, error: type[Exception]
) -> None:
    with (
        asking(Store(status=status, body=body)) as client,
        pytest.raises(error),
        translating("store"),
    ):
        client.delete_item(TableName="t")


def test_an_answer_that_changed_on_its_way_is_none() -> None:
    store = Store(headers={"x-amz-crc32": "1"})

    with asking(store) as client, pytest.raises(Unavailable), translating("store"):
        client.get_item(TableName="t")


def test_a_store_that_is_away_is_unavailable() -> None:
    with serving(BaseHTTPRequestHandler) as address:
        pass

    with pytest.raises(Unavailable), translating("store"):
        of(address).get_item(TableName="t")


def test_who_has_no_keys_is_told_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = str(tmp_path_factory.mktemp("none") / "none")
    environ = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_CONFIG_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    with pytest.raises(Misconfigured), translating("store"):
        of("http://127.0.0.1:1", for_callers=False, **environ).get_item(TableName="t")


def test_a_call_is_made_once() -> None:
    store = Store(status=500)

    with asking(store) as client, pytest.raises(ClientError):
        client.get_item(TableName="t")

    assert len(store.asked) == 1


def test_a_callers_call_is_made_twice_where_the_store_is_busy() -> None:
    store = Store(status=503)

    with asking(store, for_callers=True) as client, pytest.raises(ClientError):
        client.get_item(TableName="t")

    assert len(store.asked) == 2


def test_a_callers_call_is_answered_by_a_store_that_is_there_again() -> None:
    store = Store(first_status=500)

    with asking(store, for_callers=True) as client:
        assert client.get_item(TableName="t") == {}

    assert len(store.asked) == 2


def test_a_callers_call_that_is_refused_is_made_once() -> None:
    store = Store(status=400, body=json.dumps({"__type": f"x#{REFUSED}"}).encode())

    with asking(store, for_callers=True) as client, pytest.raises(ClientError):
        client.put_item(TableName="t")

    assert len(store.asked) == 1


def test_an_answer_that_is_no_json_is_not_dynamodbs() -> None:
    store = Store(body=b"<html>Welcome to the hotel</html>")

    with asking(store) as client, pytest.raises(Unavailable), translating("store"):
        client.get_item(TableName="t")


def test_a_caller_who_finds_all_connections_in_use_opens_another() -> None:
    store = Store()
    with store.serving() as address, ThreadPoolExecutor(AT_ONCE + 3) as pool:
        client = of(address, for_callers=True)
        calls = [pool.submit(client.get_item, TableName="t") for _ in range(AT_ONCE + 3)]
        wait_until(lambda: store.at_once == AT_ONCE + 3, "all are asking")
        store.goes_on.set()

        assert [call.result(30) for call in calls] == [{}] * (AT_ONCE + 3)
        client.close()


def test_who_finds_all_connections_in_use_waits_for_one() -> None:
    store = Store()
    with store.serving() as address, ThreadPoolExecutor(AT_ONCE + 3) as pool:
        client = of(address)
        calls = [pool.submit(client.get_item, TableName="t") for _ in range(AT_ONCE + 3)]
        store.goes_on.set()
        answers = [call.result(30) for call in calls]
        client.close()

    assert answers == [{}] * (AT_ONCE + 3)
    assert store.most_at_once <= AT_ONCE


def test_who_waits_in_vain_for_a_connection_is_told_that_the_store_is_away() -> None:
    store = Store()
    with store.serving() as address, ThreadPoolExecutor(1) as pool:
        client = of(address)
        hurried = DirectDynamoDB(
            credentials=client.credentials,
            signer=client.signer,
            user_agent=client.user_agent,
            pool=urllib3.HTTPConnectionPool(
                client.pool.host, client.pool.port, maxsize=1, block=True
            ),
            waits=0.05,
            tries=1,
        )
        first = pool.submit(hurried.get_item, TableName="t")
        wait_until(lambda: store.asked, "the first has the connection")

        with pytest.raises(Unavailable), translating("store"):
            hurried.get_item(TableName="t")

        store.goes_on.set()
        assert first.result(30) == {}
        hurried.close()


def test_a_way_through_a_proxy_is_botocores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with environ_of(KEYS):
        client = connect_direct(connections=AT_ONCE)

    assert not isinstance(client, DirectDynamoDB)
    client.close()


def test_certificates_are_checked_against_the_authorities_that_aws_names() -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"

    client = of("https://dynamodb.eu-west-1.amazonaws.com", AWS_CA_BUNDLE=bundle)

    pool = client.pool
    assert isinstance(pool, urllib3.HTTPSConnectionPool)
    assert (pool.cert_reqs, pool.ca_certs) == ("CERT_REQUIRED", bundle)
