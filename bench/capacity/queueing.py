"""What queueing theory says in closed form, to hold the simulation against."""

from __future__ import annotations


def erlang_c(*, servers: int, load: float) -> float:
    """Give the chance that who comes must wait: M/M/c with `load` servers busy on average."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - (load / servers) * (1 - blocked))


def mean_wait(*, servers: int, rate: float, service: float) -> float:
    """Give the mean wait in line, in seconds; infinite where more comes than can be served."""
    load = rate * service
    if load >= servers:
        return float("inf")
    return erlang_c(servers=servers, load=load) * service / (servers - load)
