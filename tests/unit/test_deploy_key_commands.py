"""The operator's commands on keys, over keys in memory."""

import json

import pytest

from adapters.memory_keys import MemoryApiKeys
from deploy.cli import main
from jobs.keys import prefix_of

REFUSED = 2


class Operator:
    """Who runs `longhaul keys ...`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.keys = MemoryApiKeys()
        self.output = self.errors = ""

    def run(self, *arguments: str) -> int:
        try:
            status = main(["keys", *arguments])
        except SystemExit as end:  # argparse's own way out
            status = int(str(end.code))
        self.output, self.errors = self._capsys.readouterr()
        return status


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    operator = Operator(capsys)
    monkeypatch.setattr("deploy.key_commands.read_settings", lambda _: None)
    monkeypatch.setattr("deploy.key_commands.open_api_keys", lambda _: operator.keys)
    return operator


def test_a_new_key_stands_alone_on_stdout_and_is_never_shown_again(operator: Operator) -> None:
    assert operator.run("create", "--user", "ada", "--label", "CI") == 0
    token = operator.output.strip()
    prefix = prefix_of(token)
    assert prefix is not None
    assert token not in operator.errors
    key = operator.keys.get(prefix)
    assert key is not None
    assert key.is_of(token)
    assert sorted(key.scopes) == ["jobs:read", "jobs:write"]

    operator.run("list")
    assert f"{prefix}...{token[-4:]}  ada" in operator.output
    assert token not in operator.output
    operator.run("list", "--json")
    assert token not in operator.output
    assert [listed["label"] for listed in json.loads(operator.output)] == ["CI"]


def test_scopes_and_an_end_can_be_named(operator: Operator) -> None:
    operator.run("create", "--user", "ada", "--scope", "admin", "--expires-in", "90d", "--json")

    made = json.loads(operator.output)
    assert made["scopes"] == ["admin"]
    assert made["expires_at"] > made["created_at"]
    assert made["key"].startswith(made["prefix"])


def test_keys_are_listed_by_user(operator: Operator) -> None:
    assert operator.run("list") == 0
    assert operator.output == "no keys\n"
    operator.run("create", "--user", "ada")
    operator.run("create", "--user", "bob")

    operator.run("list", "--user", "bob")

    assert "bob" in operator.output
    assert "ada" not in operator.output


def test_a_key_is_revoked_by_its_prefix_or_by_itself(operator: Operator) -> None:
    operator.run("create", "--user", "ada", "--json")
    made = json.loads(operator.output)

    assert operator.run("revoke", made["prefix"]) == 0
    first = operator.output
    assert operator.run("revoke", made["key"]) == 0

    assert operator.output == first
    assert made["key"] not in operator.output
    key = operator.keys.get(made["prefix"])
    assert key is not None
    assert key.revoked_at is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "--user", "a b"),
        ("create", "--user", "ada", "--scope", "jobs:all"),
        ("create", "--user", "ada", "--expires-in", "0d"),
        ("create", "--user", "ada", "--expires-in", "90"),
        ("create", "--user", "ada", "--expires-in", "99999d"),
        ("create", "--user", "ada", "--label", "a\nb"),
        ("revoke", "lh_aaaaaaaa"),
        ("revoke", "hunter2-hunter2"),
    ],
)
def test_what_does_not_fit_is_refused_and_makes_nothing(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    assert operator.run(*arguments) == REFUSED
    assert operator.output == ""
    assert "hunter2" not in operator.errors
    assert operator.keys.find(None) == []
