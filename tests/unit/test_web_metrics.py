"""GET /metrics, the port of its own, and what is counted of watchers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import Client

from adapters.web_metrics import WebMetrics
from jobs.events import EventType
from tests.scrape import Scrape
from tests.unit.test_web_events import reading
from tests.unit.test_web_sockets import subscribe, talk
from tests.web_world import ADA, World, event_of
from web.app import create_app, hub_of
from web.measures import Unmeasured
from web.metrics_routes import CONTENT_TYPE, MetricsPort

if TYPE_CHECKING:
    from web.measures import Kind, Measures

KINDS: tuple[Kind, ...] = ("websocket", "sse", "wait")


@pytest.fixture
def measures() -> WebMetrics:
    return WebMetrics(default_model="amazon.nova-lite-v1:0")


def measured(world: World, measures: WebMetrics) -> World:
    world.parts = replace(world.parts, measures=measures)
    world.app = create_app(world.parts)
    world.hub = hub_of(world.app)
    return world


def scrape(measures: Measures) -> Scrape:
    return Scrape.of(measures.exposition())


@pytest.mark.parametrize("make", [Unmeasured, lambda: WebMetrics(default_model="m")])
def test_measures_never_raise_and_can_always_be_shown(make: type[Unmeasured]) -> None:
    measures: Measures = make()

    for kind in KINDS:
        measures.watcher_came(kind)
        measures.watcher_left(kind)
    measures.event_told()
    measures.caught_up(3, gaps=1)

    assert isinstance(measures.exposition(), str)


def test_the_metrics_are_text_for_prometheus_and_are_not_kept(measures: WebMetrics) -> None:
    world = measured(World(), measures)

    answer = world.client.get("/metrics", headers=ADA)

    assert answer.status_code == 200
    assert answer.content_type == CONTENT_TYPE
    assert answer.headers["Cache-Control"] == "no-store"
    assert scrape(measures).names <= Scrape.of(answer.text).names
    assert world.log.lines[-1].level == "debug"


def test_on_its_port_there_are_metrics_for_anybody_and_nothing_else(measures: WebMetrics) -> None:
    world = measured(World(), measures)
    client = Client(MetricsPort(world.app.wsgi_app, port=9464, measures=measures))
    of_metrics, public = "http://127.0.0.1:9464", "http://127.0.0.1:5000"

    assert client.get("/metrics", base_url=of_metrics).status_code == 200
    assert client.get("/healthz", base_url=of_metrics).status_code == 404
    assert client.post("/metrics", base_url=of_metrics).status_code == 404
    assert client.get("/metrics", base_url=public).status_code == 401
    assert client.get("/healthz", base_url=public).status_code == 200


def test_what_a_stream_tells_is_counted_and_so_is_its_watcher(measures: WebMetrics) -> None:
    world = measured(World(), measures)
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        while_open = scrape(measures)
        world.complete(job.id)
        world.events.publish(event_of(world.store.get(job.id), 1_000_003, EventType.COMPLETED))
        told = reader.rest()

    assert while_open.told("longhaul_watchers") == {"sse": 1}
    assert scrape(measures).told("longhaul_watchers") == {}
    counted = scrape(measures).told("longhaul_events_told_total")
    gaps = scrape(measures).value("longhaul_gaps_total")
    assert sum(counted.values()) + gaps == len(told) + 1  # the first was read before


def test_what_a_socket_tells_is_counted_live_or_from_the_log(measures: WebMetrics) -> None:
    world = measured(World(), measures)
    job = world.store.get(world.submit()["id"])
    world.complete(job.id)

    wire = talk(world, subscribe(job.id, after=0))

    events = [one for one in wire.sent if one["type"] == "event"]
    gaps = [one for one in events if one["event"] == EventType.GAP]
    assert scrape(measures).value("longhaul_gaps_total") == len(gaps)
    assert scrape(measures).told("longhaul_events_told_total") == {
        "replay": len(events) - len(gaps)
    }
    assert scrape(measures).told("longhaul_watchers") == {}
