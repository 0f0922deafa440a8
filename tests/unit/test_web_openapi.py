"""/openapi.json: a right document, and one that knows every call and every answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from jobs.errors import LonghaulError
from jobs.job import Inline
from tests.asyncapi import objects_in
from tests.openapi import CallContract
from tests.unit.test_web_deliveries import SIGNED
from tests.unit.test_web_deliveries import told as end_with_webhook
from tests.web_world import ADA, World
from web.headers import HEADERS
from web.problems import ANSWERS
from web.routes import Route, routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.test import TestResponse


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = World().client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.fixture(scope="module")
def contract(document: dict[str, Any]) -> CallContract:
    return CallContract(document)


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    wrong = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]

    assert document["openapi"].startswith("3.1.")
    assert not wrong


def test_the_validator_would_see_a_mistake(document: dict[str, Any]) -> None:
    mistaken = {**document, "paths": {"/healthz": {"get": {"responses": {"200": {}}}}}}

    assert list(OpenAPIV31SpecValidator(mistaken).iter_errors())


def test_every_route_is_described_and_nothing_else_is(contract: CallContract) -> None:
    served = {
        (re.sub(r"<(\w+)>", r"{\1}", route.path), route.method.lower())
        for route in routes_of(World().app)
    }

    assert {(path, method) for path, method, _ in contract.operations()} == served


def test_a_route_without_a_description_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="call"):
        Route(name="x", path="/x", view=lambda: None, scope=None)  # type: ignore[call-arg, arg-type, return-value] # the point


def test_every_call_says_what_it_does_in_words(document: dict[str, Any]) -> None:
    contract = CallContract(document)
    names = [operation["operationId"] for _, _, operation in contract.operations()]

    assert len(set(names)) == len(names)
    assert {tag["name"] for tag in document["tags"]} == {
        tag for _, _, operation in contract.operations() for tag in operation["tags"]
    }
    for _, _, operation in contract.operations():
        assert operation["summary"]
        for status, told in operation["responses"].items():
            assert contract.resolve(told)["description"], (operation["operationId"], status)


def test_every_parameter_of_a_path_is_described(contract: CallContract) -> None:
    for path, _, operation in contract.operations():
        told = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)}", path))


def test_every_call_with_a_scope_names_it_and_may_refuse(contract: CallContract) -> None:
    scopes = {route.call.operation: route.scope for route in routes_of(World().app)}

    for _, _, operation in contract.operations():
        scope = scopes[operation["operationId"]]
        assert operation["security"] == ([] if scope is None else [{"bearer": [scope]}])
        if scope is not None:
            assert {"401", "403", "503"} <= set(operation["responses"])
            assert f"`{scope}`" in operation["description"]


def test_each_reference_leads_somewhere_and_each_component_is_used(
    document: dict[str, Any],
) -> None:
    contract = CallContract(document)
    references = {found["$ref"] for found in objects_in(document) if "$ref" in found}

    for reference in references:
        contract.resolve({"$ref": reference})
    for kind in ("schemas", "responses"):
        named = {f"#/components/{kind}/{name}" for name in document["components"][kind]}
        assert named <= references


def test_each_schema_is_one_and_is_closed(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("additionalProperties") is False or "properties" not in schema, name


def test_every_problem_is_described_by_one_schema(document: dict[str, Any]) -> None:
    for told in document["components"]["responses"].values():
        [(kind, content)] = told["content"].items()
        assert kind == "application/problem+json"
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_example_is_valid(contract: CallContract) -> None:
    shown = 0
    for found in objects_in(contract.document):
        if "schema" not in found:
            continue
        values = [one["value"] for one in found.get("examples", {}).values()]
        for value in values + ([found["example"]] if "example" in found else []):
            shown += 1
            wrong = contract.problems_with(found["schema"], value)
            assert not wrong, f"{value} is no example: {wrong}"

    assert shown > 40


def test_every_call_with_a_json_body_or_answer_shows_an_example(contract: CallContract) -> None:
    for _, _, operation in contract.operations():
        told = [contract.resolve(one) for one in operation["responses"].values()]
        for part in (operation.get("requestBody", {}), *told):
            for content in part.get("content", {}).values():
                if "$ref" in content["schema"]:
                    assert "example" in content or "examples" in content


def test_every_link_names_a_call_and_its_parameters(contract: CallContract) -> None:
    parameters = {
        operation["operationId"]: {one["name"] for one in operation.get("parameters", ())}
        for _, _, operation in contract.operations()
    }

    links = [
        link
        for _, _, operation in contract.operations()
        for told in operation["responses"].values()
        for link in contract.resolve(told).get("links", {}).values()
    ]

    assert links
    for link in links:
        assert set(link["parameters"]) <= parameters[link["operationId"]]


def test_every_header_that_is_described_is_used(document: dict[str, Any]) -> None:
    used = {
        name
        for found in objects_in(document)
        if isinstance(found.get("headers"), dict) and "description" in found  # an answer's
        for name in found["headers"]
    }

    assert used == set(HEADERS)


def test_every_refusal_has_a_status() -> None:
    for route in routes_of(World().app):
        for kind in route.call.refusals:
            assert kind in ANSWERS
            assert kind is not LonghaulError


BODIES: list[dict[str, Any]] = [
    {"prompt": " "},
    {"prompt": "x", "messages": [{"role": "user", "content": [{"text": "x"}]}]},
    {"prompt": "x", "body": {"a": 1}},
    {},
    {"prompt": None},
    {"messages": []},
    {"messages": [{"role": "user", "content": [{}]}]},
    {"messages": [{"role": "user", "content": [{"text": "x", "image": {}}]}]},
    {"body": {}},
    {"body": {"a": 1}, "system": "x"},
    {"body": {"a": 1}, "inference_config": {}},
    {"prompt": "x", "model": "a b"},
    {"prompt": "x", "model": ""},
    {"prompt": "x", "unknown": 1},
]
GOOD_BODIES: list[dict[str, Any]] = [
    {"prompt": "x", "messages": None, "body": None, "system": "y"},
    {"messages": [{"role": "user", "content": [{"text": "x"}]}], "prompt": None},
    {"body": {"a": 1}, "system": None},
]


@pytest.mark.parametrize("body", [*BODIES, *GOOD_BODIES])
def test_the_schema_takes_a_body_exactly_where_the_server_does(
    contract: CallContract, body: dict[str, Any]
) -> None:
    answer = World().client.post("/v1/jobs", json=body, headers=ADA)

    wrong = contract.problems_with({"$ref": "#/components/schemas/JobBody"}, body)
    assert bool(wrong) == (answer.status_code == 422), wrong
    assert bool(wrong) == (body in BODIES)


class Asker:
    """Calls a world, and holds each answer against the contract."""

    def __init__(self, world: World, contract: CallContract) -> None:
        self._world = world
        self._contract = contract

    def ask(
        self,
        operation: str,
        status: int,
        *,
        headers: Mapping[str, str] = ADA,
        query: str = "",
        json: object = None,
        **path: str,
    ) -> TestResponse:
        [(address, method)] = [
            (address, method.upper())
            for address, method, one in self._contract.operations()
            if one["operationId"] == operation
        ]
        answer = self._world.client.open(
            address.format(**path) + query, method=method, headers=headers, json=json
        )
        assert answer.status_code == status, answer.text
        self._contract.take(
            operation,
            status=status,
            headers=dict(answer.headers),
            content_type=answer.content_type if answer.data else None,
            body=answer.get_json() if answer.is_json else answer.text,
        )
        return answer


def test_answers_are_as_they_are_described(document: dict[str, Any]) -> None:
    contract = CallContract(document)
    world = World(webhooks=SIGNED)
    ask = Asker(world, contract).ask

    submitted = {"prompt": "Hello", "metadata": {"a": "b"}}
    job_id = ask("submit_job", 202, json=submitted).get_json()["id"]
    keyed = {**ADA, "Idempotency-Key": "k", "Prefer": "respond-async"}
    for _ in range(2):
        other = ask("submit_job", 202, json=submitted, headers=keyed).get_json()["id"]
    ask("submit_job", 422, json={"prompt": "Bye"}, headers=keyed)
    ask("submit_job", 422, json={"nonsense": 1})
    ask("submit_job", 415)
    etag = ask("get_job", 200, job_id=job_id).headers["ETag"]
    ask("get_job", 304, job_id=job_id, headers={**ADA, "If-None-Match": etag})
    ask("get_job", 404, job_id="nonsense")
    ask("get_job", 401, job_id=job_id, headers={})
    ask("get_result", 409, job_id=job_id)
    ask("delete_job", 409, job_id=job_id)
    ask("redrive_job", 409, job_id=job_id)
    world.complete(job_id, Inline(text="Grüße"))
    ask("get_job", 200, job_id=job_id)
    ask("get_result", 200, job_id=job_id)
    ask("get_result", 422, job_id=job_id, query="?form=nonsense")
    ask("get_result", 409, job_id=job_id, query="?form=raw")
    ask("get_timeline", 200, job_id=job_id)
    ask("stream_events", 200, job_id=job_id)
    ask("stream_events", 204, job_id=job_id, query="?after=9007199254740991")
    ask("stream_events", 422, job_id=job_id, query="?after=x")
    ask("cancel_job", 200, job_id=job_id)
    ask("cancel_job", 202, job_id=other)
    ask("redrive_job", 202, job_id=other)
    ask("list_jobs", 200)
    ask("list_jobs", 422, query="?limit=0")
    ask("list_deliveries", 200, job_id=job_id)
    ask("replay_delivery", 404, job_id=job_id, delivery_id="nonsense")
    delivery = end_with_webhook(world)
    ask("list_deliveries", 200, job_id=delivery.event.job)
    ask("replay_delivery", 202, job_id=delivery.event.job, delivery_id=delivery.id)
    ask("give_ticket", 201)
    ask("delete_job", 204, job_id=job_id)
    stored = world.submit()["id"]
    world.complete(stored, world.put_result("x" * 500_000))
    ask("get_job", 200, job_id=stored)
    ask("get_result", 303, job_id=stored)
    ask("open_socket", 426)
    for operation in ("check_life", "check_readiness", "get_asyncapi", "get_openapi"):
        ask(operation, 200, headers={})
    for operation, path in (("get_docs", {}), ("get_file", {"name": "page.css"})):
        etag = ask(operation, 200, headers={}, **path).headers["ETag"]
        ask(operation, 304, headers={"If-None-Match": etag}, **path)
    ask("get_file", 404, headers={}, name="nonsense.css")
    world.hub.drain()
    ask("check_readiness", 503)


@pytest.mark.parametrize("route", [one for one in routes_of(World().app) if one.method == "GET"])
def test_where_there_is_get_there_is_head(route: Route) -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id)
    path = route.path.replace("<job_id>", job_id).replace("<name>", "page.css")

    with world.client.get(path, headers=ADA) as got, world.client.head(path, headers=ADA) as asked:
        assert (asked.status_code, asked.data) == (got.status_code, b"")
        assert asked.content_type == got.content_type
        assert asked.headers.get("ETag") == got.headers.get("ETag")


@pytest.mark.parametrize("path", ["/v1/jobs/job_x", "/v1/nowhere", "/v1/ws", "/static/x"])
def test_every_problem_has_the_trace_of_its_request(path: str, contract: CallContract) -> None:
    answer = World().client.get(path, headers=ADA)

    problem = answer.get_json()
    assert not contract.problems_with({"$ref": "#/components/schemas/Problem"}, problem)
    assert answer.headers["X-Amzn-Trace-Id"].startswith(f"Root={problem['trace_id']}")
    assert problem["instance"] == path


def test_fields_that_are_wrong_are_named_by_their_paths(contract: CallContract) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": 1}]}], "metadata": {"a": 1}}
    problem = World().client.post("/v1/jobs", json=body, headers=ADA).get_json()

    assert not contract.problems_with({"$ref": "#/components/schemas/Problem"}, problem)
    assert {one["field"] for one in problem["errors"]} == {"messages.0.content.0", "metadata.a"}
