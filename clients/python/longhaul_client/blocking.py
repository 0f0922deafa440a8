"""Calls that are waited for: the same methods with the same types, run without an event loop.

Over BlockingTransport a coroutine of the core never suspends, so one `send` runs it to its end.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

P = ParamSpec("P")
T = TypeVar("T")
Part = TypeVar("Part")


class Blocking(Generic[Part]):
    """A part of the client whose calls are waited for."""

    def __init__(self, part: Part) -> None:
        self._part = part


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("a blocking client was given a transport that is not")


def blocking(
    method: Callable[Concatenate[Part, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocking[Part], P], T]:
    """Make a method that is awaited one that returns."""

    @wraps(method)
    def call(self: Blocking[Part], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self._part, *args, **kwargs))

    return call


def blocking_each(
    method: Callable[Concatenate[Part, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Blocking[Part], P], Generator[T, None, None]]:
    """Make a method that is iterated with `async for` one for `for`."""

    @wraps(method)
    def each(
        self: Blocking[Part], /, *args: P.args, **kwargs: P.kwargs
    ) -> Generator[T, None, None]:
        values = method(self._part, *args, **kwargs)
        try:
            while True:
                try:
                    value = run(values.__anext__())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            run(values.aclose())

    return each
