"""The REST calls about jobs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request

from jobs.caller import Scope
from jobs.cancel import cancel_job
from jobs.delete import delete_job
from jobs.errors import FieldProblem, InvalidRequest, JobNotFound
from jobs.idempotency import RequestKey
from jobs.job import Inline, JobStatus, ModelId, OnInterrupted, Stored, parse_job_id
from jobs.redrive import redrive_job
from jobs.results import get_own_job, result_of
from jobs.submit import JobRequest, Submitted, submit_job, submit_once
from jobs.webhook import problem_with_url
from web.bodies import read_job_body
from web.job_json import links_of, retry_after_seconds, write_timeline
from web.json_text import parse_json, write_json
from web.preferences import read_idempotency_key, read_preferences
from web.request_body import read_json_body
from web.routes import Route, the_caller
from web.waiting import wait_for_end

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.job import Job
    from web.bodies import WebhookBody
    from web.hub import Hub
    from web.job_json import JobWriter
    from web.parts import WebParts
    from web.preferences import Preferences


class JobRoutes:
    """POST and GET under /v1/jobs, each for the caller's own jobs only."""

    def __init__(self, parts: WebParts, hub: Hub, writer: JobWriter) -> None:
        self._parts = parts
        self._hub = hub
        self._writer = writer

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        read, write, one = Scope.READ, Scope.WRITE, "/v1/jobs/<job_id>"
        return (
            Route(
                name="submit",
                method="POST",
                path="/v1/jobs",
                view=self.submit,
                scope=write,
                is_submit=True,
            ),
            Route(name="job", path=one, view=self.show, scope=read),
            Route(name="delete", method="DELETE", path=one, view=self.delete, scope=write),
            Route(name="result", path=f"{one}/result", view=self.show_result, scope=read),
            Route(name="timeline", path=f"{one}/timeline", view=self.show_timeline, scope=read),
            Route(
                name="cancel", method="POST", path=f"{one}/cancel", view=self.cancel, scope=write
            ),
            Route(
                name="redrive",
                method="POST",
                path=f"{one}/redrive",
                view=self.redrive,
                scope=write,
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
        submitted = self._submit(self._read(value), key, value)
        g.job_id = submitted.job.id
        preferences = read_preferences(request.headers)
        job = self._waited_for(submitted.job, preferences)
        has_waited = preferences.wait is not None and job.status.is_terminal
        status = HTTPStatus.OK if has_waited else HTTPStatus.ACCEPTED
        response = _json_response(self._writer.write(job), status=status)
        response.headers["Location"] = links_of(job)["self"]
        if submitted.is_replay:
            response.headers["Idempotency-Replayed"] = "true"
        if preferences.applied is not None:
            response.headers["Preference-Applied"] = preferences.applied
        return self._with_state(response, job)

    def _read(self, value: object) -> JobRequest:
        """Check a body. Raises InvalidRequest."""
        body, prompt = read_job_body(value)
        self._check_retention(body.retention)
        self._check_webhook(body.webhook)
        return JobRequest(
            user=the_caller().user,
            model=ModelId(body.model) if body.model else self._parts.default_model,
            prompt=prompt,
            trace=g.trace,
            accepted_at=self._parts.clock.now(),
            inference=body.inference,
            metadata=body.metadata or {},
            on_interrupted=OnInterrupted(body.on_interrupted or OnInterrupted.RETRY),
            start_timeout=body.start_timeout,
            run_timeout=body.run_timeout,
            retention=body.retention,
            webhook=body.webhook.url if body.webhook else None,
        )

    def _submit(self, asked: JobRequest, key: str | None, value: object) -> Submitted:
        if key is None:
            return Submitted(job=submit_job(asked, self._parts.submit), is_replay=False)
        named = RequestKey.of(user=asked.user, route="POST /v1/jobs", key=key, body=value)
        return submit_once(asked, named, self._parts.submit, self._parts.keyed)

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

    def show(self, job_id: str) -> Response:
        """Show the job, or say that it has not changed."""
        job = self._own_job(job_id)
        if request.if_none_match.contains_weak(self._writer.version_of(job)):
            return self._with_state(Response(status=304), job)
        return self._with_state(_json_response(self._writer.write(job)), job)

    def delete(self, job_id: str) -> Response:
        """Remove an ended job with its prompt, its results and its log."""
        delete_job(self._own_job(job_id), self._parts.delete)
        return Response(status=HTTPStatus.NO_CONTENT)

    def show_result(self, job_id: str) -> Response:
        """Give the model's text, or lead to it."""
        match result_of(self._own_job(job_id)).payload:
            case Inline(text=text):
                response = Response(text, content_type="text/plain; charset=utf-8")
            case Stored() as stored:
                response = Response(status=303, headers={"Location": self._writer.sign(stored)})
        response.headers["Cache-Control"] = "no-store"
        return response

    def show_timeline(self, job_id: str) -> Response:
        """Show each step that the job has taken."""
        return _json_response(write_timeline(self._own_job(job_id)))

    def cancel(self, job_id: str) -> Response:
        """Cancel the job; 202 where that ended it, 200 where it had ended before."""
        before = self._own_job(job_id)
        job = cancel_job(before, self._parts.cancel)
        ended_now = job.status is JobStatus.CANCELLED and not before.status.is_terminal
        status = HTTPStatus.ACCEPTED if ended_now else HTTPStatus.OK
        return self._with_state(_json_response(self._writer.write(job), status=status), job)

    def redrive(self, job_id: str) -> Response:
        """Let a job that ended without a result wait again."""
        job = redrive_job(self._own_job(job_id), self._parts.redrive)
        response = _json_response(self._writer.write(job), status=HTTPStatus.ACCEPTED)
        response.headers["Location"] = links_of(job)["self"]
        return self._with_state(response, job)

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

    def _own_job(self, text: str) -> Job:
        job_id = parse_job_id(text)
        if job_id is None:
            raise JobNotFound("no job can have this id")
        g.job_id = job_id
        return get_own_job(job_id, the_caller().user, self._parts.store)

    def _with_state(self, response: Response, job: Job) -> Response:
        """Add what a poller goes by: which state this is, and when to look again."""
        response.set_etag(self._writer.version_of(job), weak=True)
        response.headers["Cache-Control"] = "private, no-cache"
        wait = retry_after_seconds(job, self._parts.clock.now())
        if wait is not None:
            response.headers["Retry-After"] = str(wait)
        return response


def _json_response(value: object, *, status: int = 200) -> Response:
    return Response(write_json(value) + "\n", status=status, content_type="application/json")
