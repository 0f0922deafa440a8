import { s } from "./dom.js";
import { PHASE_WORDS, deliveryRowsOf, phasesOf, rowsOf } from "./phases.js";
import { duration } from "./words.js";

/**
 * @import { Timeline } from "/static/longhaul/types.js"
 * @import { Live, Phase, Row } from "./phases.js"
 */

const ROW = 30;
const BAR = 16;
const LABEL = 84;
const FIGURE = 72;
const AXIS = 22;
const THINNEST = 3;
const MOST_ROWS = 40;

/**
 * Draw a job's phases below each other, as long as they took.
 *
 * @param {Timeline["steps"]} steps
 * @param {number} now
 * @param {number} width In pixels.
 * @param {Live} live
 * @returns {SVGSVGElement | null} Nothing where nothing has begun.
 */
export function drawTimeline(steps, now, width, live) {
  const phases = phasesOf(steps, now, live);
  const rows = [...rowsOf(phases), ...deliveryRowsOf(steps, phases, now)].slice(-MOST_ROWS);
  const first = rows[0]?.phases[0];
  if (!first) return null;
  const span = Math.max(1, ...rows.flatMap((row) => row.phases).map((phase) => phase.to - first.from));
  const scale = Math.max(40, width - LABEL - FIGURE) / span;
  const height = rows.length * ROW + AXIS;
  const words = inWords(rows, span);
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
    ...rows.flatMap((row, index) => drawRow(row, index * ROW, (at) => LABEL + (at - first.from) * scale, width)),
    s("line", { x1: LABEL, x2: width - FIGURE, y1: height - AXIS + 3, y2: height - AXIS + 3, class: "axis" }),
    s("text", { x: LABEL, y: height - 4, class: "figure" }, "0"),
    s("text", { x: width - FIGURE, y: height - 4, class: "figure end" }, duration(span)),
  );
}

/**
 * @param {Row} row
 * @param {number} top
 * @param {(at: number) => number} place
 * @param {number} width
 */
function drawRow({ label, phases }, top, place, width) {
  const middle = top + ROW / 2 + 4;
  const took = lengthOf(phases);
  const bars = phases.map((phase) => drawBar(phase, top, place));
  return [
    s("text", { x: 0, y: middle, class: "label" }, label),
    ...bars,
    s("text", { x: width, y: middle, class: "figure end" }, duration(took)),
  ];
}

/**
 * @param {Phase} phase
 * @param {number} top
 * @param {(at: number) => number} place
 */
function drawBar(phase, top, place) {
  const x = place(phase.from);
  const wide = Math.max(THINNEST, place(phase.to) - x);
  const y = top + (ROW - BAR) / 2;
  const told = wordsOf(phase);
  return s(
    "g",
    {},
    s("title", {}, told),
    s("rect", { x, y, width: wide, height: BAR, rx: 3, class: `bar-of ${phase.kind}${phase.isOpen ? " open" : ""}` }),
    phase.error ? s("path", { d: cross(x + wide, y + BAR / 2), class: "failed" }) : null,
  );
}

/**
 * @param {number} x
 * @param {number} y
 */
const cross = (x, y) => `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`;

/** @param {Phase[]} phases */
const lengthOf = (phases) => (phases.at(-1)?.to ?? 0) - (phases[0]?.from ?? 0);

/** @param {Phase} phase */
const wordsOf = (phase) =>
  `${PHASE_WORDS[phase.kind]} ${duration(phase.to - phase.from)}` +
  (phase.error ? `, ended by ${phase.error}` : "") +
  (phase.isOpen ? ", goes on" : "");

/**
 * @param {Row[]} rows
 * @param {number} span
 */
const inWords = (rows, span) =>
  `${duration(span)} in all. ` +
  rows.map(({ label, phases }) => `${label}: ${phases.map(wordsOf).join("; ")}.`).join(" ");
