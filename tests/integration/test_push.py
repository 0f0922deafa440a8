"""Ends told to AWS's own receivers, through real processes; nobody names a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deploy.cli import main
from tests.collector import collecting
from tests.push_stand_in import BusProxy, BusReader, PushStandIn
from tests.stack import LocalStack, System, environ_of, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUS = "ends"
BUS_WITH_SPANS = "ends-with-spans"
SOURCE = "urn:longhaul:LLM_Jobs"
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
GONE_CONNECTION = "L0SM9cOFvHcCIhw="
REFUSALS = 2


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushStandIn]:
    with PushStandIn(tmp_path_factory.mktemp("push")).running() as running:
        yield running


def settings(bus: BusProxy, aws: PushStandIn) -> dict[str, str]:
    return {
        "LONGHAUL_EVENTBRIDGE_BUS": BUS,
        "AWS_ENDPOINT_URL_EVENTBRIDGE": bus.url,
        "LONGHAUL_IOT_TOPIC": "longhaul/{user}/jobs/{job}",
        "AWS_ENDPOINT_URL_IOT_DATA_PLANE": aws.url,
        "LONGHAUL_APIGATEWAY_ENDPOINT": f"{aws.url}/_aws/execute-api/a1b2c3/prod",
        "LONGHAUL_APIGATEWAY_CONNECTION_KEY": "connection",
        "LONGHAUL_WEBHOOK_SCHEDULE": "0,1,1,1,1,1,1,1",
        "LONGHAUL_SWEEP_SECONDS": "0.5",
    }


def submit(system: System) -> str:
    body = {
        "prompt": "Say it. <<stand-in: tokens=3>>",
        "metadata": {"connection": GONE_CONNECTION},
    }
    headers = {"X-Amzn-Trace-Id": f"Root={TRACE}"}
    answer = http.post(f"{system.url}/v1/jobs", json=body, headers=headers).raise_for_status()
    return str(answer.json()["id"])


def deliveries_of(system: System, job_id: str) -> dict[str, dict[str, Any]]:
    answer = http.get(f"{system.url}/v1/jobs/{job_id}/deliveries").raise_for_status()
    return {one["kind"]: one for one in answer.json()["deliveries"]}


def states_of(system: System, job_id: str) -> list[str]:
    return [one["state"] for one in deliveries_of(system, job_id).values()]


def test_an_end_is_told_to_bus_topic_and_connection_though_the_bus_refuses_at_first(
    aws: PushStandIn, tmp_path: Path
) -> None:
    reader = BusReader(aws, BUS, source=SOURCE)
    proxy = BusProxy(behind=aws.url, refusals=REFUSALS)
    with (
        proxy.running() as bus,
        LocalStack(tmp_path / "stack") as stack,
        System(stack, settings=settings(bus, aws)) as system,
    ):
        job_id = submit(system)
        wait_until(reader.read, "the event on the bus", within=60)
        wait_until(lambda: "due" not in states_of(system, job_id), "an outcome of each kind")
        told = deliveries_of(system, job_id)

        assert {kind: one["state"] for kind, one in told.items()} == {
            "eventbridge": "delivered",
            "iot": "delivered",
            "apigateway": "disabled",
        }
        log = told["eventbridge"]["log"]
        assert [(one["status"], one["error"]) for one in log] == [
            *[(None, "throttled")] * REFUSALS,
            (200, None),
        ]
        [gone] = told["apigateway"]["log"]
        assert (gone["status"], gone["error"]) == (410, "gone")
        event_id = told["eventbridge"]["event_id"]
        assert {one["event_id"] for one in told.values()} == {event_id}

        where = f"{system.url}/v1/jobs/{job_id}/deliveries/{told['eventbridge']['id']}/replay"
        assert http.post(where).status_code == 202
        wait_until(lambda: len(reader.read()) == 2, "the replay")

    first, again = reader.events
    assert (first["source"], first["detail-type"]) == (SOURCE, "job.completed")
    assert first["resources"] == [f"{SOURCE}:{job_id}"]
    assert first["detail"]["id"] == again["detail"]["id"] == event_id
    assert first["detail"]["data"]["status"] == "COMPLETED"
    # ministack drops the header on its way to a target; this is what was put.
    assert {entry["TraceHeader"] for entry in proxy.entries} == {f"Root={TRACE}"}


def test_each_receivers_try_is_in_the_jobs_trace_and_a_later_one_links_to_it(
    aws: PushStandIn, tmp_path: Path
) -> None:
    proxy = BusProxy(behind=aws.url, refusals=1)
    aws.client("events").create_event_bus(Name=BUS_WITH_SPANS)
    with (
        collecting() as collector,
        proxy.running() as bus,
        LocalStack(tmp_path / "stack") as stack,
        System(
            stack,
            settings={
                **settings(bus, aws),
                "LONGHAUL_EVENTBRIDGE_BUS": BUS_WITH_SPANS,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            },
        ) as system,
    ):
        job_id = submit(system)
        wait_until(
            lambda: (states := states_of(system, job_id)) and "due" not in states,
            "an outcome of each kind",
            within=60,
        )

    # All processes have ended, and have said their last words.
    trace = TRACE[2:].replace("-", "")
    sends = {span.id for span in collector.named("send longhaul.announce") if span.trace == trace}
    tells = {kind: collector.named(f"tell {kind}") for kind in ("eventbridge", "iot", "apigateway")}
    for kind, spans in tells.items():
        first = spans[0]
        assert (first.trace, first.kind) == (trace, "CLIENT")
        assert first.parent in sends
        for number, span in enumerate(spans, start=1):
            assert span.facts["longhaul.job_id"] == job_id
            assert span.facts["longhaul.delivery.kind"] == kind
            assert span.facts["longhaul.delivery.try"] == number
    refused, taken = tells["eventbridge"]
    assert (refused.has_failed, refused.facts["error.type"]) == (True, "throttled")
    assert not taken.has_failed
    assert taken.trace != trace
    assert taken.links == [(trace, refused.parent)]
    # What was put is the try's own: X-Ray shows the bus under it.
    assert [entry["TraceHeader"] for entry in proxy.entries] == [
        f"Root=1-{span.trace[:8]}-{span.trace[8:]};Parent={span.id};Sampled=1"
        for span in (refused, taken)
    ]
    [told] = tells["iot"]
    assert not told.has_failed
    [gone] = tells["apigateway"]
    assert (gone.has_failed, gone.facts["http.response.status_code"]) == (True, 410)
    everything = b"".join(collector.raw)
    assert GONE_CONNECTION.encode() not in everything


def check(bus: str, aws: PushStandIn, stand_ins: LocalStack) -> int:
    environ = {
        **stand_ins.environ,
        "LONGHAUL_EVENTBRIDGE_BUS": bus,
        "AWS_ENDPOINT_URL_EVENTBRIDGE": aws.url,
    }
    with environ_of(environ):
        return main(["check"])


def test_the_operators_check_finds_the_bus(
    aws: PushStandIn, stand_ins: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.client("events").create_event_bus(Name="there")

    status = check("there", aws, stand_ins)

    assert status == 0
    assert "event bus there" in capsys.readouterr().out


def test_the_operators_check_names_a_bus_that_is_missing(
    aws: PushStandIn, stand_ins: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    status = check("missing", aws, stand_ins)

    assert status == 2
    assert "no event bus missing" in capsys.readouterr().err
