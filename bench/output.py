"""Where a benchmark's figures go: the document, the folder beside it for pictures, and raw."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import flags
from bench.document import DOCUMENT, RAW_FOLDER, replace_section

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Output:
    """The places that a run writes to; a test gives its own."""

    document: Path
    raw: Path

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Output:
        """Read them from the command line's."""
        return cls(document=arguments.document, raw=arguments.raw)

    @property
    def pictures(self) -> Path:
        """The folder that has the document's name."""
        return self.document.with_suffix("")

    def write(self, name: str, *, text: str, figures: Mapping[str, object]) -> None:
        """Put the section in its place, and the figures into a file of their own."""
        self.raw.mkdir(parents=True, exist_ok=True)
        (self.raw / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
        replace_section(self.document, name, text)
        say(text)


def add_places(parser: argparse.ArgumentParser, *, document: Path = DOCUMENT) -> None:
    """Add the flags of the places to a benchmark's own."""
    parser.add_argument(
        "--document",
        type=flags.document,
        default=document,
        help="whose section is replaced; pictures go to a folder beside it",
    )
    parser.add_argument(
        "--raw", type=flags.folder, default=RAW_FOLDER, help="a folder for the figures"
    )


def say(line: str) -> None:
    """Print a line at once: a run takes minutes and is watched."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
