"""/asyncapi.json: a right document, and one that knows every word of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator

from jobs.events import EventType
from jobs.job import Inline, JobStatus
from tests.asyncapi import Contract, objects_in, specification
from tests.unit.test_web_sockets import subscribe, talk
from tests.web_world import World
from web.close_codes import MEANINGS, CloseCode
from web.message_models import ANSWERS, ERROR_CODES
from web.socket_messages import ClientMessage
from web.sockets import AUTH_SECONDS
from web.wire import PING_SECONDS

ROOT = Path(__file__).resolve().parents[2]
# Objects with members that are not ours alone: what else stands there is not wrong.
OPEN = {"WebhookHeaders"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = World().client.get("/asyncapi.json", headers={"Host": "longhaul.example:8443"})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def sources(pattern: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "web").glob(pattern)))


def test_the_document_is_asyncapi_3(document: dict[str, Any]) -> None:
    wrong = [
        f"{error.json_path}: {error.message}" for error in specification().iter_errors(document)
    ]

    assert document["asyncapi"] == "3.0.0"
    assert not wrong


def test_the_specification_would_see_a_mistake(document: dict[str, Any]) -> None:
    operation = {**document["operations"]["ping"], "action": "publish"}
    mistaken = {**document, "operations": {"ping": operation}}

    assert list(specification().iter_errors(mistaken))


def test_each_reference_leads_somewhere(document: dict[str, Any]) -> None:
    contract = Contract(document)
    references = {found["$ref"] for found in objects_in(document) if "$ref" in found}

    assert all(contract.resolve(reference) for reference in references)
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    messages = {f"#/components/messages/{name}" for name in document["components"]["messages"]}
    assert schemas | messages <= references


def test_each_operation_uses_messages_of_its_own_channel(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        for part in (operation, operation.get("reply", operation)):
            own = f"{part['channel']['$ref']}/messages/"
            assert all(message["$ref"].startswith(own) for message in part["messages"])


def test_each_schema_is_one_and_is_closed(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        for found in objects_in(schema):
            if "properties" in found and name not in OPEN:
                assert found["additionalProperties"] is False, name


def test_the_server_is_the_one_that_was_asked() -> None:
    client = World().client
    plain = client.get("/asyncapi.json", base_url="http://longhaul.example:8080").get_json()
    secure = client.get("/asyncapi.json", base_url="https://longhaul.example").get_json()

    assert {
        name: (server["protocol"], server["host"]) for name, server in plain["servers"].items()
    } == {
        "socket": ("ws", "longhaul.example:8080"),
        "http": ("http", "longhaul.example:8080"),
    }
    assert [server["protocol"] for server in secure["servers"].values()] == ["wss", "https"]


@pytest.mark.parametrize("host", ["", "a b", "evil.example/path", "[::1", "a.example:99999", "ä"])
def test_under_a_host_that_is_none_the_server_is_this_machine(host: str) -> None:
    answer = World().client.get("/asyncapi.json", headers={"Host": host})

    assert {server["host"] for server in answer.get_json()["servers"].values()} == {"localhost:80"}


def test_every_event_is_described(document: dict[str, Any]) -> None:
    contract = Contract(document)

    assert set(EventType) <= contract.names("socket")
    assert set(EventType) == contract.names("stream")


def test_every_message_of_a_client_is_described(document: dict[str, Any]) -> None:
    types = {
        get_args(model.model_fields["type"].annotation)[0] for model in get_args(ClientMessage)
    }
    received = {
        name
        for name, operation in document["operations"].items()
        if operation["action"] == "receive"
    }

    assert types == received
    assert types <= Contract(document).names("socket")


def test_every_message_of_the_server_is_described() -> None:
    written = set(re.findall(r'"type": "(\w+)"', sources("socket_messages.py")))

    assert written == set(ANSWERS)


def test_every_error_code_that_is_written_out_is_described() -> None:
    pattern = r'(?:_say_error\(|\berror\(code=)"(\w+)"'
    written = set(re.findall(pattern, sources("socket*.py")))

    assert written == {"too_many_messages", "events_missed"}
    assert written <= set(ERROR_CODES)


def test_every_status_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["JobStatus"]["enum"] == list(JobStatus)
    assert schemas["Ending"]["properties"]["status"]["enum"] == [
        status for status in JobStatus if status.is_terminal
    ]


def test_every_close_code_is_described_and_says_whether_to_reconnect(
    document: dict[str, Any],
) -> None:
    told = {entry["code"]: entry for entry in document["channels"]["socket"]["x-close-codes"]}

    assert set(MEANINGS) == set(CloseCode)
    assert set(told) == set(CloseCode)
    assert {code for code, entry in told.items() if entry["reconnect"]} == {
        1008,
        1011,
        1012,
        4408,
        4429,
    }
    assert all(entry["when"] and entry["means"] for entry in told.values())
    assert f"within {AUTH_SECONDS:g} seconds" in told[4401]["means"]
    assert f"for {PING_SECONDS} seconds" in told[1008]["means"]


def test_the_table_for_people_has_every_close_code_and_the_same_advice() -> None:
    text = (ROOT / "docs/api.md").read_text()
    table = text.partition("### Close codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\d, ]+) \|.*\| (.*) \|$", table, re.MULTILINE)
    advice = {
        int(code): word.startswith("yes") for codes, word in rows for code in codes.split(",")
    }

    assert advice == {code: meaning.reconnect for code, meaning in MEANINGS.items()}


@pytest.mark.parametrize("size", [5, 10_000, None])
def test_a_result_is_described_whichever_way_it_is_told(
    document: dict[str, Any], size: int | None
) -> None:
    world, contract = World(), Contract(document)
    job_id = world.submit()["id"]
    payload = world.put_result("x" * 500_000) if size is None else Inline(text="x" * size)
    world.complete(job_id, payload)

    wire = talk(world, subscribe(job_id, after=1_000_002))  # in mid-text, and without a log

    for message in wire.sent:
        contract.take("socket", message)
    assert wire.sent[-1]["result"]["bytes"] == (size or 500_000)
