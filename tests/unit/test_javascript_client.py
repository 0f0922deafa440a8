import json
import re
import sys
from pathlib import Path

import pytest

from jobs.events import EventType
from jobs.job import JobStatus
from tests.node_tests import CLIENT, node_tests, run_node
from web.close_codes import MEANINGS, CloseCode, Meaning

MODULES = sorted(CLIENT.glob("*.js"))
IMPORTED = re.compile(r'(?:^|[^@\w] *)(?:import|from)\s*\(?\s*"([^"]+)"', re.MULTILINE)
# What a strict Content-Security-Policy refuses, or what lets a text become markup.
REFUSED = re.compile(r"\beval\b|\bnew Function\b|innerHTML|document\.write|setAttribute\(.on")


def exports_of(module: str, *names: str) -> dict[str, object]:
    said = run_node(
        "--input-type=module",
        "--eval",
        f"import {{ {', '.join(names)} }} from './{module}';"
        f"console.log(JSON.stringify({{ {', '.join(names)} }}))",
    )
    exports: dict[str, object] = json.loads(said)
    return exports


def next_after(code: CloseCode, meaning: Meaning) -> str:
    if code is CloseCode.UNAUTHENTICATED:
        return "with a new credential"
    if not meaning.reconnect:
        return "give up"
    return "at once" if meaning.when.startswith("at once") else "with back-off"


@pytest.mark.parametrize("file", node_tests("unit"), ids=lambda file: file.name)
def test_node_finds_the_client_right(file: Path) -> None:
    sys.stdout.write(run_node("--test", str(file)))


def test_the_client_does_what_the_servers_close_codes_say() -> None:
    known = exports_of("close_codes.js", "NEXT")["NEXT"]

    assert known == {
        str(int(code)): next_after(code, meaning) for code, meaning in MEANINGS.items()
    }


def test_the_client_knows_every_end_of_a_job() -> None:
    endings = exports_of("fold.js", "ENDINGS")["ENDINGS"]

    terminal_events = {kind for kind in EventType if kind.is_terminal}
    assert endings == {kind: kind.removeprefix("job.").upper() for kind in terminal_events}
    assert isinstance(endings, dict)
    assert set(endings.values()) == {status for status in JobStatus if status.is_terminal}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_browser_loads_each_module_as_it_is(module: Path) -> None:
    text = module.read_text()

    imported = IMPORTED.findall(text)
    assert [name for name in imported if not (CLIENT / name).is_file()] == []
    assert all(name.startswith("./") for name in imported)
    assert not REFUSED.search(text)
