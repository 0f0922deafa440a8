/** @import { Job, JobStatus } from "/static/longhaul/types.js" */

/** @type {Record<JobStatus, string>} */
const STATUS = {
  PENDING: "Waiting",
  RUNNING: "Running",
  PENDING_RETRY: "Will retry",
  COMPLETED: "Completed",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
  EXPIRED: "Expired",
};

const LONGEST_TITLE = 80;

/** @param {JobStatus | null} status */
export const statusWord = (status) => (status === null ? "Loading" : (STATUS[status] ?? status));

/**
 * Give a job's name for people: what the console noted when it was submitted, or its id's end.
 *
 * @param {Pick<Job, "id" | "metadata">} job
 */
export const titleOf = ({ id, metadata }) => metadata?.title || `Job …${id.slice(-8)}`;

/**
 * Make a title of a prompt's first line.
 *
 * @param {string} prompt
 */
export function titleFrom(prompt) {
  const [first = ""] = prompt.trimStart().slice(0, 1000).split("\n", 1);
  const line = first.replace(/\s+/g, " ").trim();
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1).trimEnd()}…` : line;
}

/**
 * Say how long something takes: `84 ms`, `3.1 s`, `2 min 5 s`.
 *
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return wholeDuration(ms);
}

/**
 * The same without fractions, for what counts up or down before one's eyes.
 *
 * @param {number} ms
 */
export function wholeDuration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * @param {string} iso
 * @returns {string} The time of today, the date of another day.
 */
export function shortTime(iso) {
  const at = new Date(iso);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday
    ? at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })
    : at.toLocaleDateString(undefined, { month: "short", day: "numeric" });
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
