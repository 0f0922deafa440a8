"""What `longhaul doctor` says to scripts: its exit status and its JSON; and to whom mistypes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from adapters.doctor import checks_of
from adapters.settings import read_settings
from deploy import cli, doctor_command
from jobs.checkup import Check, Finding, fail, ok, skip, warn
from workers.sweep_lease import SWEEP

if TYPE_CHECKING:
    from collections.abc import Callable

WELL = ok("redis", "answers")
ODD = warn("redis durability", "no append-only file", "set appendonly to yes")
BAD = fail("workers", "none is there", "start one")
NAMED = {"REDIS_URL": "redis://127.0.0.1:1/0", "LONGHAUL_BUCKET": "a-bucket"}


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the doctor's checks find what a test names."""
    for name, value in NAMED.items():
        monkeypatch.setenv(name, value)

    def find(*found: Finding) -> None:
        checks = [
            Check(
                name=one.name,
                look=[one].copy,
                advice="",
                rests_on=(one.rests_on,) if one.rests_on else (),
            )
            for one in found
        ]
        monkeypatch.setattr(doctor_command, "checks_of", lambda *_, **__: checks)

    return find


@pytest.mark.parametrize(
    ("found", "told"),
    [((WELL,), (0, "ok")), ((WELL, ODD), (1, "warn")), ((WELL, ODD, BAD), (2, "fail"))],
    ids=["ok", "warn", "fail"],
)
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "text"])
def test_the_exit_status_is_the_worst_states(
    finding: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    found: tuple[Finding, ...],
    told: tuple[int, str],
    form: list[str],
) -> None:
    finding(*found)
    status, state = told

    assert cli.main(["doctor", *form]) == status

    written = capsys.readouterr().out
    assert (json.loads(written)["state"] if form else state) == state
    assert all(one.name in written for one in found)


def test_a_finding_in_json_has_all_that_is_known_of_it(
    finding: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finding(fail("redis", "is away", "start it"), skip("workers", "redis"))

    cli.main(["doctor", "--json"])

    said = json.loads(capsys.readouterr().out)
    assert said["findings"][1:] == [
        {
            "name": "redis",
            "state": "fail",
            "told": "is away",
            "advice": "start it",
            "rests_on": None,
        },
        {
            "name": "workers",
            "state": "skip",
            "told": "not looked at: rests on redis",
            "advice": None,
            "rests_on": "redis",
        },
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--role", "cook"], "invalid choice: 'cook'"),
        (["--url", "web:5000"], "must be such as http://host:5000"),
        (["--url", "ftp://web"], "must be such as http://host:5000"),
        (["--jsn"], "unrecognized arguments: --jsn"),
        (["now"], "unrecognized arguments: now"),
    ],
    ids=["role", "url", "scheme", "flag", "word"],
)
def test_what_is_mistyped_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *words])

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("roles", [[], ["web"], ["worker", "feed"]], ids=["none", "one", "two"])
def test_a_check_rests_on_checks_that_stand_before_it(
    monkeypatch: pytest.MonkeyPatch, roles: list[Any]
) -> None:
    for name, value in NAMED.items():
        monkeypatch.setenv(name, value)

    checks = checks_of(read_settings(NAMED), roles=roles, calls_model=True, url=None, sweep=SWEEP)

    names = [one.name for one in checks]
    assert len(set(names)) == len(names)
    for place, one in enumerate(checks):
        assert set(one.rests_on) <= set(names[:place]), one.name
