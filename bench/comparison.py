"""Two sides measured in turn: what each gave, and the ratio of the two, round by round.

The machine is shared and its speed changes by the minute. Figures of the same round were taken
next to each other, so their ratio says more than either; the median and the spread of those ratios
are what a benchmark quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The middle of some figures, the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Summarise figures. Raises ValueError: there are none."""
        if not figures:
            raise ValueError("no figures to summarise")
        return cls(median=median(figures), least=min(figures), most=max(figures))

    def shown(self, form: str = ".2f") -> str:
        """Write it as `median (least to most)`."""
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of both sides, a value a round; `unit` is the values'."""

    name: str
    unit: str
    ours: Sequence[float]
    peers: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Ours by the peer's, round by round. Raises ValueError: the rounds do not match."""
        return [ours / peers for ours, peers in zip(self.ours, self.peers, strict=True)]

    @property
    def ratio(self) -> Spread:
        """Ours by the peer's."""
        return Spread.of(self.ratios)


def in_turn(rounds: int, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure each side once a round and give what each gave, in the order of the rounds.

    Every other round goes through the sides from the last to the first: who comes second finds a
    warmer machine, and that must not be the same side each time.
    """
    gave: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)
        if number % 2:
            names.reverse()
        for name in names:
            gave[name].append(sides[name]())
    return gave


def percentile(figures: Sequence[float], share: float) -> float:
    """Give the figure that `share` (0 to 1) of all figures do not exceed, by the nearest rank."""
    ordered = sorted(figures)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
