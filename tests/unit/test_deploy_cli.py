"""The operator's commands, with the client beside them and without."""

from __future__ import annotations

import pytest

from deploy import cli


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

    assert capsys.readouterr().err.startswith("longhaul check: REDIS_URL is not set")


def test_users_commands_are_there_with_the_client(
    has_client: bool,  # noqa: FBT001 - a fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    help_ = capsys.readouterr().out
    assert "bootstrap" in help_
    assert ("submit" in help_) == has_client
