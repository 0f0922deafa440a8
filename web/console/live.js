/**
 * What a job's live events say of its timeline, ahead of its row: pure.
 *
 * @import { JobSnapshot } from "/static/longhaul/watch.js"
 * @import { Live } from "./phases.js"
 */

/**
 * @param {Readonly<JobSnapshot>} seen
 * @param {number} now
 * @returns {Live} An end of which no time is told is now.
 */
export function liveOf({ attempt, textSince, isEnded, job }, now) {
  const endedAt = isEnded ? Date.parse(job?.ended_at ?? new Date(now).toISOString()) : null;
  return { attempt, textSince, endedAt };
}

/**
 * Name what the row has a new step for: as long as the name is the same, its steps need not be read anew.
 *
 * @param {Readonly<JobSnapshot>} seen
 */
export const momentOf = ({ status, attempt, text, progress, job }) =>
  [status, attempt, text !== "", progress?.total ?? "", job?.ended_at ?? "", job?.result?.bytes ?? ""].join(" ");
