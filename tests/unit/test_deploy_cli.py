"""The operator's commands, with the client beside them and without."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

from adapters.checks_rights import Role
from deploy import cli
from deploy.arguments import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = {"boto3", "botocore", "redis", "celery", "pydantic", "adapters.wiring"}


def leaves_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give the parsers that have no commands below them."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001 - its only way
    if not below:
        yield parser
    for one in below:
        for each in one.choices.values():
            yield from leaves_of(each)


@pytest.fixture(params=["with the client", "without the client"])
def has_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    has_client: bool = request.param == "with the client"
    if not has_client:
        monkeypatch.setattr(cli, "find_spec", lambda _: None)
    return has_client


def test_an_operator_is_told_what_is_not_set(
    has_client: bool,  # noqa: FBT001 - a fixture
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del has_client
    for name in ("REDIS_URL", "LONGHAUL_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    assert cli.main(["check"]) == 2

    told = capsys.readouterr().err
    assert told.startswith("longhaul check: REDIS_URL is not set")
    assert told.endswith("beside `make run`: python -m deploy.local.attach longhaul check\n")


def test_a_doctor_with_nothing_named_says_how_to_reach_the_stand_ins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("REDIS_URL", "LONGHAUL_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    assert cli.main(["doctor"]) == 2

    assert "python -m deploy.local.attach longhaul doctor\n" in capsys.readouterr().out


def test_who_has_named_a_deployment_is_not_sent_to_the_stand_ins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.delenv("LONGHAUL_BUCKET", raising=False)

    assert cli.main(["check"]) == 2

    assert capsys.readouterr().err == "longhaul check: LONGHAUL_BUCKET is not set\n"


@pytest.mark.parametrize(
    "words",
    ["--version", "--help", "list --help", "doctor --help", "keys create --help", "keys nothing"],
)
def test_nothing_that_a_command_does_not_need_is_loaded(words: str) -> None:
    script = (
        "import sys, deploy.cli\n"
        f"try: deploy.cli.main({words.split()!r})\n"
        "except SystemExit: pass\n"
        f"sys.exit(', '.join({HEAVY!r} & sys.modules.keys()) or None)\n"
    )

    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr


def test_what_each_command_runs_is_there() -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())

    runs = [leaf.get_default("run") for leaf in leaves_of(parser)]

    assert len(runs) == 11
    assert all(callable(resolve_name(run)) for run in runs)


def test_a_doctor_knows_each_role() -> None:
    assert list(Role) == list(ROLES)


def test_users_commands_are_there_with_the_client(
    has_client: bool,  # noqa: FBT001 - a fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    help_ = capsys.readouterr().out
    assert "bootstrap" in help_
    assert ("submit" in help_) == has_client


def told_of(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Give the exit status of a command that argparse ends, and all that it says."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words.split())
    told = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, told.out + told.err


@pytest.mark.parametrize("words", ["--help", "nothing", "redrive --help"])
def test_no_list_of_commands_has_one_that_nobody_types(
    words: str,
    has_client: bool,  # noqa: FBT001 - a fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, told = told_of(words, capsys)

    assert "redrive-many" not in told
    assert "redrive" in told
    assert ("--failed-since" in told) == (words != "nothing" and (has_client or words != "--help"))


@pytest.mark.parametrize("option", ["--failed-since", "--failed-since=2h", "--fail"])
@pytest.mark.usefixtures("has_client")
def test_the_plural_of_redrive_is_meant_by_its_option_however_it_is_written(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = told_of(f"redrive {option} --help", capsys)

    assert status == (0 if "=" in option else 2)
    assert "longhaul redrive [-h] --failed-since TIME" in told


@pytest.mark.parametrize(
    "words",
    [
        "drain --all --timeout nan",
        "drain --all --timeout -1",
        "drain --all --timeout 1e9",
        "drain --all --timeout soon",
        "jobs",
        "jobs --stuck --older-than 999999d",
        "jobs --stuck --older-than 0s",
        "jobs --stuck --limit 0",
        "redrive --failed-since 999999d",
        "feed",
        "feed rejected --limit x",
        "keys create --user ada --expires-in 1y",
        "doctor --role boss",
    ],
)
@pytest.mark.usefixtures("has_client")
def test_a_bad_option_is_told_in_one_line_below_the_usage(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = told_of(words, capsys)

    assert status == 2
    [error] = [line for line in told.splitlines() if ": error: " in line]
    assert error == told.splitlines()[-1]
    assert "invalid _" not in error, "a name of the program's own"


def test_the_help_of_each_command_says_what_it_does_and_how_it_ends() -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())

    for leaf in leaves_of(parser):
        told = leaf.format_help()
        assert (leaf.description or "").endswith(".")
        assert f"deploy.local.attach {leaf.prog}" in told
        assert "exit status:\n  0  " in told
