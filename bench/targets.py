"""Targets: what a figure must reach, and the line that says whether it has."""

from __future__ import annotations

from dataclasses import dataclass

_ONE_PERCENT = 0.01


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure and its bound; `at_least` and `at_most` are the bound's two kinds.

    `why` says what a miss comes from, by what the same run has measured.
    """

    what: str
    figure: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what}: a target has one bound")

    @property
    def is_met(self) -> bool:
        """Whether the figure is on the right side of its bound."""
        if self.at_least is not None:
            return self.figure >= self.at_least
        return self.figure <= self._bound

    @property
    def line(self) -> str:
        """Say it as a list's item; a miss is told by how much."""
        kind = "at most" if self.at_least is None else "at least"
        told = (
            f"- {self.what}: {_shown(self.figure, self.unit)};"
            f" target {kind} {_shown(self._bound, self.unit)}: "
        )
        if self.is_met:
            return f"{told}met."
        why = f": {self.why}." if self.why else "."
        return f"{told}**missed**{self._by}{why}"

    @property
    def _by(self) -> str:
        if not self._bound:
            return ""
        by = abs(self.figure - self._bound) / self._bound
        return f" by {by:.0%}" if by >= _ONE_PERCENT else f" by {by:.1%}"

    @property
    def _bound(self) -> float:
        return (self.at_most if self.at_least is None else self.at_least) or 0.0


def _shown(figure: float, unit: str) -> str:
    size = abs(figure)
    digits = 0 if size >= 100 else 1 if size >= 10 else 3 if 0 < size < 0.1 else 2  # noqa: PLR2004
    return f"{figure:,.{digits}f}{f' {unit}' if unit else ''}"
