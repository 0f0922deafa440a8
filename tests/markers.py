"""Markers: words that stand in secrets and payloads, and nowhere in what a process writes."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG_ENOUGH = 12  # a line may be cut; what is shorter stands in too much by chance


@dataclass
class Markers:
    """What must not be seen, by what it is."""

    words: dict[str, str] = field(default_factory=dict)

    def make(self, name: str) -> str:
        """Make a word that nothing else has."""
        word = f"zq{name}xj{hash((name, id(self))) & 0xFFFFFFFFFFFF:012x}qz"
        return self.add(name, word)

    def add(self, name: str, word: str) -> str:
        """Look for a secret that somebody else made."""
        assert len(word) >= _LONG_ENOUGH, f"{name} is too short to look for"
        self.words[name] = word
        return word

    def leaks(self, output: str) -> list[str]:
        """Name what was seen, with the line that shows it."""
        return [
            f"{name}: {line[:400]}"
            for line in output.splitlines()
            for name, word in self.words.items()
            if any(form in line for form in _forms(word))
        ]


def _forms(word: str) -> Iterator[str]:
    """Give a word as it may be written: plain, in an address, in base64 (at each of its phases)."""
    yield word
    yield quote(word, safe="")
    for pad in range(3):
        coded = base64.b64encode(b"x" * pad + word.encode()).decode()
        yield coded[4 if pad else 0 : -4]
