"""What the tests share: the real stand-ins, and the real system, once a session."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests import stack
from tests.leash import leash
from tests.stack import Clients, LocalStack, System

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def pytest_configure() -> None:
    """Let nothing outlive this process, pytest-xdist's workers and what they start included.

    A shell lets what it runs in the background ignore SIGINT, and with it all that this starts.
    And let no process compile anew what another has, as the Makefile does: it is a quarter of the
    processor time of the unit and contract tests.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ.update(leash())
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let no garbage be looked for while there is none: all that is collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of what runs beside a test that fails."""
    report = yield
    if report.failed:
        for program in stack.started:
            report.sections.append((f"end of {program.log}", program.tail()))
    return report


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def clients(stand_ins: LocalStack) -> Iterator[Clients]:
    clients = Clients.of(stand_ins.environ)
    yield clients
    clients.close()


@pytest.fixture(scope="session")
def system(stand_ins: LocalStack) -> Iterator[System]:
    with System(stand_ins) as running:
        yield running
