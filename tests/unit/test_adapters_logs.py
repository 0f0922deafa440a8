"""Log lines: one form for all, with what belongs to a job, and without what must not be in them."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from adapters import logs
from adapters.guarded_lines import SECRETS, guarded
from adapters.settings import read_settings
from jobs.errors import Unavailable
from jobs.sketch import sketch
from tests.markers import Markers
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = {"REDIS_URL": "redis://127.0.0.1:6379/0", "LONGHAUL_BUCKET": "bucket-of-tests"}
SECRET = "the prompt of ada"


@contextmanager
def log_of(form: str, level: str = "INFO") -> Iterator[io.StringIO]:
    """Configure the logs of this process, and give what is written."""
    before = structlog.get_config()
    handlers, least = logging.root.handlers[:], logging.root.level
    out = io.StringIO()
    environ = {**NEEDED, "LONGHAUL_LOG_FORMAT": form, "LONGHAUL_LOG_LEVEL": level}
    with pytest.MonkeyPatch.context() as patch, environ_of(environ):
        hooks = ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook"))
        for module, name in hooks:
            patch.setattr(module, name, getattr(module, name))
        patch.setattr(sys, "stderr", out)
        logs.configure_logs(read_settings(environ))
        try:
            yield out
        finally:
            structlog.configure(**before)
            logging.captureWarnings(capture=False)
            logging.root.handlers[:] = handlers
            logging.root.setLevel(least)


def only_line(out: io.StringIO) -> dict[str, Any]:
    [line] = out.getvalue().splitlines()
    told: dict[str, Any] = json.loads(line)
    return told


def broken(text: str) -> ValueError:
    try:
        json.loads(f"{text} is no JSON")
    except ValueError as error:
        error.args = (text,)
        return error
    raise AssertionError("it was JSON")


@contextmanager
def refusing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Unavailable("store", "answered 503") from error


def test_lines_of_libraries_have_the_job_in_whose_context_they_are() -> None:
    with log_of("json") as out, bound_contextvars(job_id="job_1", attempt=2, trace_id="1-a"):
        logging.getLogger("botocore.endpoint").warning("slow")

    line = only_line(out)
    assert (line["job_id"], line["attempt"], line["trace_id"]) == ("job_1", 2, "1-a")
    assert (line["event"], line["level"], line["logger"]) == (
        "slow",
        "warning",
        "botocore.endpoint",
    )


def test_our_debug_level_is_ours_alone() -> None:
    with log_of("json", "DEBUG") as out:
        logs.get_log().debug("looked")  # type: ignore[attr-defined] # structlog's has every level
        for name in ("botocore.endpoint", "urllib3.connectionpool", "celery", "redis"):
            logging.getLogger(name).debug("POST body=%s", SECRET)

    assert only_line(out)["event"] == "looked"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_where_and_not_what(form: str) -> None:
    with log_of(form) as out:
        try:
            with refusing():
                raise broken(SECRET)
        except Unavailable:
            logs.get_log().warning("request_failed", exc_info=True)
            logging.getLogger("gunicorn.error").exception("Error handling request")

    written = out.getvalue()
    assert SECRET not in written
    assert written.count("test_adapters_logs.py") >= 2
    assert written.count("JSONDecodeError in raw_decode") == 2
    assert "answered 503" in written


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_thread_that_ends_by_an_error_says_so_without_quoting_it(form: str) -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    with log_of(form) as out:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join(10)

    assert "thread_ended" in out.getvalue()
    assert SECRET not in out.getvalue()


class Broken:
    """Cannot be tidied up."""

    def __del__(self) -> None:
        raise ValueError(SECRET)


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_error_that_nobody_can_catch_says_so_without_quoting_it(
    form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with log_of(form):
        Broken()

    written = capfd.readouterr().err
    assert "error_passed_over" in written
    assert "ValueError in __del__" in written
    assert SECRET not in written
    if form == "json":
        assert json.loads(written)["level"] == "warning"


def test_a_librarys_line_that_cannot_be_made_is_a_line_that_does_not_quote_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with log_of("json"):
        logging.getLogger("celery.worker").warning("%d messages", SECRET)

    written = capfd.readouterr().err
    line = json.loads(written)
    assert (line["event"], line["logger"]) == ("line_broke", "celery.worker")
    assert SECRET not in written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /v1/ws?ticket=r0yC5JmbhS1L HTTP/1.1", "GET /v1/ws?[withheld] HTTP/1.1"),
        ("http://s3/b/k?X-Amz-Signature=0af1&x=1", "http://s3/b/k?[withheld]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [withheld]"),
        ("key lh_abcdefgh_ijklmnop234567", "key lh_abcdefgh_[withheld]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[withheld]"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "token [withheld]"),
        ("redis://me:word@redis:6379/0", "redis://[withheld]@redis:6379/0"),
        ("Invalid request from ip=127.0.0.1: X\nAuthoriz", "Invalid request from ip=127.0.0.1"),
        (
            "full contents of the message body was: x",
            "full contents of the message body [withheld]",
        ),
        ("did it work? yes, for job_1", "did it work? yes, for job_1"),
    ],
    ids=["ticket", "url", "bearer", "key", "whsec", "jwt", "redis", "request", "message", "plain"],
)
def test_what_looks_like_a_secret_is_taken_out_of_any_line(text: str, shown: str) -> None:
    assert guarded(text) == shown


# Letters whose other case is ASCII's, or longer than they are, stand where patterns begin and end.
_PIECES = st.sampled_from(
    [
        *("Bearer", "bASIC", "ba\u017fic", "bas\u0130c", "whsec_", "lh_abcdefgh", "_ab2", "eyJ"),
        *("?", "=", "x", ".", "a.b.c", "r://", "@", ":", "/", " ", "\xa0", "\n", '"', "'", ","),
        *("Invalid request from ip=", "INVALID REQUEST", "full contents of the message ", "EYJ"),
        *("\u0130", "\u212a", "\u03a3", "\xdf", "Full Contents", "[withheld]", "-"),
    ]
)


@given(st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_a_text_without_a_clue_has_no_secret_of_its_kind(text: str) -> None:
    searched = text
    for pattern, put, _ in SECRETS:
        searched = pattern.sub(put, searched)

    assert guarded(text) == searched


def test_an_error_that_is_not_ours_is_told_by_kind_and_place() -> None:
    assert sketch(broken(SECRET)).startswith("JSONDecodeError in raw_decode (decoder.py:")
    assert sketch(ValueError(SECRET)) == "ValueError"
    assert sketch(ConnectionRefusedError(111, "Connection refused")).endswith("Connection refused")
    assert sketch(Unavailable("store", "answered 503")).startswith("Unavailable: ")


@pytest.mark.parametrize(
    "line",
    ['{{"reason": "{}"}}', "GET /v1/ws?ticket={}", "b'{}'", "ValueError: {} is no prompt"],
    ids=["json", "query", "bytes", "error"],
)
def test_a_line_that_leaks_is_seen(line: str) -> None:
    markers = Markers()
    word = markers.make("prompt")
    markers.make("other")

    [leak] = markers.leaks(f"fine\n{line.format(word)}\nfine")

    assert leak.startswith("prompt: ")


def test_a_leak_in_base64_is_seen_wherever_it_begins() -> None:
    import base64  # noqa: PLC0415 - used here alone

    markers = Markers()
    word = markers.make("prompt")

    for before in ("", "a", "ab", "abc"):
        coded = base64.b64encode(f"{before}{word} and more".encode()).decode()
        assert markers.leaks(f"body={coded}"), before


def test_what_is_too_short_to_be_sure_of_is_not_looked_for() -> None:
    with pytest.raises(AssertionError, match="too short"):
        Markers().add("key", "abc")
