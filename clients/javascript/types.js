/**
 * What goes over the wire, as docs/api.md and /asyncapi.json describe it: names are the API's own.
 *
 * @typedef {"PENDING" | "PENDING_RETRY" | "RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "EXPIRED"} JobStatus
 *
 * @typedef {{code: string, message: string, retryable: boolean}} JobError
 *
 * @typedef {object} JobResult A text, or the address of a long one.
 * @property {string} [text]
 * @property {string} [url]
 * @property {string} [url_expires_at]
 * @property {number} [bytes]
 * @property {{url: string, bytes: number}} [raw] Of a job with a native `body`; `jobs.raw` gives it.
 *
 * @typedef {{done: number, total: number}} Progress Parts of a divided job.
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {JobStatus} status
 * @property {string} model
 * @property {number} attempt
 * @property {number} max_attempts
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} ended_at
 * @property {JobError | null} error
 * @property {JobResult | null} [result] Not in lists.
 * @property {{input_tokens: number, output_tokens: number} | null} usage
 * @property {string | null} stop_reason
 * @property {Record<string, string>} metadata
 * @property {string} trace_id
 * @property {Record<string, string>} links
 * @property {Progress} [progress]
 *
 * @typedef {object} JobEvent One event of a job; `seq` rises strictly over the job's whole life.
 * @property {"event"} [type]
 * @property {string} job_id
 * @property {number} seq
 * @property {string} event `job.queued`, `job.started`, `job.delta`, ...
 * @property {string} at
 * @property {number} attempt
 * @property {string} [trace_id]
 * @property {string} [text]
 * @property {number} [seq_from]
 * @property {number} [delay_s]
 * @property {JobError} [error]
 * @property {JobResult} [result]
 * @property {number} [done]
 * @property {number} [total]
 *
 * @typedef {object} FieldProblem
 * @property {string} field
 * @property {string} detail
 *
 * @typedef {object} Timeline
 * @property {string} id
 * @property {string} trace_id
 * @property {JobStatus} status
 * @property {Step[]} steps
 *
 * @typedef {object} Step
 * @property {string} step
 * @property {string} at
 * @property {number} after_ms Since the step before.
 * @property {number | null} took_ms How long the call took that ended here.
 * @property {string | null} until When what failed may be, or was, tried again.
 * @property {string} by The process that took it.
 * @property {number | null} attempt
 * @property {string | null} error
 * @property {string | null} detail
 * @property {{id: string, kind: string, try: number | null, status: number | null} | null} delivery Which one it tells of.
 *
 * @typedef {Record<string, any>} Delivery As docs/api.md has it under Webhooks.
 *
 * @typedef {object} Upload
 * @property {string} upload_id What `documents: [{upload_id}]` of a job names.
 * @property {string} name
 * @property {string} content_type
 * @property {number} bytes
 */

export {};
