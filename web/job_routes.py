"""The REST calls about one job."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request

from jobs.caller import Scope
from jobs.cancel import cancel_job
from jobs.delete import delete_job
from jobs.errors import FieldProblem, InvalidRequest, JobNotFound
from jobs.hops import may_have_been_told
from jobs.job import Inline, JobStatus, Stored, parse_job_id
from jobs.redrive import redrive_job
from jobs.results import Form, get_own_job, payload_of
from web import job_calls
from web.job_answers import JobAnswers, json_response
from web.job_json import links_of, write_timeline
from web.routes import Route, the_caller

if TYPE_CHECKING:
    from jobs.job import Job, JobId
    from web.job_json import JobWriter
    from web.parts import WebParts

_CONTENT_TYPES = {Form.TEXT: "text/plain; charset=utf-8", Form.RAW: "application/json"}


class JobRoutes:
    """Everything under /v1/jobs/{id}, each for the caller's own jobs only."""

    def __init__(self, parts: WebParts, writer: JobWriter) -> None:
        self._parts = parts
        self._answers = JobAnswers(writer=writer, clock=parts.clock)
        self._writer = writer

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        read, write, one = Scope.READ, Scope.WRITE, "/v1/jobs/<job_id>"
        table = (
            ("job", "GET", one, self.show, read, job_calls.SHOW),
            ("delete", "DELETE", one, self.delete, write, job_calls.DELETE),
            ("result", "GET", f"{one}/result", self.show_result, read, job_calls.RESULT),
            ("timeline", "GET", f"{one}/timeline", self.show_timeline, read, job_calls.TIMELINE),
            ("cancel", "POST", f"{one}/cancel", self.cancel, write, job_calls.CANCEL),
            ("redrive", "POST", f"{one}/redrive", self.redrive, write, job_calls.REDRIVE),
        )
        return tuple(
            Route(
                name=name,
                method=method,
                path=path,
                view=view,
                scope=scope,
                call=call,
                is_submit=name == "redrive",
            )
            for name, method, path, view, scope, call in table
        )

    def show(self, job_id: str) -> Response:
        """Show the job, or say that it has not changed."""
        job = self._own_job(job_id)
        if request.if_none_match.contains_weak(self._writer.version_of(job)):
            return self._answers.with_state(Response(status=304), job)
        return self._answers.show(job)

    def delete(self, job_id: str) -> Response:
        """Remove an ended job with its prompt, its results and its log."""
        delete_job(_id_of(job_id), the_caller().user, self._parts.delete)
        return Response(status=HTTPStatus.NO_CONTENT)

    def show_result(self, job_id: str) -> Response:
        """Give the model's text, or the JSON of a native answer, or lead to it."""
        form, payload = payload_of(self._own_job(job_id), _form_asked())
        match payload:
            case Inline(text=text):
                response = Response(text, content_type=_CONTENT_TYPES[form])
            case Stored() as stored:
                response = Response(status=303, headers={"Location": self._writer.sign(stored)})
        response.headers["Cache-Control"] = "no-store"
        return response

    def show_timeline(self, job_id: str) -> Response:
        """Show each step that the job has taken, and each try to tell of its ends."""
        job = self._own_job(job_id)
        deliveries = self._parts.deliveries.of_job(job.id) if may_have_been_told(job) else ()
        return json_response(write_timeline(job, deliveries))

    def cancel(self, job_id: str) -> Response:
        """Cancel the job; 202 where that ended it, 200 where it had ended before."""
        before = self._own_job(job_id)
        job = cancel_job(before, self._parts.cancel)
        ended_now = job.status is JobStatus.CANCELLED and not before.status.is_terminal
        status = HTTPStatus.ACCEPTED if ended_now else HTTPStatus.OK
        return self._answers.show(job, status=status)

    def redrive(self, job_id: str) -> Response:
        """Let a job that ended without a result wait again."""
        job = redrive_job(self._own_job(job_id), self._parts.redrive, asked=g.trace)
        response = self._answers.show(job, status=HTTPStatus.ACCEPTED)
        response.headers["Location"] = links_of(job)["self"]
        return response

    def _own_job(self, text: str) -> Job:
        return get_own_job(_id_of(text), the_caller().user, self._parts.store)


def _id_of(text: str) -> JobId:
    job_id = parse_job_id(text)
    if job_id is None:
        raise JobNotFound("no job can have this id")
    g.job_id = job_id
    return job_id


def _form_asked() -> Form | None:
    asked = request.args.get("form")
    if asked is None:
        return None
    try:
        return Form(asked)
    except ValueError as error:
        detail = "must be text or raw"
        problem = FieldProblem(field="form", detail=detail)
        raise InvalidRequest(f"form {detail}", problems=(problem,)) from error
