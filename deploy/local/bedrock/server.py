"""The HTTP side of the Bedrock stand-in: its routes and the course of one call."""

import asyncio
import dataclasses
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from aiohttp import web

from deploy.local.bedrock.answer import Summaries, compose
from deploy.local.bedrock.context import check_length
from deploy.local.bedrock.controls import Controls
from deploy.local.bedrock.converse import ConverseShape, read_converse
from deploy.local.bedrock.delivery import Delivery
from deploy.local.bedrock.errors import BedrockError, error_payload, invalid
from deploy.local.bedrock.faults import Faults, take_directives
from deploy.local.bedrock.ledger import Call
from deploy.local.bedrock.native import NativeShape, family_of
from deploy.local.bedrock.pace import Pace, schedule_answer
from deploy.local.bedrock.request import Ask, Identity, identify, load_json
from deploy.local.bedrock.shapes import AnswerShape, to_json

_log = logging.getLogger("longhaul.bedrock")
_Result = TypeVar("_Result")

_OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
}
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]{0,2047}")
# Five documents of 4.5 MB, base64, and what is around them.
_MOST_BODY_BYTES = 40 * 1024 * 1024
# Up to here a body is read in a few milliseconds; a larger one would make other streams wait.
_SMALL_BODY_BYTES = 16 * 1024
_HANGS_UP = (asyncio.CancelledError, ConnectionError)


@dataclass(frozen=True, kw_only=True)
class _Arrival:
    """A request as it came: `came_at` is on the loop's clock, `started_at` since the epoch."""

    request: web.Request
    operation: str
    model: str
    raw: bytes
    came_at: float
    started_at: float
    headers: Mapping[str, str]


class BedrockStandIn:
    """Answers the calls of Bedrock Runtime. One instance serves one process."""

    def __init__(self, *, pace: Pace, controls: Controls) -> None:
        self._pace = pace
        self._controls = controls
        self._summaries = Summaries()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="summariser")

    def application(self) -> web.Application:
        """Return the aiohttp application with every route."""
        app = web.Application(client_max_size=_MOST_BODY_BYTES)
        self._controls.add_routes(app.router)
        app.router.add_route("*", "/{path:.*}", self._route)
        return app

    async def _route(self, request: web.Request) -> web.StreamResponse:
        came_at, started_at = asyncio.get_running_loop().time(), time.time()
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        # The raw path: a model id may be an ARN, whose slashes are escaped.
        model, _, operation = request.rel_url.raw_path.removeprefix("/model/").rpartition("/")
        known = request.rel_url.raw_path.startswith("/model/") and operation in _OPERATIONS
        if not known or request.method != "POST":
            return _refuse(BedrockError("UnknownOperationException"), headers)
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refuse(invalid("The request body is larger than 40 MiB."), headers)
        return await self._answer(
            _Arrival(
                request=request,
                operation=_OPERATIONS[operation],
                model=unquote(model),
                raw=raw,
                came_at=came_at,
                started_at=started_at,
                headers=headers,
            )
        )

    async def _answer(self, arrival: _Arrival) -> web.StreamResponse:
        document, malformed = await self._load(arrival)
        call = self._begin(arrival, identify(arrival.request.headers, arrival.raw, document))
        try:
            return await self._deliver(arrival, document, malformed, call)
        except BedrockError as error:
            throttled = error.name == "ThrottlingException"
            self._end(call, "throttled" if throttled else f"error:{error.name}")
            return _refuse(error, arrival.headers)
        except _HANGS_UP:
            self._end(call, "client_gone")
            raise
        except Exception:
            self._end(call, "error:InternalServerException")
            raise
        finally:
            _log.debug(
                "call_ended operation=%s job=%s n=%d outcome=%s output_tokens=%d",
                call.operation,
                call.job,
                call.n,
                call.outcome,
                call.output_tokens,
            )

    async def _load(self, arrival: _Arrival) -> tuple[Mapping[str, object], BedrockError | None]:
        try:
            return await self._offload(arrival, lambda: load_json(arrival.raw)), None
        except BedrockError as error:
            return {}, error

    async def _deliver(
        self,
        arrival: _Arrival,
        document: Mapping[str, object],
        malformed: BedrockError | None,
        call: Call,
    ) -> web.StreamResponse:
        """Refuse the call, or compose its answer and send it."""
        if malformed is not None:
            raise malformed
        _check_model(arrival.model)
        ask, shape, directed = await self._offload(arrival, lambda: _read(arrival, document))
        faults = directed.over(self._controls.faults_of(call.job))
        if refusal := faults.refusal(call.n):
            raise refusal
        if not self._controls.quota.admits(now=arrival.came_at):
            raise BedrockError("ThrottlingException")
        check_length(arrival.model, ask)
        answer = await self._offload(arrival, lambda: compose(ask, faults, self._summaries))
        call.input_tokens = answer.input_tokens
        delivery = Delivery(
            request=arrival.request,
            headers=arrival.headers,
            shape=shape,
            answer=answer,
            schedule=schedule_answer(answer, self._pace, faults),
            faults=faults.in_stream(call.n),
            call=call,
            ledger=self._controls.ledger,
            came_at=arrival.came_at,
        )
        if arrival.operation in {"ConverseStream", "InvokeModelWithResponseStream"}:
            return await delivery.send_stream()
        return await delivery.send_whole()

    async def _offload(self, arrival: _Arrival, work: Callable[[], _Result]) -> _Result:
        """Do the work here when the body is small, else in a thread: no stream waits for it."""
        if len(arrival.raw) <= _SMALL_BODY_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _begin(self, arrival: _Arrival, who: Identity) -> Call:
        return self._controls.ledger.begin(
            who, operation=arrival.operation, model=arrival.model, at=arrival.started_at
        )

    def _end(self, call: Call, outcome: str) -> None:
        self._controls.ledger.end(call, outcome, at=time.time())


def _check_model(model: str) -> None:
    if not _MODEL_ID.fullmatch(model):
        raise invalid("The provided model identifier is invalid.")
    if model.startswith("missing."):
        raise BedrockError("ResourceNotFoundException")
    if model.startswith("denied."):
        raise BedrockError("AccessDeniedException")


def _read(arrival: _Arrival, document: Mapping[str, object]) -> tuple[Ask, AnswerShape, Faults]:
    """Return what the call asks, how its answer is written, and the faults its prompt asks for."""
    shape: AnswerShape
    if arrival.operation in {"Converse", "ConverseStream"}:
        ask, shape = read_converse(document), ConverseShape()
    else:
        family = family_of(arrival.model, document)
        ask, shape = family.read(document), NativeShape(family)
    ask, faults = _take_directives(ask)
    return ask, shape, faults


def _take_directives(ask: Ask) -> tuple[Ask, Faults]:
    """Return the ask without the directives in its texts, and the faults they ask for."""
    system, from_system = _take_from(ask.system)
    user, from_user = _take_from(ask.user)
    return dataclasses.replace(ask, system=system, user=user), from_user.over(from_system)


def _take_from(texts: tuple[str, ...]) -> tuple[tuple[str, ...], Faults]:
    faults, kept = Faults(), list[str]()
    for text in texts:
        rest, asked_for = take_directives(text)
        faults = asked_for.over(faults)
        kept.append(rest)
    return tuple(kept), faults


def _refuse(error: BedrockError, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=error.status,
        body=to_json(error_payload(error.name, error.message)),
        content_type="application/json",
        headers={**headers, "x-amzn-ErrorType": error.name},
    )
