"""Pictures of the benchmarks, as SVG that a diff can read: the same figures give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from bench.comparison import Spread

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "longhaul",  # ids would be random otherwise
        "svg.fonttype": "none",  # text stays text
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

_OURS, _PEERS, _GREY = "#2563eb", "#9ca3af", "#6b7280"
_WIDTH = 8.0  # inches
_ROW = 0.45


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row: a side's figure with its least and most; `is_ours` sets it off."""

    name: str
    spread: Spread
    is_ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: points of x and y."""

    name: str
    points: Sequence[tuple[float, float]]
    is_ours: bool = False


def draw_bars(
    path: Path, *, title: str, axis: str, bars: Sequence[Bar], bound: float | None = None
) -> None:
    """Draw a row a side, whiskers from least to most, and the target as a dashed line."""
    axes = _axes(title=title, height=1.3 + _ROW * len(bars))
    for row, bar in enumerate(bars):
        spread = bar.spread
        axes.barh(row, spread.median, height=0.6, color=_OURS if bar.is_ours else _PEERS)
        axes.plot([spread.least, spread.most], [row, row], color="black", linewidth=1)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.invert_yaxis()
    axes.set_xlabel(axis)
    axes.set_xlim(left=0)
    if bound is not None:
        axes.axvline(bound, color=_GREY, linestyle="--", linewidth=1, label="target")
        axes.legend(frameon=False)
    _save(axes, path)


def draw_lines(  # noqa: PLR0913 - a picture's words, all named
    path: Path,
    *,
    title: str,
    x_axis: str,
    y_axis: str,
    lines: Sequence[Line],
    logarithmic: bool = False,
) -> None:
    """Draw lines over a common axis; `logarithmic` is the x axis's scale."""
    axes = _axes(title=title, height=3.6)
    for line in lines:
        across, up = zip(*line.points, strict=True)
        colour = _OURS if line.is_ours else None
        axes.plot(across, up, marker="o", markersize=4, color=colour, label=line.name)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_axis)
    axes.set_ylabel(y_axis)
    axes.legend(frameon=False)
    _save(axes, path)


def _axes(*, title: str, height: float) -> Axes:
    axes = Figure(figsize=(_WIDTH, height), layout="constrained").add_subplot()
    axes.set_title(title, loc="left")
    return axes


def _save(axes: Axes, path: Path) -> None:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("axes without a figure")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
