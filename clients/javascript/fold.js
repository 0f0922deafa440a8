/** @import { JobError, JobEvent, JobResult, JobStatus, Progress } from "./types.js" */

/**
 * What a job's events say of it so far.
 *
 * @typedef {object} JobState
 * @property {number} seq Of the last event; where a stream goes on after.
 * @property {JobStatus | null} status
 * @property {number} attempt
 * @property {string} text Right under every retry and gap.
 * @property {boolean} hasGap Text was lost on the way: `text` is empty until the result comes.
 * @property {JobError | null} error Of the last attempt, while it waits for the next; of the job, once it has ended.
 * @property {number | null} retryAt When the next attempt is due, in milliseconds since 1970.
 * @property {Progress | null} progress Of a divided job.
 * @property {JobResult | null} result Where the whole text is, when the events did not tell all of it.
 * @property {boolean} isEnded
 */

/** @type {Readonly<JobState>} */
export const NOTHING_YET = Object.freeze({
  seq: 0,
  status: null,
  attempt: 0,
  text: "",
  hasGap: false,
  error: null,
  retryAt: null,
  progress: null,
  result: null,
  isEnded: false,
});

/** How each terminal event leaves its job. */
export const ENDINGS = Object.freeze({
  "job.completed": "COMPLETED",
  "job.failed": "FAILED",
  "job.cancelled": "CANCELLED",
  "job.expired": "EXPIRED",
});

/** @param {string} name */
export const isTerminalEvent = (name) => Object.hasOwn(ENDINGS, name);

/** @param {string} status */
export const isTerminalStatus = (status) =>
  /** @type {string[]} */ (Object.values(ENDINGS)).includes(status);

/**
 * Give the state after an event. Pure; an event that was taken before changes nothing.
 *
 * The text follows four rules: `job.started` and `job.retrying` empty it, `job.delta` adds to it,
 * `stream.gap` empties it, and a `result` in `job.completed` replaces it. A result that is named by
 * its `url` is not fetched here: `jobs.textStream` and `jobs.watch` do that before they fold.
 *
 * @param {Readonly<JobState>} state
 * @param {JobEvent} event
 * @returns {Readonly<JobState>}
 */
export function foldEvent(state, event) {
  if (event.seq <= state.seq) return state;
  const { seq } = event;
  const attempt = event.attempt ?? state.attempt;
  switch (event.event) {
    case "job.queued":
      return { ...NOTHING_YET, seq, attempt, status: "PENDING" };
    case "job.started":
      return { ...NOTHING_YET, seq, attempt, status: "RUNNING", progress: state.progress };
    case "job.delta":
      return { ...state, seq, attempt, text: state.text + (event.text ?? "") };
    case "job.progress":
      return { ...state, seq, attempt, progress: { done: event.done ?? 0, total: event.total ?? 0 } };
    case "job.retrying":
      return { ...retrying(state, event), seq, attempt };
    case "stream.gap":
      return { ...state, seq, attempt, text: "", hasGap: true };
    default:
      return isTerminalEvent(event.event) ? { ...ended(state, event), seq, attempt } : { ...state, seq };
  }
}

/**
 * @param {Readonly<JobState>} state
 * @param {JobEvent} event
 * @returns {JobState}
 */
function retrying(state, event) {
  return {
    ...state,
    status: "PENDING_RETRY",
    text: "",
    hasGap: false,
    error: event.error ?? null,
    retryAt: Date.parse(event.at) + (event.delay_s ?? 0) * 1000,
  };
}

/**
 * @param {Readonly<JobState>} state
 * @param {JobEvent} event
 * @returns {JobState}
 */
function ended(state, event) {
  const told = event.result;
  return {
    ...state,
    status: ENDINGS[/** @type {keyof typeof ENDINGS} */ (event.event)],
    text: told ? (told.text ?? "") : state.text,
    hasGap: told ? told.text === undefined : state.hasGap,
    error: event.error ?? null,
    retryAt: null,
    result: told ?? null,
    isEnded: true,
  };
}
