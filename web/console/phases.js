/**
 * What a job did when, out of its timeline's steps: pure.
 *
 * @import { Timeline } from "/static/longhaul/types.js"
 *
 * @typedef {"queued" | "prepared" | "waited" | "wrote" | "parts" | "backed-off" | "stored" | "told"} PhaseKind
 *
 * @typedef {object} Phase
 * @property {PhaseKind} kind
 * @property {number | null} attempt
 * @property {number} from In milliseconds since 1970.
 * @property {number} to
 * @property {boolean} isOpen It goes on.
 * @property {string | null} error With which it ended.
 *
 * @typedef {object} Live What the events say before the row does.
 * @property {number} attempt
 * @property {number | null} textSince Since when this attempt writes.
 * @property {number | null} endedAt When the job ended.
 *
 * @typedef {{label: string, phases: Phase[]}} Row Phases that follow each other without anything between.
 */

const SHORTEST_DELIVERIES_MS = 10_000;

/** Which phase a step begins. @type {Record<string, PhaseKind | null>} */
const BEGINS = {
  accepted: "queued",
  redriven: "queued",
  interrupted: "queued",
  gathered: "queued",
  claimed: "prepared",
  invoked: "waited",
  first_token: "wrote",
  divided: "parts",
  stored: "stored",
  retrying: "backed-off",
  completed: null,
  failed: null,
  cancelled: null,
  expired: null,
};

/** @type {Live} */
export const NOTHING_LIVE = { attempt: 0, textSince: null, endedAt: null };

/**
 * @param {Timeline["steps"]} steps
 * @param {number} now Where a phase that goes on is drawn to.
 * @param {Live} [live]
 * @returns {Phase[]}
 */
export function phasesOf(steps, now, live = NOTHING_LIVE) {
  /** @type {Phase[]} */
  const phases = [];
  /** @type {Phase | null} */
  let open = null;
  let isOver = false;
  for (const { step, at, attempt, error } of steps) {
    const kind = BEGINS[step];
    if (kind === undefined) continue;
    if (isOver && step !== "redriven") continue; // noted late, or by a clock that is ahead
    const from = Date.parse(at);
    if (open !== null) phases.push(closed(open, from, error));
    open = kind && { kind, attempt, from, to: from, isOpen: true, error: null };
    isOver = kind === null;
  }
  return open === null ? phases : [...phases, ...lived(open, now, live)];
}

/**
 * Go on with the last phase as the live events say: the row is told of a first token when the call ends.
 *
 * @param {Phase} open
 * @param {number} now
 * @param {Live} live
 * @returns {Phase[]}
 */
function lived(open, now, { attempt, textSince, endedAt }) {
  if (open.kind === "waited" && open.attempt === attempt && textSince !== null) {
    const waited = closed(open, textSince, null);
    return [waited, ...lived({ ...open, kind: "wrote", from: waited.to }, now, { attempt, textSince, endedAt })];
  }
  if (endedAt !== null) return [closed(open, Math.min(now, endedAt), null)];
  return [{ ...open, to: Math.max(now, open.from) }];
}

/**
 * @param {Phase} phase
 * @param {number} to
 * @param {string | null} error
 * @returns {Phase}
 */
const closed = (phase, to, error) => ({ ...phase, to: Math.max(phase.from, to), isOpen: false, error });

/**
 * Put what belongs to one attempt into one row.
 *
 * @param {Phase[]} phases
 * @returns {Row[]}
 */
export function rowsOf(phases) {
  /** @type {Row[]} */
  const rows = [];
  for (const phase of phases) {
    const label = labelOf(phase);
    const last = rows.at(-1);
    if (last?.label === label) last.phases.push(phase);
    else rows.push({ label, phases: [phase] });
  }
  return rows;
}

/**
 * Give a row for each delivery of the job's end: its tries, and the waits between them. They may go on for days after
 * the job, so they are shown for as long again as the job took, and at least for some seconds.
 *
 * @param {Timeline["steps"]} steps
 * @param {Phase[]} phases The job's own.
 * @param {number} now
 * @returns {Row[]}
 */
export function deliveryRowsOf(steps, phases, now) {
  const first = phases[0];
  const last = phases.at(-1);
  if (!first || !last) return [];
  const shown = last.to + Math.max(SHORTEST_DELIVERIES_MS, last.to - first.from);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const { step, at, took_ms, until, error, delivery } of steps) {
    if (delivery === null || step === "announced") continue;
    const ended = Date.parse(at);
    const began = ended - (took_ms ?? 0);
    if (began > shown) continue;
    const row = rows.get(delivery.id) ?? { label: DELIVERIES[delivery.kind] ?? delivery.kind, phases: [] };
    rows.set(delivery.id, row);
    row.phases.push({ kind: "told", attempt: delivery.try, from: began, to: Math.min(ended, shown), isOpen: false, error });
    if (until === null || ended > shown) continue;
    const next = Date.parse(until);
    const isOpen = next > now;
    row.phases.push({ kind: "backed-off", attempt: null, from: ended, to: Math.min(next, shown), isOpen, error: null });
  }
  return [...rows.values()];
}

/** @type {Record<string, string>} */
const DELIVERIES = { webhook: "Webhook", eventbridge: "EventBridge", iot: "IoT", apigateway: "API GW" };

/** @param {Phase} phase */
function labelOf({ kind, attempt }) {
  switch (kind) {
    case "queued":
      return "Queued";
    case "prepared":
      return "Prepared";
    case "waited":
    case "wrote":
      return `Attempt ${attempt ?? ""}`.trim();
    case "parts":
      return "Parts";
    case "backed-off":
      return "Back-off";
    case "stored":
      return "Stored";
    case "told":
      return "Told";
  }
}

/** @type {Record<PhaseKind, string>} */
export const PHASE_WORDS = {
  queued: "in the queue",
  prepared: "claimed, before the call",
  waited: "waiting for the first token",
  wrote: "writing",
  parts: "reading the parts",
  "backed-off": "waiting for the next attempt",
  stored: "being stored",
  told: "telling the receiver",
};
