"""Reading honcho's output: who said what, and which line says what is wrong. No I/O."""

import re
from collections.abc import Sequence
from typing import Final

from deploy.local.child import how_it_ended

# 05:17:02 local.1  | local: port 5000 (web) cannot be opened: Address already in use
_LINE: Final = re.compile(r"\d\d:\d\d:\d\d (?P<process>\w+)(?:\.\d+)? *\| (?P<text>.*)")
_NUMBER: Final = re.compile(r"\d+")
_STOPPED: Final = re.compile(r"(?P<process>\w+)\.\d+ stopped \(rc=(?P<code>-?\d+)\)")
# Every process of the Procfile says what is wrong in a line that begins with its name.
_CLEAR: Final = re.compile(r"(?P<who>local|web|worker|feed|attach): (?P<what>.+)")
# `local: table and bucket: exit code 1`: the child has said why on the line before.
_LEFT_TO_A_CHILD: Final = re.compile(r"exit code \d+$")


def what_it_said(process: str, lines: Sequence[str]) -> str:
    """Return one process's lines, joined."""
    return "\n".join(text for name, text in map(_split, lines) if name == process)


def worth_showing(lines: Sequence[str], *, count: int) -> list[str]:
    """Return the last lines that are neither honcho's own, nor empty, nor mere repetitions."""
    found: list[str] = []
    seen: set[str] = set()
    for line in lines:
        name, text = _split(line)
        apart_from_times = _NUMBER.sub("", f"{name} {text}")
        if name != "system" and text.strip() and apart_from_times not in seen:
            seen.add(apart_from_times)
            found.append(line)
    return found[-count:]


def has_ended(lines: Sequence[str]) -> bool:
    """Tell whether a process has ended, upon which honcho stops the others."""
    return any(map(_STOPPED.search, lines))


def what_went_wrong(lines: Sequence[str]) -> str:
    """Return in one line why the first process that ended did so, as well as can be told."""
    said = [text for text in map(str.strip, lines) if text]
    ended = [match for match in map(_STOPPED.search, said) if match]
    if not ended:
        return said[-1] if said else "honcho ended without a word"
    process, code = ended[0]["process"], int(ended[0]["code"])
    if code < 0:
        return f"{process} ended with {how_it_ended(code)}"
    own = [text for text in what_it_said(process, lines).splitlines() if text.strip()]
    if not own:
        return f"{process} ended with {how_it_ended(code)} and without a word"
    clear = _last_clear_words(own)
    if clear and len(own) > 1 and _LEFT_TO_A_CHILD.search(clear):
        return f"{clear}: {own[-2].strip()}"
    return clear or f"{process}: {own[-1].strip()}"


def _last_clear_words(lines: Sequence[str]) -> str:
    """Join the lines at the end that say what is wrong; empty if the last one does not.

    `attach` also says what goes right, so that only its last line counts.
    """
    last = _CLEAR.match(lines[-1])
    if last is None:
        return ""
    run = [last["what"]]
    for match in map(_CLEAR.match, reversed(lines[:-1])):
        if match is None or match["who"] != last["who"] or last["who"] == "attach":
            break
        run.insert(0, match["what"])
    return f"{last['who']}: {'; '.join(run)}"


def _split(line: str) -> tuple[str, str]:
    match = _LINE.match(line)
    return (match["process"], match["text"]) if match else ("", line)
