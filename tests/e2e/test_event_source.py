"""A browser's own EventSource, unmodified, through the death of the web process it listens to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import open_page
from tests.stack import wait_until
from tests.watcher_stage import open_stage
from tests.watchers_life import WatchersLife

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.stack import Clients, LocalStack
    from tests.watcher_stage import Stage

LISTEN = """jobId => {
    window.told = [];
    window.source = new EventSource(`/v1/jobs/${jobId}/events`);
    source.onmessage = ({ data, lastEventId }) => told.push({ ...JSON.parse(data), lastEventId });
}"""
CLOSED = 2  # EventSource.CLOSED: it does not come back any more


@pytest.fixture(scope="module")
def stage(
    stand_ins: LocalStack, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with open_stage(stand_ins, clients, tmp_path_factory.mktemp("event-source")) as opened:
        yield opened


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page() as opened:
        yield opened


def told(page: Page) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = page.evaluate("told")
    return events


def test_event_source_goes_on_where_it_was_after_its_web_process_was_killed(
    stage: Stage, page: Page
) -> None:
    class Life(WatchersLife):
        pass

    Life.stage = stage
    life = Life()
    life.submit(64 * 1024)
    life.claim(0)
    page.goto(f"{stage.webs[0].url}/healthz")  # a page of the same origin
    page.evaluate(LISTEN, life.job_id)
    life.tell_text(["before ", "it "], at_once=False)
    wait_until(lambda: len(told(page)) == 4, "the first words")

    stage.webs[0].kill()
    life.tell_text(["was ", "killed "], at_once=False)
    stage.webs[0].start()
    life.tell_text(["and ", "after"], at_once=False)
    life.complete()
    wait_until(lambda: told(page)[-1]["event"] == "job.completed", "the end")

    events = told(page)
    assert [event["seq"] for event in events] == life.record.numbers
    assert [int(event["lastEventId"]) for event in events] == life.record.numbers
    text = "".join(event.get("text", "") for event in events)
    assert text == "before it was killed and after" == life.record.result
    wait_until(lambda: page.evaluate("source.readyState") == CLOSED, "it to be told to stop")
    assert len(told(page)) == len(events)
