"""The console in a real browser, on the real system: what a person does, sees and hears."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from deploy.local.environment import REPO_ROOT
from tests.browser import QUIET
from tests.documents import a_pdf
from tests.stack import clean_environ, http, wait_until
from tests.watcher_stage import Web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage

    from tests.stack import LocalStack, System

SHOTS = REPO_ROOT / ".artifacts" / "console"
KEY = "key-of-ada-0123456789"
SLOW = "Say it. <<stand-in: tokens=80; duration_s=4; first_token_s=0.2>>"
WITHIN_MS = 30_000
# What the policy refuses is told like any other error of the page.
TELL_REFUSALS = """addEventListener("securitypolicyviolation",
    (event) => console.error("refused by policy", event.violatedDirective, event.blockedURI));"""
# WCAG's contrast of each visible text with what is painted behind it; gives those below 4.5.
LOW_CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (color, under) => {
        canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (color) => color.map((part) => part / 255)
        .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (node) => {
        const above = node.parentElement ? behind(node.parentElement) : [255, 255, 255];
        return rgb(getComputedStyle(node).backgroundColor, above);
    };
    const low = [];
    for (const node of document.querySelectorAll("body *")) {
        const said = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        if (!said || !node.checkVisibility() || node.matches(":disabled, .skip, .unseen")) continue;
        const style = getComputedStyle(node);
        const under = behind(node);
        const ink = node instanceof SVGElement ? style.fill : style.color;
        const two = [light(rgb(ink, under)), light(under)].sort((a, b) => b - a);
        const contrast = (two[0] + 0.05) / (two[1] + 0.05);
        if (contrast < 4.5) low.push(`${node.textContent.slice(0, 30)}: ${contrast.toFixed(2)}`);
    }
    return low;
}"""
UNNAMED = """() => [...document.querySelectorAll("button, a, input, textarea, summary, progress")]
    .filter((node) => node.checkVisibility())
    .filter((node) => !(node.getAttribute("aria-label") || node.labels?.length
        || (!node.matches("input, textarea, progress") && node.textContent.trim())))
    .map((node) => node.outerHTML)"""
SKIPPED_LEVELS = """() => [...document.querySelectorAll("main h1, main h2, main h3")]
    .filter((node) => node.checkVisibility()).map((node) => Number(node.tagName[1]))
    .filter((level, place, all) => level > (all[place - 1] ?? 0) + 1)"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, summary, nav a, .brand")]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 44)
    .map((node) => node.textContent)"""
DROP = """(bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "dropped.pdf", { type: "application/pdf" }));
    document.querySelector("#drop").dispatchEvent(
        new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


# Paints a text whole and as it grows; gives the tags of both, and whether the code is all there.
PAINT = """async (text) => {
    const { MarkdownPainter } = await import("/static/console/painters.js");
    const paint = (pieces) => {
        const home = document.createElement("div");
        const painter = new MarkdownPainter(home);
        for (let end = pieces; end < text.length; end += pieces) {
            painter.paint(text.slice(0, end), false);
        }
        for (let turn = 0; turn < 10_000 && !painter.paint(text, true); turn += 1);
        return home;
    };
    return [text.length, 97, 5000].map((pieces) => {
        const home = paint(pieces);
        return {
            tags: [...home.children].map((one) => one.tagName.toLowerCase())
                .filter((tag, place, all) => tag !== all[place - 1]).join(" "),
            code: [...home.querySelectorAll("code")].map((one) => one.textContent).join("\\n"),
        };
    });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed"
    SHOTS.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=QUIET) as browser,
    ):
        yield browser


