import { byId, h } from "./dom.js";
import { drawTimeline } from "./timeline_picture.js";
import { duration, shortTime } from "./words.js";

/**
 * @import { Jobs } from "/static/longhaul/jobs.js"
 * @import { Timeline as Steps } from "/static/longhaul/types.js"
 */

const REREAD_MS = 400; // several things happen at once, such as a claim and a call
const REDRAWN_MS = 1000;

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

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#picture);
  }

  /**
   * @param {Jobs} jobs
   * @param {string} jobId
   */
  open(jobs, jobId) {
    this.close();
    this.#jobs = jobs;
    this.#jobId = jobId;
    this.#steps = [];
    this.#show();
    this.#ticking = setInterval(() => this.#draw(), REDRAWN_MS);
    this.reread();
  }

  close() {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    clearInterval(this.#ticking);
    this.#reading?.abort();
    this.#jobs = null;
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
    } catch {
      // what is shown stays; a job that cannot be read says so itself
    }
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
    const drawn = drawTimeline(this.#steps, Date.now(), width);
    this.#picture.replaceChildren(drawn ?? h("p", { class: "hint" }, "Reading the steps…"));
  }
}
