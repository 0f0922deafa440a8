"""The REST calls about jobs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request

from jobs.cancel import cancel_job
from jobs.errors import FieldProblem, InvalidRequest, JobNotFound
from jobs.job import Inline, JobStatus, ModelId, OnInterrupted, Stored, parse_job_id
from jobs.redrive import redrive_job
from jobs.results import get_own_job, result_of
from jobs.submit import JobRequest, submit_job
from jobs.uploads import find_documents
from jobs.webhook import problem_with_url
from web.bodies import read_job_body
from web.caller import identify_caller
from web.job_json import links_of, retry_after_seconds, write_timeline
from web.json_text import parse_json, write_json
from web.request_body import read_json_body

if TYPE_CHECKING:
    from datetime import timedelta

    from flask import Flask

    from jobs.job import Job, UserId
    from web.bodies import WebhookBody
    from web.job_json import JobWriter
    from web.parts import WebParts


class JobRoutes:
    """POST and GET under /v1/jobs, each for the caller's own jobs only."""

    def __init__(self, parts: WebParts, writer: JobWriter) -> None:
        self._parts = parts
        self._writer = writer

    def add_to(self, app: Flask) -> None:
        """Add the routes."""
        app.add_url_rule("/v1/jobs", "submit", self.submit, methods=["POST"])
        app.add_url_rule("/v1/jobs/<job_id>", "job", self.show)
        app.add_url_rule("/v1/jobs/<job_id>/result", "result", self.show_result)
        app.add_url_rule("/v1/jobs/<job_id>/timeline", "timeline", self.show_timeline)
        app.add_url_rule("/v1/jobs/<job_id>/cancel", "cancel", self.cancel, methods=["POST"])
        app.add_url_rule("/v1/jobs/<job_id>/redrive", "redrive", self.redrive, methods=["POST"])

    def submit(self) -> Response:
        """Accept a job; it is durable before the 202 leaves."""
        user = self._caller()
        data = read_json_body(request, max_bytes=self._parts.max_request_bytes)
        body, prompt = read_job_body(parse_json(data))
        self._check_retention(body.retention)
        self._check_webhook(body.webhook)
        asked = [document.upload_id for document in body.documents or ()]
        job = submit_job(
            JobRequest(
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
            ),
            self._parts.submit,
        )
        g.job_id = job.id
        response = _json_response(self._writer.write(job), status=202)
        response.headers["Location"] = links_of(job)["self"]
        return self._with_state(response, job)

    def show(self, job_id: str) -> Response:
        """Show the job, or say that it has not changed."""
        job = self._own_job(job_id)
        if request.if_none_match.contains_weak(self._writer.version_of(job)):
            return self._with_state(Response(status=304), job)
        return self._with_state(_json_response(self._writer.write(job)), job)

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

    def _caller(self) -> UserId:
        return identify_caller(request.headers, self._parts.authenticator)

    def _own_job(self, text: str) -> Job:
        user = self._caller()
        job_id = parse_job_id(text)
        if job_id is None:
            raise JobNotFound("no job can have this id")
        g.job_id = job_id
        return get_own_job(job_id, user, self._parts.store)

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
