"""What is said of an even load: times of all rounds, each round's own, and the machine's part."""

from bench.accept_report import Steady
from bench.accept_sides import Offered
from bench.comparison import Spread


def test_an_even_load_tells_the_rounds_apart() -> None:
    steady = Steady(rate=100, rounds=[a_round(0.001), a_round(0.003), a_round(0.200)])

    assert steady.milliseconds(0.99) == 200
    assert steady.p99_by_round == Spread(median=3, least=1, most=200)


def test_an_even_load_tells_how_long_each_waited_for_a_core() -> None:
    steady = Steady(rate=100, rounds=[a_round(1), a_round(1, waited=0.5), a_round(1, waited=0.2)])

    assert (steady.web_waited, steady.store_waited) == (0.2, 0.4)
    assert steady.late_p99 == 2


def a_round(took: float, *, waited: float = 0.0) -> Offered:
    return Offered(
        latencies=[took] * 100, late=[0.002] * 100, web_waited=waited, store_waited=waited * 2
    )
