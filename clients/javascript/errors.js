/** @import { FieldProblem } from "./types.js" */

/**
 * What went wrong. `code` is for programs, `message` for people.
 *
 * The server's codes are in docs/api.md under Errors. This client's own are `connection_failed`,
 * `unreadable_answer`, `connection_refused` (the WebSocket is not to be opened again),
 * `no_base_url`, `no_websocket`, `insecure_context`, `unknown_content_type`, `upload_refused` and
 * `job_cancelled`.
 */
export class LonghaulError extends Error {
  /**
   * @param {string} message
   * @param {object} about
   * @param {string} about.code
   * @param {number | null} [about.status] Of the HTTP answer, where there was one.
   * @param {FieldProblem[]} [about.fields] Which fields of the request are wrong, and why.
   * @param {string | null} [about.traceId]
   * @param {number | null} [about.retryAfterMs] How long the server asks to wait.
   * @param {boolean} [about.retryable]
   * @param {unknown} [about.cause]
   */
  constructor(message, { code, status, fields, traceId, retryAfterMs, retryable, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "LonghaulError";
    this.code = code;
    this.status = status ?? null;
    this.fields = fields ?? [];
    this.traceId = traceId ?? null;
    this.retryAfterMs = retryAfterMs ?? null;
    this.retryable = retryable ?? false;
  }
}

/** HTTP answers that the same request may get another one for, a little later. */
const PASSING = new Set([429, 502, 503, 504]);

/**
 * Read why the server refused.
 *
 * @param {Response} answer
 * @param {string} body
 */
export function refusalOf(answer, body) {
  const problem = readProblem(body);
  return new LonghaulError(problem.detail ?? problem.title ?? `HTTP ${answer.status}`, {
    code: problem.code ?? `http_${answer.status}`,
    status: answer.status,
    fields: problem.errors,
    traceId: problem.trace_id,
    retryAfterMs: readRetryAfter(answer.headers.get("Retry-After")),
    retryable: PASSING.has(answer.status),
  });
}

/** @param {unknown} cause */
export function connectionFailed(cause) {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LonghaulError(`the server cannot be reached: ${why}`, {
    code: "connection_failed",
    retryable: true,
    cause,
  });
}

/**
 * Say what a caller's own abort looks like to the caller.
 *
 * @param {AbortSignal} signal
 */
export function abortOf(signal) {
  return signal.reason ?? new DOMException("aborted", "AbortError");
}

/**
 * @param {string} body
 * @returns {{detail?: string, title?: string, code?: string, errors?: FieldProblem[], trace_id?: string}}
 */
function readProblem(body) {
  try {
    const problem = JSON.parse(body);
    return problem !== null && typeof problem === "object" ? problem : {};
  } catch {
    return {}; // a proxy's own page, say
  }
}

/**
 * @param {string | null} header Seconds, or a date.
 * @returns {number | null}
 */
function readRetryAfter(header) {
  if (!header) return null;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}