@contextmanager
def visit(browser: Browser, base_url: str, *, may_say: str = "$^", **terms: Any) -> Iterator[Page]:  # noqa: ANN401 - Playwright's own
    """Give the console in a profile of its own; whatever it complains of fails the test."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not re.search(may_say, message.text):
            complaints.append(message.text)

    with browser.new_context(base_url=base_url, **terms) as context:
        context.set_default_timeout(WITHIN_MS)
        context.add_init_script(TELL_REFUSALS)
        context.on("console", hear)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield new_tab(context)
    assert complaints == []


def new_tab(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    return page


@pytest.fixture
def page(browser: Browser, system: System) -> Iterator[Page]:
    with visit(browser, system.url) as page:
        yield page


def run(page: Page, prompt: str) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Run", exact=True).click()


def wait_for_status(page: Page, word: str) -> None:
    expect(page.locator("#job-status")).to_have_text(word, timeout=WITHIN_MS)


def job_of(page: Page) -> dict[str, Any]:
    job_id = page.url.rpartition("/")[2]
    origin = page.url.partition("/#")[0]
    job: dict[str, Any] = http.get(f"{origin}/v1/jobs/{job_id}").json()
    return job


def shown(page: Page) -> str:
    """Give the answer as plain text, when all of it is there."""
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false", timeout=WITHIN_MS)
    if page.get_by_role("button", name="Plain text").get_attribute("aria-pressed") == "false":
        page.get_by_role("button", name="Plain text").click()
        expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    return page.locator("#answer").text_content() or ""


def wait_for_text(page: Page, length: int) -> None:
    wait_until(lambda: len(page.locator("#answer").text_content() or "") > length, "some text")


def test_one_click_streams_an_answer(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()

    wait_for_status(page, "Completed")
    expect(page.locator("#answer h4")).not_to_have_count(0)
    expect(page.locator("#timeline-picture svg")).to_be_visible()
    page.screenshot(path=SHOTS / "completed-light.png", full_page=True)
    assert shown(page) == job_of(page)["result"]["text"]


def test_a_reload_in_mid_stream_goes_on(page: Page) -> None:
    run(page, SLOW)
    wait_for_text(page, 40)

    page.reload()

    wait_for_status(page, "Running")
    wait_for_text(page, 40)
    wait_for_status(page, "Completed")
    assert shown(page) == job_of(page)["result"]["text"]
    assert job_of(page)["attempt"] == 1


def test_a_cancelled_job_stops_and_keeps_its_text(page: Page) -> None:
    run(page, "Say it. <<stand-in: tokens=400; duration_s=60; first_token_s=0>>")
    wait_for_text(page, 20)
    picture = page.locator("#timeline-picture svg")
    expect(picture).to_have_attribute("aria-label", re.compile("writing .*, goes on"))
    page.screenshot(path=SHOTS / "writing-light.png", full_page=True)

    page.get_by_role("button", name="Cancel").click()

    wait_for_status(page, "Cancelled")
    expect(picture).not_to_have_attribute("aria-label", re.compile("goes on"))
    page.get_by_text("Every step, as a table").click()
    steps = page.locator("#timeline-steps th")
    expect(steps.last).to_have_text("partial kept", timeout=WITHIN_MS)
    assert steps.all_text_contents()[-3:] == ["first token", "cancelled", "partial kept"]
    page.screenshot(path=SHOTS / "cancelled-light.png", full_page=True)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.locator("#announcer")).to_have_text("Job: Cancelled")
    assert job_of(page)["status"] == "CANCELLED"


def test_a_failed_job_says_why_and_runs_again(page: Page) -> None:
    run(page, "Say it. <<stand-in: error=ValidationException; error_first=1; tokens=9>>")
    wait_for_status(page, "Failed")
    expect(page.locator("#job-problem")).to_contain_text("model_rejected_request")
    expect(page.locator("#job-problem")).to_contain_text(job_of(page)["trace_id"])
    page.screenshot(path=SHOTS / "failed-light.png", full_page=True)

    page.get_by_role("button", name="Run again").click()

    wait_for_status(page, "Completed")
    expect(page.locator("#job-problem")).to_be_hidden()
    assert shown(page) == job_of(page)["result"]["text"]


def test_a_throttled_job_counts_down_to_its_next_attempt(page: Page) -> None:
    run(page, "Say it. <<stand-in: throttle_first=1; tokens=9>>")

    expect(page.get_by_role("timer")).to_have_text(re.compile(r"in \d s|now"))
    expect(page.locator("#job-attempt")).to_have_text("Attempt 1 of 5")
    expect(page.locator("#timeline-picture svg")).to_have_attribute(
        "aria-label", re.compile("Back-off: waiting for the next attempt .*goes on")
    )
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SHOTS / "backing-off-dark.png", full_page=True)
    wait_for_status(page, "Completed")
    expect(page.locator("#job-attempt")).to_have_text("Attempt 2 of 5")


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_a_pdf_is_uploaded_and_read(page: Page, way: str) -> None:
    pdf = a_pdf("The harbour master counts every ship that comes in from the sea at night.")
    if way == "chosen":
        file = {"name": "chosen.pdf", "mimeType": "application/pdf", "buffer": pdf}
        page.get_by_label("Documents").set_input_files(file)  # type: ignore[arg-type] # a FilePayload
    else:
        page.evaluate(DROP, list(pdf))
    expect(page.get_by_role("listitem").filter(has_text=f"{way}.pdf")).to_contain_text("uploaded")

    run(page, "What does the document say?")

    wait_for_status(page, "Completed")
    job = job_of(page)
    steps = http.get(f"{page.url.partition('/#')[0]}/v1/jobs/{job['id']}/timeline").json()["steps"]
    assert "documents_read" in {step["step"] for step in steps}


def test_a_job_in_parts_shows_how_many_are_read(page: Page) -> None:
    text = b"A line of a report.\n" * 16_000
    file = {"name": "long.txt", "mimeType": "text/plain", "buffer": text}
    page.get_by_label("Documents").set_input_files(file)  # type: ignore[arg-type] # a FilePayload
    expect(page.get_by_role("listitem").filter(has_text="long.txt")).to_contain_text("uploaded")
    page.get_by_text("Model and options").click()
    page.get_by_label("Model", exact=True).fill("mistral.mistral-7b-instruct-v0:2")
    page.get_by_label("Most tokens of the answer").fill("2000")

    run(page, "Sum up. <<stand-in: duration_s=3>>")

    parts = page.get_by_role("progressbar", name="Parts")
    expect(parts).to_be_visible(timeout=WITHIN_MS)
    read = re.compile(r"[1-9]\d* of [1-9]\d* read")
    expect(page.locator("#parts-text")).to_have_text(read, timeout=WITHIN_MS)
    expect(page.locator("#timeline-picture svg")).to_have_attribute(
        "aria-label", re.compile("Parts: reading the parts .*, goes on")
    )
    wait_for_status(page, "Completed")
    expect(parts).to_be_hidden()


def test_an_answer_is_copied_and_downloaded_as_it_is(browser: Browser, system: System) -> None:
    said = "# Title * one &amp <b>two</b> ü  €"
    rights = ["clipboard-read", "clipboard-write"]
    with visit(browser, system.url, permissions=rights, accept_downloads=True) as page:
        expect(page.get_by_role("button", name="Copy")).to_be_hidden()
        run(page, f"Say it. <<stand-in: echo={said}>>")
        wait_for_status(page, "Completed")

        page.get_by_role("button", name="Copy").click()
        expect(page.locator("#announcer")).to_have_text("Answer copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        with page.expect_download() as event:
            page.get_by_role("button", name="Download").click()
        saved = event.value.path().read_bytes().decode()
        job = job_of(page)

    assert copied == saved == job["result"]["text"]
    assert event.value.suggested_filename == f"{job['id']}.md"


def test_a_job_that_is_not_there_is_said_plainly_and_left(browser: Browser, system: System) -> None:
    with visit(browser, system.url, may_say="404") as page:
        page.goto("/#/jobs/job_nobody")
        expect(page.get_by_role("heading", name="No such job")).to_be_visible()
        expect(page.get_by_text("Loading")).to_be_hidden()
        expect(page.get_by_role("heading", name="Answer")).to_be_hidden()
        expect(page.locator("#announcer")).to_have_text("There is no such job")
        page.screenshot(path=SHOTS / "missing-light.png")

        page.get_by_role("link", name="Run a new job").click()
        run(page, "Say it. <<stand-in: tokens=9>>")

        wait_for_status(page, "Completed")
        expect(page.get_by_role("heading", name="Answer")).to_be_visible()
        expect(page.get_by_text("It may have been deleted")).to_be_hidden()


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    page.goto("/#/whatever")

    expect(page.get_by_role("heading", name="No such page")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_be_hidden()
    page.get_by_role("link", name="Run a new job").click()
    expect(page.get_by_label("Prompt", exact=True)).to_be_visible()


def test_a_file_of_another_kind_is_refused_at_once(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    files = {"name": "photo.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
    page.get_by_label("Documents").set_input_files(files)  # type: ignore[arg-type] # a FilePayload

    refused = page.get_by_role("listitem").filter(has_text="photo.png")
    expect(refused).to_contain_text("Not taken, and no part of the job. Taken are PDF (.pdf), Word")
    expect(page.locator("#announcer")).to_contain_text("photo.png: Not taken")
    assert [url for url in asked if "/uploads" in url] == []
    refused.get_by_role("button", name="Remove photo.png").click()
    expect(refused).to_be_hidden()


def test_the_example_is_told_of_for_as_long_as_it_is_there(page: Page) -> None:
    hint = page.get_by_text("An example is filled in.")
    expect(hint).to_be_visible()

    page.get_by_label("Prompt", exact=True).fill("Say it.")

    expect(hint).to_be_hidden()


def test_a_server_that_is_gone_is_told_of_until_it_is_back(
    browser: Browser,
    system: System,  # noqa: ARG001 - the workers and the feed
    stand_ins: LocalStack,
    tmp_path: Path,
) -> None:
    web = Web({**clean_environ(), **stand_ins.environ}, tmp_path / "web.log")
    web.start()
    try:
        with visit(browser, web.url, may_say="ERR_|WebSocket") as page:
            run(page, "Say it. <<stand-in: tokens=400; duration_s=60; first_token_s=0>>")
            wait_for_text(page, 20)
            web.kill()

            banner = page.get_by_role("alert").filter(has_text="Cannot reach the server")
            expect(banner).to_be_visible(timeout=WITHIN_MS)
            page.get_by_role("button", name="Cancel").click()
            expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
            clock = page.locator("#job-clock").text_content()
            expect(page.locator("#job-problem")).to_contain_text(
                "cannot be reached", timeout=60_000
            )
            assert page.locator("#job-clock").text_content() == clock
            page.screenshot(path=SHOTS / "lost-light.png", full_page=True)

            web.start()
            expect(banner).to_be_hidden(timeout=60_000)
            expect(page.locator("#announcer")).to_have_text("The server is reached again")
            expect(page.locator("#job-problem")).to_be_hidden()
            page.get_by_role("button", name="Cancel").click()
            wait_for_status(page, "Cancelled")
    finally:
        web.kill()


def test_two_tabs_see_the_same_jobs_live(page: Page) -> None:
    other = new_tab(page.context)
    expect(other.locator("#connection")).to_have_attribute("data-state", "open")

    # long enough that a tab in the background paints it while it runs, however busy the machine
    run(page, f"Seen by both. {SLOW.replace('duration_s=4', 'duration_s=15')}")

    row = other.get_by_role("navigation", name="Jobs").get_by_role("link", name="Seen by both.")
    expect(row).to_contain_text("Running", timeout=WITHIN_MS)
    expect(row).to_contain_text("Completed", timeout=WITHIN_MS)
    row.click()
    assert shown(other) == job_of(page)["result"]["text"]


def test_a_text_never_becomes_markup(page: Page) -> None:
    evil = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> "
        "[press](javascript:alert(1)) ![p](https://a.invalid/p.png) <https://b.invalid/>."
    )
    run(page, f"<img src=x onerror=alert(1)> <<stand-in: echo={evil}>>")
    wait_for_status(page, "Completed")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")

    answer = page.locator("#answer")
    assert "<script>alert(1)</script> <img src=x onerror=alert(1)>" in (answer.text_content() or "")
    assert page.locator("main img, main script, .list img").count() == 0
    links = answer.locator("a")
    assert [one.get_attribute("href") for one in links.all()] == [
        "https://a.invalid/p.png",
        "https://b.invalid/",
    ]
    assert {one.get_attribute("rel") for one in links.all()} == {"noopener noreferrer nofollow"}
    assert shown(page) == evil


@pytest.mark.parametrize("lines", [3, 20_000])
def test_markdown_is_the_same_however_it_comes(page: Page, lines: int) -> None:
    code = "\n".join(f"x = {number}" for number in range(lines))
    text = f"# Title\n\nWords\n- one\n  1. two\n\n|a|b|\n|-|-|\n|1|2|\n\n```py\n{code}\n```\n> end"

    painted = page.evaluate(PAINT, text if lines == 3 else f"{text}\n\nmore")

    last = "blockquote div" if lines == 3 else "blockquote p div"
    tags = f"h3 p ul div pre {last}"
    assert painted == [{"tags": tags, "code": code}] * 3


def test_a_long_result_comes_from_the_object_store(page: Page) -> None:
    page.get_by_text("Model and options").click()
    page.get_by_label("Most tokens").fill("30000")
    run(page, "Say it. <<stand-in: tokens=20000; tokens_per_second=40000>>")
    wait_for_status(page, "Completed")

    url = job_of(page)["result"]["url"]
    page.reload()
    wait_for_status(page, "Completed")
    wait_for_text(page, 60_000)

    assert shown(page) == http.get(url).text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_labelled_and_readable(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of its words
    page.get_by_text("Model and options").click()
    page.screenshot(path=SHOTS / f"new-{scheme}.png")
    views = [page.evaluate(look) for look in (LOW_CONTRAST, UNNAMED, SKIPPED_LEVELS)]
    run(page, "Say it. <<stand-in: error=ValidationException; error_first=1; tokens=9>>")
    wait_for_status(page, "Failed")
    expect(page.locator("#timeline-picture svg")).to_be_visible()
    page.get_by_text("Every step, as a table").click()
    page.screenshot(path=SHOTS / f"job-{scheme}.png", full_page=True)
    views += [page.evaluate(look) for look in (LOW_CONTRAST, UNNAMED, SKIPPED_LEVELS)]

    assert views == [[]] * 6


def test_a_phone_shows_all_of_it(browser: Browser, system: System) -> None:
    size = ViewportSize(width=320, height=640)
    with visit(browser, system.url, viewport=size, has_touch=True, is_mobile=True) as page:
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        page.screenshot(path=SHOTS / "new-phone.png", full_page=True)
        expect(page.get_by_role("button", name="Theme: system")).to_have_text("Theme: system")
        expect(page.get_by_text("Live", exact=True)).to_be_in_viewport()
        expect(page.get_by_text("runs it")).to_be_hidden()
        views = [page.evaluate(SMALL_TARGETS)]
        widths = [page.evaluate("document.documentElement.scrollWidth")]
        page.get_by_role("button", name="Run", exact=True).tap()
        wait_for_status(page, "Completed")
        expect(page.locator("#timeline-picture svg")).to_be_visible()
        page.get_by_text("Every step, as a table").tap()
        page.screenshot(path=SHOTS / "job-phone.png", full_page=True)
        views.append(page.evaluate(SMALL_TARGETS))
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
        page.get_by_role("link", name="Jobs", exact=True).tap()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        page.screenshot(path=SHOTS / "list-phone.png")
        widths.append(page.evaluate("document.documentElement.scrollWidth"))

    assert widths == [320, 320, 320]
    assert views == [[], []]


def test_a_keyboard_is_enough(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the job")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    outline = page.locator("#prompt").evaluate("node => getComputedStyle(node).outlineWidth")

    page.keyboard.press("Control+a")
    page.keyboard.insert_text(SLOW)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#job-title")).to_be_focused()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")

    wait_for_status(page, "Cancelled")
    assert outline == "3px"


def test_the_theme_is_chosen_and_kept(page: Page) -> None:
    background = "() => getComputedStyle(document.body).backgroundColor || 0"
    ink = "() => getComputedStyle(document.body).color"
    light = page.evaluate(ink)

    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    page.reload()

    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ink) != light
    assert page.evaluate(background)


def test_a_key_is_asked_for_kept_in_the_tab_and_forgotten(
    browser: Browser,
    system: System,  # noqa: ARG001 - the workers and the feed
    stand_ins: LocalStack,
    tmp_path: Path,
) -> None:
    keys = {"LONGHAUL_API_KEYS": f"ada:{KEY}", "LONGHAUL_ALLOW_ANONYMOUS": "false"}
    web = Web({**clean_environ(), **stand_ins.environ, **keys}, tmp_path / "web.log")
    web.start()
    try:
        with visit(browser, web.url, may_say="401|closed before") as page:
            page.get_by_label("API key").fill("key-of-nobody-0123456789")
            page.keyboard.press("Enter")
            expect(page.locator("#sign-in-problem")).to_contain_text("The key was not taken")

            page.get_by_label("API key").fill(KEY)
            page.keyboard.press("Enter")
            run(page, "Say it. <<stand-in: tokens=9>>")
            wait_for_status(page, "Completed")
            page.reload()
            wait_for_status(page, "Completed")
            kept = page.evaluate("[sessionStorage.length, localStorage.length]")
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            after = page.evaluate("sessionStorage.length")
    finally:
        web.kill()

    assert kept == [1, 0]
    assert after == 0
