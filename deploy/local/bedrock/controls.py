"""What tests steer and read: faults by job, the quota, the ledger, under /_stand-in/."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from deploy.local.bedrock.errors import BedrockError, error_payload, invalid
from deploy.local.bedrock.faults import Faults, read_faults
from deploy.local.bedrock.fields import as_number, as_text
from deploy.local.bedrock.ledger import Ledger
from deploy.local.bedrock.quota import Quota
from deploy.local.bedrock.request import load_json

EVERY_JOB = "*"
_MOST_CALLS_PER_SECOND = 1e6
_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Controls:
    """The state that tests share with the server: faults, quota and ledger."""

    def __init__(self, *, ledger: Ledger, quota: Quota) -> None:
        self.ledger = ledger
        self.quota = quota
        self._faults: dict[str, Faults] = {}

    def faults_of(self, job: str) -> Faults:
        """Return the faults set for a job, over those set for every job."""
        return self._faults.get(job, Faults()).over(self._faults.get(EVERY_JOB, Faults()))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes under /_stand-in/."""
        for method, path, handler in (
            ("GET", "health", self._tell_health),
            ("POST", "faults", self._set_faults),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "quota", self._set_quota),
            ("GET", "calls", self._tell_calls),
            ("GET", "calls/summary", self._tell_summary),
            ("DELETE", "calls", self._clear_calls),
        ):
            router.add_route(method, f"/_stand-in/{path}", _told_plainly(handler))

    async def _tell_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _set_faults(self, request: web.Request) -> web.Response:
        asked = await _body(request)
        job = as_text(asked.get("job", EVERY_JOB), "job")
        self._faults[job] = read_faults({key: asked[key] for key in asked.keys() - {"job"}})
        return web.json_response({"job": job})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        if (job := request.query.get("job")) is None:
            self._faults.clear()
        else:
            self._faults.pop(job, None)
        return web.json_response({})

    async def _set_quota(self, request: web.Request) -> web.Response:
        asked = await _body(request)
        if "calls_per_second" not in asked:
            raise invalid("calls_per_second is missing; null lifts the quota.")
        rate = asked["calls_per_second"]
        if rate is not None:
            rate = as_number(rate, "calls_per_second", low=0.001, high=_MOST_CALLS_PER_SECOND)
        self.quota.change(rate)
        return web.json_response({"calls_per_second": rate})

    async def _tell_calls(self, request: web.Request) -> web.Response:
        calls = self.ledger.calls(request.query.get("job"))
        return web.json_response({"calls": [call.told() for call in calls]})

    async def _tell_summary(self, _request: web.Request) -> web.Response:
        return web.json_response(self.ledger.summary())

    async def _clear_calls(self, _request: web.Request) -> web.Response:
        self.ledger.clear()
        return web.json_response({})


async def _body(request: web.Request) -> Mapping[str, object]:
    return load_json(await request.read())


def _told_plainly(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except BedrockError as error:
            payload = error_payload(error.name, error.message)
            headers = {"x-amzn-ErrorType": error.name}
            return web.json_response(payload, status=error.status, headers=headers)

    return answer
