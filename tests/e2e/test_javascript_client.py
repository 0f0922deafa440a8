"""The JavaScript client in a browser as it is: no bundler, and a strict Content-Security-Policy."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser import open_page
from tests.node_tests import CLIENT
from tests.stack import clean_environ, wait_until
from tests.watcher_stage import Web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from tests.stack import LocalStack, System

KEY = "key-of-ada-0123456789"
PAGE = '<!doctype html><title>Client</title><script type="module" src="/client/page.js"></script>'
START = f"""
import {{ Longhaul }} from "./longhaul.js";
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
window.connections = [];
const onConnection = (connection) => connections.push(connection.state);
window.client = new Longhaul({{ apiKey: "{KEY}", onConnection }});
"""
FOLLOW = """async (prompt) => {
    const { id } = await client.jobs.create({ prompt, inference_config: { max_tokens: 30000 } });
    let text = "";
    for await (text of client.jobs.textStream(id)) window.text = text;
    const { status, result } = await client.jobs.get(id);
    return { status, isLong: Boolean(result.url), isRight: text === await client.jobs.result(id) };
}"""


@pytest.fixture
def web(
    system: System,  # noqa: ARG001 - the workers and the feed
    stand_ins: LocalStack,
    tmp_path: Path,
) -> Iterator[Web]:
    keys = {"LONGHAUL_API_KEYS": f"ada:{KEY}"}
    web = Web({**clean_environ(), **stand_ins.environ, **keys}, tmp_path / "web.log")
    try:
        web.start()
        yield web
    finally:
        web.kill()


@pytest.fixture
def page(web: Web, stand_ins: LocalStack) -> Iterator[Page]:
    objects = urlsplit(stand_ins.environ["AWS_ENDPOINT_URL_S3"])
    policy = (
        "default-src 'none'; script-src 'self'; "
        f"connect-src 'self' {objects.scheme}://{objects.netloc}"
    )

    def serve(route: Route) -> None:
        name = urlsplit(route.request.url).path.removeprefix("/client/")
        if name == "page":
            headers = {"Content-Security-Policy": policy}
            route.fulfill(body=PAGE, content_type="text/html", headers=headers)
        else:
            text = START if name == "page.js" else (CLIENT / name).read_text()
            route.fulfill(body=text, content_type="text/javascript")

    with open_page() as opened:
        opened.route(f"{web.url}/client/**", serve)
        opened.goto(f"{web.url}/client/page")
        wait_until(lambda: opened.evaluate("Boolean(window.client)"), "the client is there")
        yield opened


def test_a_page_follows_a_job_through_the_death_of_the_web_process(web: Web, page: Page) -> None:
    page.evaluate(
        f"prompt => {{ window.followed = ({FOLLOW})(prompt); }}",
        "Say it. <<stand-in: tokens=80; duration_s=5; first_token_s=0.2>>",
    )
    wait_until(lambda: page.evaluate("(window.text ?? '').length > 20"), "some text")

    web.kill()
    web.start()
    followed = page.evaluate("followed")

    assert followed == {"status": "COMPLETED", "isLong": False, "isRight": True}
    assert page.evaluate("connections.filter(state => state === 'open').length") > 1
    assert page.evaluate("refused") == []


def test_a_page_reads_a_long_result_from_the_object_store(page: Page) -> None:
    prompt = "Say it. <<stand-in: tokens=20000; tokens_per_second=40000>>"

    followed = page.evaluate(FOLLOW, prompt)

    assert followed == {"status": "COMPLETED", "isLong": True, "isRight": True}
    assert page.evaluate("refused") == []


def test_a_page_with_an_unknown_key_is_told_so(page: Page) -> None:
    refused = page.evaluate(
        """async () => {
            const { Longhaul } = await import("/client/longhaul.js");
            const nobody = new Longhaul({ apiKey: "key-of-nobody-0123456789" });
            try { for await (const _ of nobody.jobs.stream("job_" + "0".repeat(26))); }
            catch (error) { return error.code; }
        }"""
    )

    assert refused == "unauthenticated"
