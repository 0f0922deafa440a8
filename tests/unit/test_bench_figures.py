"""What the benchmarks say of their figures: ratios by round, targets, and pictures."""

from pathlib import Path

import pytest

from bench.chart import Bar, Line, draw_bars, draw_lines
from bench.comparison import Comparison, Spread, in_turn, percentile
from bench.document import neighbours
from bench.targets import Target


def test_a_ratio_is_taken_round_by_round() -> None:
    compared = Comparison(name="rate", unit="1/s", ours=[10, 40, 30], peers=[20, 40, 10])

    assert compared.ratios == [0.5, 1.0, 3.0]
    assert compared.ratio == Spread(median=1.0, least=0.5, most=3.0)
    assert compared.ratio.shown() == "1.00 (0.50 to 3.00)"


def test_sides_with_unlike_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = Comparison(name="rate", unit="1/s", ours=[1.0], peers=[1.0, 2.0]).ratios


def test_sides_take_turns_at_being_first() -> None:
    order: list[str] = []

    def side(name: str) -> int:
        order.append(name)
        return len(order)

    gave = in_turn(3, {"ours": lambda: side("ours"), "peer": lambda: side("peer")})

    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert gave == {"ours": [1, 4, 5], "peer": [2, 3, 6]}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_a_percentile_is_one_of_the_figures(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (
            Target(what="Rate", figure=0.72, at_least=0.7),
            "- Rate: 0.72; target at least 0.70: met.",
        ),
        (
            Target(what="Rate", figure=0.35, at_least=0.7),
            "- Rate: 0.35; target at least 0.70: **missed** by 50%.",
        ),
        (
            Target(what="Rate", figure=0.6972, at_least=0.7, why="a slip"),
            "- Rate: 0.70; target at least 0.70: **missed** by 0.4%: a slip.",
        ),
        (
            Target(what="Rate", figure=0.72, at_least=0.7, why="a slip"),
            "- Rate: 0.72; target at least 0.70: met.",
        ),
        (
            Target(what="Delay", figure=60, unit="ms", at_most=40),
            "- Delay: 60.0 ms; target at most 40.0 ms: **missed** by 50%.",
        ),
        (
            Target(what="Lost events", figure=0, at_most=0),
            "- Lost events: 0.00; target at most 0.00: met.",
        ),
        (
            Target(what="Lost events", figure=3, at_most=0),
            "- Lost events: 3.00; target at most 0.00: **missed**.",
        ),
    ],
)
def test_a_target_says_whether_it_is_met(target: Target, line: str) -> None:
    assert target.line == line


def test_a_target_has_one_bound() -> None:
    with pytest.raises(ValueError, match="one bound"):
        Target(what="Rate", figure=1)


def test_a_run_beside_others_work_says_so() -> None:
    assert "of what else ran" in neighbours(1000.0)
    assert neighbours(0.0).startswith("Load average when the run began: 0.0 on ")
    assert "of what else ran" not in neighbours(0.0)


def test_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    bars = [
        Bar(name="Longhaul", spread=Spread.of([2, 3, 4]), is_ours=True),
        Bar(name="peer", spread=Spread.of([5])),
    ]
    line = Line(name="Longhaul", points=[(1_000, 2), (10_000, 2.1)], is_ours=True)

    for name in ("a", "b"):
        draw_bars(tmp_path / f"{name}.svg", title="Rate", axis="1/s", bars=bars, bound=4)
        draw_lines(
            tmp_path / f"{name}-lines.svg",
            title="Growth",
            x_axis="stored jobs",
            y_axis="ms",
            lines=[line],
            logarithmic=True,
        )

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a-lines.svg").read_bytes() == (tmp_path / "b-lines.svg").read_bytes()
    assert "Longhaul" in (tmp_path / "a.svg").read_text()
