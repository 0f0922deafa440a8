"""jobs.ports.ObjectStore, in memory and on S3: each promise of its docstrings."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryObjectStore
from adapters.s3 import S3ObjectStore
from jobs.delete import JobObjects
from jobs.errors import NoResult
from jobs.job import ObjectKey
from jobs.ports import ObjectStore
from tests.contracts.stories import new_id
from tests.stack import http, wait_until

if TYPE_CHECKING:
    from tests.stack import Clients, LocalStack


class Bucket(ObjectStore, JobObjects, Protocol):
    """Both views of the bucket."""


KEYS_OF_A_JOB = (
    "prompts/{}.json",
    "results/{}/1-1.txt",
    "results/{}/2-2.txt",
    "answers/{}/1.json",
)
PLAIN = "text/plain; charset=utf-8"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module", params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjectStore()
    real: ObjectStore = request.getfixturevalue("s3")
    return real


@pytest.fixture(scope="module")
def s3(clients: Clients, stand_ins: LocalStack) -> ObjectStore:
    return S3ObjectStore(client=clients.s3, bucket=stand_ins.environ["LONGHAUL_BUCKET"])


@pytest.fixture(scope="module")
def bucket(store: ObjectStore) -> Bucket:
    """Give the same store, as who deletes sees it, too."""
    return store  # type: ignore[return-value] # both implementations are both


def new_key() -> ObjectKey:
    return ObjectKey(f"results/{uuid.uuid4()}/1-1.txt")


def status_of(url: str) -> int:
    return http.get(url).status_code


@pytest.mark.parametrize(
    "text",
    ["", "plain", "Zoë drinks ☕ with 👩‍🚀\r\n\x00\ufeff", "ü" * 1_000_000],
    ids=["empty", "plain", "emoji", "2 MB"],
)
def test_a_text_reads_back_as_it_was_put(store: ObjectStore, text: str) -> None:
    key = new_key()

    store.put(key, text, content_type=PLAIN)

    assert store.get(key) == text


@given(text=st.text())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_reads_back_as_it_was_put(store: ObjectStore, text: str) -> None:
    key = new_key()

    store.put(key, text, content_type=PLAIN)

    assert store.get(key) == text


def test_the_same_key_is_overwritten(store: ObjectStore) -> None:
    key = new_key()
    store.put(key, "a first and longer text", content_type=PLAIN)

    store.put(key, "a second", content_type=PLAIN)

    assert store.get(key) == "a second"


def test_a_missing_key_has_no_result(store: ObjectStore) -> None:
    with pytest.raises(NoResult):
        store.get(new_key())


def test_a_text_that_was_deleted_is_gone_and_others_stay(store: ObjectStore) -> None:
    key, other = new_key(), new_key()
    store.put(key, "gone", content_type=PLAIN)
    store.put(other, "here", content_type=PLAIN)

    store.delete(key)

    with pytest.raises(NoResult):
        store.get(key)
    assert store.get(other) == "here"


def test_what_is_not_there_can_be_deleted(store: ObjectStore) -> None:
    store.delete(new_key())


def test_all_texts_of_a_job_can_be_deleted_and_nobody_elses(bucket: Bucket) -> None:
    job_id, other = new_id(), new_id()
    keys = [ObjectKey(pattern.format(one)) for one in (job_id, other) for pattern in KEYS_OF_A_JOB]
    for key in keys:
        bucket.put(key, "text", content_type=PLAIN)

    bucket.delete_all_of(job_id)
    bucket.delete_all_of(new_id())

    for key in keys[:4]:
        with pytest.raises(NoResult):
            bucket.get(key)
    assert [bucket.get(key) for key in keys[4:]] == ["text"] * 4


def test_a_url_is_made_for_one_key(store: ObjectStore) -> None:
    key, other = new_key(), new_key()

    assert store.sign(key, lifetime=MINUTE) != store.sign(other, lifetime=MINUTE)


def test_on_s3_anyone_may_get_the_text_by_its_url(s3: ObjectStore) -> None:
    key = new_key()
    s3.put(key, "Zoë ☕", content_type=PLAIN)

    answer = http.get(s3.sign(key, lifetime=MINUTE))

    assert answer.status_code == httpx.codes.OK
    assert answer.content.decode() == "Zoë ☕"
    assert answer.headers["content-type"] == PLAIN


def test_on_s3_a_url_is_refused_after_its_lifetime(s3: ObjectStore) -> None:
    key = new_key()
    s3.put(key, "soon gone", content_type=PLAIN)

    url = s3.sign(key, lifetime=timedelta(seconds=1))

    wait_until(lambda: status_of(url) == httpx.codes.FORBIDDEN, "the URL is refused", within=10)


@pytest.mark.parametrize("part", ["X-Amz-Signature", "X-Amz-Expires", "path"])
def test_on_s3_a_url_that_was_tampered_with_is_refused(s3: ObjectStore, part: str) -> None:
    key, other = new_key(), new_key()
    s3.put(key, "yours", content_type=PLAIN)
    s3.put(other, "not yours", content_type=PLAIN)
    url = urlsplit(s3.sign(key, lifetime=MINUTE))
    query = dict(parse_qsl(url.query))

    if part == "path":
        url = url._replace(path=url.path.replace(key, other))
    else:
        query[part] = "3600" if part == "X-Amz-Expires" else query[part][::-1]
    forged = urlunsplit(url._replace(query=urlencode(query)))

    assert status_of(forged) == httpx.codes.FORBIDDEN
