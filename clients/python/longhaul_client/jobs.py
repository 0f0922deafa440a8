"""`client.jobs`: each call about jobs, written once."""

from __future__ import annotations

import re
import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from longhaul_client.api import NOTHING_TO_READ, read_json
from longhaul_client.errors import FieldProblem, Invalid, JobNotCompleted, NotFound, WaitOver
from longhaul_client.events import JobCompleted
from longhaul_client.follow import Follower
from longhaul_client.models import Delivery, Job, Page, Timeline
from longhaul_client.retry import TRANSIENT
from longhaul_client.text import Text, is_behind_url
from longhaul_client.transport import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from longhaul_client.api import Api
    from longhaul_client.events import Event
    from longhaul_client.text import TextChange

LONGEST_PREFERRED_WAIT = 60.0  # seconds; a server holds no answer back for longer
_MOST_ON_A_PAGE = 100
_LOOK_AGAIN_SECONDS = 5.0  # at the latest: a job that waits for a retry may be cancelled meanwhile
_ID = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*")
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_NOT_MODIFIED = 304
_SEE_OTHER = 303


class AsyncJobs:
    """The calls about jobs.

    Each is made again by itself after a failure that may pass, and raises a LonghaulError in the
    end; see longhaul_client.errors for the kinds.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._patient = replace(api, retry=api.retry.patient())

    async def create(  # noqa: PLR0913 - the fields of docs/api.md, by name
        self,
        *,
        prompt: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        body: Mapping[str, Any] | None = None,
        model: str | None = None,
        system: str | None = None,
        inference_config: Mapping[str, Any] | None = None,
        documents: Sequence[str] | None = None,
        webhook: str | None = None,
        metadata: Mapping[str, str] | None = None,
        start_timeout_s: int | None = None,
        run_timeout_s: int | None = None,
        retention_s: int | None = None,
        on_interrupted: str | None = None,
        wait: float | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job; it is durable when this returns.

        `documents` are upload ids, `webhook` is a URL. With `wait` the server holds the answer
        back for up to so many seconds (60 at most) and gives the ended job, if it ends in time.
        Without an `idempotency_key` one is made, so that no try is ever a second job; name one to
        make two calls of yours the same job.
        """
        fields = {
            "prompt": prompt,
            "messages": messages,
            "body": body,
            "model": model,
            "system": system,
            "inference_config": inference_config,
            "documents": _each_named("upload_id", documents),
            "webhook": None if webhook is None else {"url": webhook},
            "metadata": metadata,
            "start_timeout_s": start_timeout_s,
            "run_timeout_s": run_timeout_s,
            "retention_s": retention_s,
            "on_interrupted": on_interrupted,
        }
        headers = {"Idempotency-Key": _checked_key(idempotency_key or str(uuid.uuid4()))}
        held_back = min(wait or 0.0, LONGEST_PREFERRED_WAIT)
        if held_back >= 1:
            headers["Prefer"] = f"wait={held_back:.0f}"
        return await self._api.ask(
            Job.from_json,
            "POST",
            "/v1/jobs",
            body={name: value for name, value in fields.items() if value is not None},
            headers=headers,
            silence_seconds=60.0 + held_back,
        )

    async def get(self, job_id: str) -> Job:
        """Read a job."""
        return await self._api.ask(Job.from_json, "GET", _path(job_id))

    async def list(
        self, *, status: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[Job, None]:
        """Give your jobs without their results, the newest first, `limit` of them at most."""
        left = limit
        params = {} if status is None else {"status": status}
        while left is None or left > 0:
            params["limit"] = str(min(left or _MOST_ON_A_PAGE, _MOST_ON_A_PAGE))
            page = await self._api.ask(Page.from_json, "GET", "/v1/jobs", params=params)
            for job in page.jobs[:left]:
                yield job
            if page.next_cursor is None:
                return
            left = None if left is None else left - len(page.jobs)
            params["cursor"] = page.next_cursor

    async def wait(self, job_id: str, *, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - for both kinds of clients
        """Wait until a job has ended, `timeout` seconds at most. Raises WaitOver.

        Once the job was read, a server that is away is waited for, too, as long as the patience
        has it (Retry).
        """
        until = None if timeout is None else self._api.clock() + timeout
        answer = await self._api.call("GET", _path(job_id))
        heard_at = self._api.clock()
        job = read_json(Job.from_json, answer.content)
        known = {"If-None-Match": answer.headers.get("ETag", "")}
        while not job.has_ended:
            seconds = _seconds_to_next_look(answer.headers)
            if until is not None:
                seconds = min(seconds, until - self._api.clock())
                if seconds <= 0:
                    raise WaitOver(job)
            await self._api.transport.sleep(seconds)
            try:
                answer = await self._api.call("GET", _path(job_id), headers=known)
            except TRANSIENT:
                if self._api.clock() - heard_at > self._api.retry.patience_seconds:
                    raise
                continue
            heard_at = self._api.clock()
            if answer.status != _NOT_MODIFIED:
                job = read_json(Job.from_json, answer.content)
                known = {"If-None-Match": answer.headers.get("ETag", "")}
        return job

    def stream(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """Give a job's events after the number `after`, each once, to the last one.

        A connection that breaks is made anew where it was. To stop early is to leave: the job
        goes on; close the generator then (contextlib.closing, or aclosing), as Python asks for.
        How the job ended the last event says; nothing is raised for it.
        """
        return Follower(self._api, f"{_path(job_id)}/events", after).events()

    async def text_stream(self, job_id: str) -> AsyncGenerator[TextChange, None]:
        """Give the text as it is written; after a change that is `anew` it starts from nothing.

        Raises JobNotCompleted where the job ends without completing.
        """
        text = Text()
        async with aclosing(self.stream(job_id)) as events:
            async for event in events:
                if change := await self.take(text, event):
                    yield change
                if event.is_terminal and not isinstance(event, JobCompleted):
                    raise JobNotCompleted(event)

    async def take(self, text: Text, event: Event) -> TextChange | None:
        """Let a text take an event, and fetch what the event only names; that is worth patience."""
        fetched = await self._result(event.job_id, self._patient) if is_behind_url(event) else None
        return text.take(event, fetched=fetched)

    async def result(self, job_id: str) -> str:
        """Read the model's whole text, wherever it is stored. Raises Conflict where none is."""
        return await self._result(job_id, self._api)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that had ended stays as it ended."""
        return await self._api.ask(Job.from_json, "POST", f"{_path(job_id)}/cancel")

    async def redrive(self, job_id: str) -> Job:
        """Give a job that failed, expired or was cancelled a new round of attempts."""
        path = f"{_path(job_id)}/redrive"
        answer = await self._api.call("POST", path, done_by="not_redrivable")
        if answer is NOTHING_TO_READ:
            return await self.get(job_id)
        return read_json(Job.from_json, answer.content)

    async def delete(self, job_id: str) -> None:
        """Remove an ended job with all that belongs to it."""
        await self._api.call("DELETE", _path(job_id), done_by="job_not_found")

    async def timeline(self, job_id: str) -> Timeline:
        """Read each step that a job has taken."""
        return await self._api.ask(Timeline.from_json, "GET", f"{_path(job_id)}/timeline")

    async def deliveries(self, job_id: str) -> tuple[Delivery, ...]:
        """Read the announcements of a job's end, each with its tries."""
        return await self._api.ask(_read_deliveries, "GET", f"{_path(job_id)}/deliveries")

    async def replay_delivery(self, job_id: str, delivery_id: str) -> Delivery:
        """Have an announcement told again, soon."""
        path = f"{_path(job_id)}/deliveries/{_checked(delivery_id)}/replay"
        return await self._api.ask(Delivery.from_json, "POST", path)

    async def _result(self, job_id: str, api: Api) -> str:
        answer = await api.call("GET", f"{_path(job_id)}/result")
        if answer.status == _SEE_OTHER:
            stored = Request(method="GET", url=answer.headers["Location"])
            answer = await api.send_elsewhere(stored, what="the result's store")
        return answer.content.decode(errors="replace")


def _seconds_to_next_look(headers: Mapping[str, str]) -> float:
    asked = headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 1.0, _LOOK_AGAIN_SECONDS)


def _read_deliveries(value: Mapping[str, Any]) -> tuple[Delivery, ...]:
    return tuple(Delivery.from_json(one) for one in value["deliveries"])


def _each_named(name: str, values: Sequence[str] | None) -> Sequence[Mapping[str, str]] | None:
    return None if values is None else [{name: value} for value in values]


def _checked_key(key: str) -> str:
    """Take a key that a header can hold."""
    if not _KEY.fullmatch(key):
        detail = "must be 1 to 255 visible ASCII characters"
        problem = FieldProblem(field="Idempotency-Key", detail=detail)
        raise Invalid(
            f"Idempotency-Key {detail}", status=422, code="invalid_request", errors=(problem,)
        )
    return key


def _path(job_id: str) -> str:
    return f"/v1/jobs/{_checked(job_id)}"


def _checked(name: str) -> str:
    """Take an id that can stand in an address; what cannot is nobody's."""
    if not _ID.fullmatch(name):
        raise NotFound(f"nothing can have the id {name!r}", status=404, code="not_found")
    return name
