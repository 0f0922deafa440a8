"""A proxy in front of DynamoDB, its stream and S3 that breaks requests on command.

It passes everything on unchanged, signatures too, until a rule strikes. `DROP` is the wicked one:
the write happens and nobody is told.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from tests.free_ports import free_base

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

DYNAMODB, STREAMS, S3 = "dynamodb", "streams", "s3"
HOST = "127.0.0.1"
STARTS_WITHIN = 10.0
MOST_BODY_BYTES = 64 * 2**20
_PART_OF_TARGET = {"DynamoDB_20120810": DYNAMODB, "DynamoDBStreams_20120810": STREAMS}
# Each hop has its own of these.
_OF_A_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})


class Mode(StrEnum):
    """What happens to a request that a rule strikes."""

    REFUSE = "refuse"  # the connection is reset before anything reached the store
    SLOW = "slow"  # it is passed on after `seconds`
    FAIL = "fail"  # HTTP 500, and nothing reached the store
    DROP = "drop"  # the store did it, and then the connection is reset


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`kinds` are parts (`dynamodb`) or operations (`dynamodb:UpdateItem`, `s3:PUT`)."""

    mode: Mode
    kinds: frozenset[str]
    probability: float = 1.0
    seconds: float = 0.0

    def names(self, kind: str) -> bool:
        """Tell whether the rule is about this kind of request."""
        return kind in self.kinds or kind.partition(":")[0] in self.kinds


class FaultProxy:
    """Runs in a thread of its own; rules may come and go from any thread at any time."""

    def __init__(self, upstream: str, *, chance: random.Random) -> None:
        self.upstream = upstream
        self.url = f"http://{HOST}:{free_base(1)}"
        self.struck: Counter[str] = Counter()
        self._chance = chance
        self._rules: tuple[Rule, ...] = ()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._is_up = threading.Event()
        self._stop: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(STARTS_WITHIN), "the fault proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(STARTS_WITHIN)

    def add(self, rule: Rule) -> None:
        """Break requests by this rule, too."""
        with self._lock:
            self._rules = (*self._rules, rule)

    def remove(self, rule: Rule) -> None:
        """Break no more requests by this rule."""
        with self._lock:
            rules = list(self._rules)
            rules.remove(rule)
            self._rules = tuple(rules)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        connector = TCPConnector(limit=0)
        async with ClientSession(
            connector=connector, auto_decompress=False, timeout=ClientTimeout(total=60)
        ) as session:

            async def answer(request: web.Request) -> web.Response:
                return await self._answer(request, session)

            app = web.Application(client_max_size=MOST_BODY_BYTES)
            app.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, HOST, URL(self.url).port, backlog=1024).start()
            self._is_up.set()
            await stopped.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        body = await request.read()
        kind = kind_of(request.method, request.headers)
        rule = self._strike(kind)
        mode = rule.mode if rule else None
        if mode is Mode.REFUSE:
            return _hang_up(request)
        if mode is Mode.FAIL:
            return _internal_error(kind)
        if rule and mode is Mode.SLOW:
            await asyncio.sleep(rule.seconds)
        answer = await self._pass_on(request, body, session)
        return _hang_up(request) if mode is Mode.DROP else answer

    def _strike(self, kind: str) -> Rule | None:
        for rule in self._rules:
            if rule.names(kind) and self._chance.random() < rule.probability:
                self.struck[f"{rule.mode} {kind}"] += 1
                return rule
        return None

    async def _pass_on(
        self, request: web.Request, body: bytes, session: ClientSession
    ) -> web.Response:
        async with session.request(
            request.method,
            URL(self.upstream + request.raw_path, encoded=True),
            headers=_without_hops(request.headers),
            data=body,
            allow_redirects=False,
        ) as answer:
            headers = _without_hops(answer.headers)
            if request.method == "HEAD" and "Content-Length" in answer.headers:
                headers["Content-Length"] = answer.headers["Content-Length"]
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


def kind_of(method: str, headers: Mapping[str, str]) -> str:
    """Name a request: DynamoDB's and the stream's by their target, S3's by their method."""
    target, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
    part = _PART_OF_TARGET.get(target)
    return f"{part}:{operation}" if part else f"{S3}:{method}"


def _without_hops(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_A_HOP}


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never leaves


def _internal_error(kind: str) -> web.Response:
    if kind.startswith(S3):
        xml = "<Error><Code>InternalError</Code><Message>a fault</Message></Error>"
        return web.Response(status=500, text=xml, content_type="application/xml")
    name = "com.amazonaws.dynamodb.v20120810#InternalServerError"
    return web.Response(
        status=500,
        text=json.dumps({"__type": name, "message": "a fault"}),
        content_type="application/x-amz-json-1.0",
    )
