import { isTerminalStatus } from "/static/longhaul/longhaul.js";
import { byId, h } from "./dom.js";
import { NOTHING_LIVE } from "./phases.js";
import { drawTimeline } from "./timeline_picture.js";
import { duration, shortTime } from "./words.js";

/**
 * @import { Jobs } from "/static/longhaul/jobs.js"
 * @import { Timeline as Steps } from "/static/longhaul/types.js"
 * @import { Live } from "./phases.js"
 */

const REREAD_MS = 400; // several things happen at once, such as a claim and a call
const REDRAWN_MS = 1000;
const TOLD_WITHIN_MS = 3000; // after a job's end, which no event follows, its receivers are told
const LONGEST_WAIT_MS = 60_000; // for a try to tell one

/** A job's steps as a picture and as a table. */
export class Timeline {
  #picture = byId("timeline-picture", HTMLElement);
  #table = byId("timeline-steps", HTMLElement);
  /** @type {Steps["steps"]} */
  #steps = [];
  /** @type {AbortController | null} */
  #reading = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #soon;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  /** @type {Jobs | null} */
  #jobs = null;
  #jobId = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} When a delivery may have been tried. */
  #later;
  #hasLookedAgain = false;
  /** @type {Live} */
  #live = NOTHING_LIVE;

  /** @param {() => number} now Up to when anything is known, in milliseconds since 1970. */
  constructor(now) {
    this.#now = now;
    new ResizeObserver(() => this.#draw()).observe(this.#picture);
  }

  /** @type {() => number} */
  #now;

  /**
   * @param {Jobs} jobs
   * @param {string} jobId
   */
  open(jobs, jobId) {
    this.close();
    this.#jobs = jobs;
    this.#jobId = jobId;
    this.#steps = [];
    this.#live = NOTHING_LIVE;
    this.#hasLookedAgain = false;
    this.#show();
    this.#ticking = setInterval(() => this.#draw(), REDRAWN_MS);
    this.reread();
  }

  close() {
    clearTimeout(this.#soon);
    clearTimeout(this.#later);
    this.#soon = undefined;
    clearInterval(this.#ticking);
    this.#reading?.abort();
    this.#jobs = null;
  }

  /** Draw it as the events say, until the row says so. @param {Live} live */
  follow(live) {
    const { attempt, textSince, endedAt } = this.#live;
    const isSame = live.attempt === attempt && live.textSince === textSince;
    if (isSame && (live.endedAt === null) === (endedAt === null)) return;
    this.#live = live;
    this.#draw();
  }

  /** Something has happened: read it in a moment. */
  reread() {
    this.#soon ??= setTimeout(() => void this.#read(), REREAD_MS);
  }

  async #read() {
    this.#soon = undefined;
    this.#reading?.abort();
    const { signal } = (this.#reading = new AbortController());
    try {
      const read = await this.#jobs?.timeline(this.#jobId, { signal });
      if (!read || signal.aborted) return;
      this.#steps = read.steps;
      this.#show();
      this.#lookLater(read);
    } catch {
      // what is shown stays; a job that cannot be read says so itself
    }
  }

  /** @param {Steps} read */
  #lookLater({ status, steps }) {
    clearTimeout(this.#later);
    if (!isTerminalStatus(status)) return;
    const now = Date.now();
    const waits = steps.flatMap(({ until }) => (until ? [Date.parse(until) + REDRAWN_MS - now] : []));
    const next = waits.filter((wait) => wait > 0 && wait < LONGEST_WAIT_MS);
    if (!this.#hasLookedAgain) next.push(TOLD_WITHIN_MS);
    this.#hasLookedAgain = true;
    if (next.length > 0) this.#later = setTimeout(() => void this.#read(), Math.min(...next));
  }

  #show() {
    this.#draw();
    const start = Date.parse(this.#steps[0]?.at ?? "");
    this.#table.replaceChildren(
      ...this.#steps.map(({ step, at, took_ms, attempt, by, error, detail, until, delivery }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, step.replaceAll("_", " ")),
          h("td", { class: "number" }, duration(Date.parse(at) - start)),
          h("td", { class: "number" }, took_ms === null ? "–" : duration(took_ms)),
          h("td", { class: "number" }, attempt ?? delivery?.try ?? "–"),
          h("td", {}, by),
          h("td", {}, [error, detail, until && `until ${shortTime(until)}`].filter(Boolean).join(": ") || "–"),
        ),
      ),
    );
  }

  #draw() {
    const width = Math.floor(this.#picture.clientWidth);
    if (width === 0) return;
    const drawn = drawTimeline(this.#steps, this.#now(), width, this.#live);
    this.#picture.replaceChildren(drawn ?? h("p", { class: "hint" }, "Reading the steps…"));
  }
}
