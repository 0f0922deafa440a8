"""A thousand sockets of one process subscribe in the same moment, as after a restart."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from bench.crowd import Crowd, handshake
from bench.process import allow_descriptors
from bench.servers import longhaul_web
from tests.stack import http

if TYPE_CHECKING:
    from tests.stack import LocalStack

SOCKETS = 1_000
SPARE_FILES = 500


def test_all_get_what_they_subscribed_to_and_requests_are_answered_meanwhile(
    stand_ins: LocalStack,
) -> None:
    key = secrets.token_hex(16)
    headers = {"Authorization": f"Bearer {key}"}
    allow_descriptors(SOCKETS + SPARE_FILES)
    with (
        longhaul_web(stand_ins, keys={"ada": key}, connections=SOCKETS) as web,
        Crowd(web.port) as crowd,
    ):
        answer = http.post(f"{web.url}/v1/jobs", json={"prompt": "Hello"}, headers=headers)
        job_id = answer.raise_for_status().json()["id"]
        crowd.open([handshake("/v1/ws", port=web.port, token=key)] * SOCKETS)
        crowd.expect(b'"type":"subscribed"', messages=SOCKETS)

        # Any error that a client is told ends the crowd with it.
        crowd.say(json.dumps({"type": "subscribe", "job_id": job_id}), clients=range(SOCKETS))
        requests = [http.get(f"{web.url}/v1/jobs/{job_id}", headers=headers) for _ in range(20)]
        crowd.wait_for_last()

    assert {answer.status_code for answer in requests} == {200}
