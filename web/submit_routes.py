"""POST /v1/jobs: what is asked for is checked, made durable, and answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request

from jobs.caller import Scope
from jobs.errors import FieldProblem, InvalidRequest
from jobs.idempotency import RequestKey
from jobs.job import ModelId, OnInterrupted
from jobs.submit import JobRequest, Submitted, submit_job, submit_once
from jobs.uploads import find_documents
from jobs.webhook import problem_with_url
from web.bodies import read_job_body
from web.job_answers import JobAnswers
from web.job_calls import SUBMIT
from web.job_json import links_of
from web.json_text import parse_json
from web.preferences import read_idempotency_key, read_preferences
from web.request_body import read_json_body
from web.routes import Route, the_caller
from web.waiting import wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from jobs.job import Job
    from jobs.receiver import Receiver
    from web.bodies import WebhookBody
    from web.hub import Hub
    from web.job_json import JobWriter
    from web.parts import WebParts
    from web.preferences import Preferences


class SubmitRoutes:
    """The route; the job belongs to the caller, whatever the body says."""

    def __init__(self, parts: WebParts, hub: Hub, writer: JobWriter) -> None:
        self._parts = parts
        self._hub = hub
        self._answers = JobAnswers(writer=writer, clock=parts.clock)

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/v1/jobs"
        return (
            Route(
                name="submit",
                method="POST",
                path=path,
                view=self.submit,
                scope=Scope.WRITE,
                call=SUBMIT,
                is_submit=True,
            ),
        )

    def submit(self) -> Response:
        """Accept a job; it is durable before the 202 leaves.

        Who prefers to wait gets the ended job with 200, if it ends in that time.
        """
        key = read_idempotency_key(request.headers)
        data = read_json_body(request, max_bytes=self._parts.max_request_bytes)
        value = parse_json(data)
        submitted = self._submit(lambda: self._read(value, data), key, value)
        g.job_id = submitted.job.id
        preferences = read_preferences(request.headers)
        job = self._waited_for(submitted.job, preferences)
        has_waited = preferences.wait is not None and job.status.is_terminal
        status = HTTPStatus.OK if has_waited else HTTPStatus.ACCEPTED
        response = self._answers.show(job, status=status)
        response.headers["Location"] = links_of(job)["self"]
        if submitted.is_replay:
            response.headers["Idempotency-Replayed"] = "true"
        if preferences.applied is not None:
            response.headers["Preference-Applied"] = preferences.applied
        return response

    def _read(self, value: object, data: bytes) -> JobRequest:
        """Check a body. Raises InvalidRequest."""
        body, prompt = read_job_body(value, data)
        self._check_retention(body.retention)
        self._check_webhook(body.webhook)
        user = the_caller().user
        asked = [document.upload_id for document in body.documents or ()]
        return JobRequest(
            user=user,
            model=ModelId(body.model) if body.model else self._parts.default_model,
            prompt=prompt,
            documents=find_documents(user, asked, self._parts.offer.uploads),
            trace=g.trace,
            accepted_at=self._parts.clock.now(),
            inference=body.inference,
            metadata=body.metadata or {},
            on_interrupted=OnInterrupted(body.on_interrupted or OnInterrupted.RETRY),
            start_timeout=body.start_timeout,
            run_timeout=body.run_timeout,
            retention=body.retention,
            webhook=body.webhook.url if body.webhook else None,
            also_tell=self._receivers_of(body.metadata or {}),
        )

    def _submit(self, read: Callable[[], JobRequest], key: str | None, value: object) -> Submitted:
        if key is None:
            return Submitted(job=submit_job(read(), self._parts.submit), is_replay=False)
        user = the_caller().user
        named = RequestKey.of(user=user, route="POST /v1/jobs", key=key, body=value)
        return submit_once(read, named, self._parts.submit, self._parts.keyed)

    def _waited_for(self, job: Job, preferences: Preferences) -> Job:
        if preferences.wait is None or job.status.is_terminal:
            return job
        return wait_for_end(
            job,
            wait=preferences.wait,
            hub=self._hub,
            store=self._parts.store,
            clock=self._parts.clock,
        )

    def _check_retention(self, asked: timedelta | None) -> None:
        """Refuse to keep a row for longer than its prompt and result are kept."""
        longest = self._parts.longest_retention
        if asked is not None and asked > longest:
            detail = f"must be {longest.total_seconds():g} at most here"
            problem = FieldProblem(field="retention_s", detail=detail)
            raise InvalidRequest(f"retention_s {detail}", problems=(problem,))

    def _check_webhook(self, asked: WebhookBody | None) -> None:
        """Refuse a webhook that could not be signed, or that may not be called."""
        if asked is None:
            return
        terms = self._parts.webhooks
        detail: str | None = "is not offered here: this deployment has no secret to sign it with"
        if terms.are_signed:
            detail = problem_with_url(asked.url, allow_loopback=terms.allow_loopback)
        if detail is not None:
            field = "webhook.url" if terms.are_signed else "webhook"
            problem = FieldProblem(field=field, detail=detail)
            raise InvalidRequest(f"{field} {detail}", problems=(problem,))

    def _receivers_of(self, metadata: Mapping[str, str]) -> tuple[Receiver, ...]:
        """Say who is told beside the webhook; a connection that cannot be one is refused."""
        terms = self._parts.push
        if (detail := terms.problem_with(metadata)) is not None:
            problem = FieldProblem(field=f"metadata.{terms.connection_key}", detail=detail)
            raise InvalidRequest(f"{problem.field} {detail}", problems=(problem,))
        return terms.receivers_of(metadata)
