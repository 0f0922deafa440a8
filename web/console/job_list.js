import { NOTHING_YET, foldEvent } from "/static/longhaul/longhaul.js";
import { byId, h, setText } from "./dom.js";
import { shortTime, statusWord, titleOf } from "./words.js";

/**
 * @import { Longhaul } from "/static/longhaul/longhaul.js"
 * @import { Job, JobEvent } from "/static/longhaul/types.js"
 *
 * @typedef {object} Row
 * @property {Job} job
 * @property {HTMLLIElement} item
 * @property {HTMLAnchorElement} link
 * @property {HTMLElement} status
 * @property {number} heardAt When its state was last told, by performance.now().
 */

const PAGE = 30;

/** The caller's jobs, the newest first, with their states as they change. */
export class JobList {
  #home = byId("list-rows", HTMLElement);
  #empty = byId("list-empty", HTMLElement);
  #emptyWords = this.#empty.textContent ?? "";
  #more = byId("list-more", HTMLButtonElement);
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Set<string>} */
  #asked = new Set();
  /** @type {Longhaul | null} */
  #client = null;
  /** @type {() => void} */
  #leave = () => {};
  /** @type {string | null} */
  #cursor = null;
  #current = "";

  /** @param {(error: unknown) => void} onRefused */
  constructor(onRefused) {
    this.#onRefused = onRefused;
    this.#more.addEventListener("click", () => void this.#readMore());
  }

  /** @type {(error: unknown) => void} */
  #onRefused;

  /**
   * Show the first page, and follow. Throws LonghaulError where the caller may not.
   *
   * @param {Longhaul} client
   */
  async open(client) {
    this.close();
    this.#client = client;
    const onMissed = () => void this.#reread();
    const onError = this.#onRefused;
    // Before the page is read: what happens in between is in one of the two.
    this.#leave = client.watchAll((event) => this.#hear(event), { onMissed, onError });
    await this.#readFirst();
  }

  close() {
    this.#leave();
    this.#leave = () => {};
    this.#client = null;
    this.#rows.clear();
    this.#asked.clear();
    this.#home.replaceChildren();
    this.#more.hidden = true;
  }

  /** @param {string} jobId Which one is shown beside the list. */
  mark(jobId) {
    this.#rows.get(this.#current)?.link.removeAttribute("aria-current");
    this.#current = jobId;
    this.#rows.get(jobId)?.link.setAttribute("aria-current", "page");
  }

  /** @param {Job} job One that was just submitted here. */
  add(job) {
    this.#take(job, performance.now());
    this.#order();
  }

  /** @param {unknown} error Why there is no list. */
  tell(error) {
    setText(this.#empty, error instanceof Error ? error.message : String(error));
    this.#empty.hidden = false;
  }

  async #readFirst() {
    const askedAt = performance.now();
    const page = await this.#client?.jobs.page({ limit: PAGE });
    if (!page) return;
    for (const job of page.jobs) this.#take(job, askedAt);
    this.#cursor ??= page.next_cursor;
    this.#order();
  }

  async #reread() {
    try {
      await this.#readFirst();
    } catch (error) {
      this.#onRefused(error);
    }
  }

  async #readMore() {
    if (!this.#client || this.#cursor === null) return;
    this.#more.disabled = true;
    try {
      const askedAt = performance.now();
      const page = await this.#client.jobs.page({ limit: PAGE, cursor: this.#cursor });
      for (const job of page.jobs) this.#take(job, askedAt);
      this.#cursor = page.next_cursor;
      this.#order();
      const [first] = page.jobs;
      if (this.#cursor === null && first) this.#rows.get(first.id)?.link.focus(); // the button goes
    } catch (error) {
      this.#onRefused(error);
    } finally {
      this.#more.disabled = false;
    }
  }

  /** @param {JobEvent} event */
  #hear(event) {
    const { status } = foldEvent(NOTHING_YET, event);
    if (status === null) return;
    const row = this.#rows.get(event.job_id);
    if (row === undefined) return void this.#meet(event.job_id);
    row.heardAt = performance.now();
    row.job = { ...row.job, status };
    this.#paint(row);
  }

  /** A job that was submitted elsewhere. @param {string} jobId */
  async #meet(jobId) {
    if (this.#asked.has(jobId)) return;
    this.#asked.add(jobId);
    const client = this.#client;
    try {
      const askedAt = performance.now();
      const job = await client?.jobs.get(jobId);
      if (job && client === this.#client) {
        this.#take(job, askedAt);
        this.#order();
      }
    } catch {
      // gone already, or to be found by the next reading
    } finally {
      this.#asked.delete(jobId);
    }
  }

  /**
   * @param {Job} job
   * @param {number} askedAt What was told later is newer.
   */
  #take(job, askedAt) {
    const known = this.#rows.get(job.id);
    if (known === undefined) {
      this.#rows.set(job.id, this.#make(job));
    } else if (known.heardAt <= askedAt) {
      known.job = job;
      this.#paint(known);
    }
  }

  /**
   * @param {Job} job
   * @returns {Row}
   */
  #make(job) {
    const status = h("span", { class: "status" });
    const time = h("time", { datetime: job.created_at, class: "hint" }, shortTime(job.created_at));
    const title = h("span", { class: "row-title" }, titleOf(job));
    const isCurrent = job.id === this.#current;
    const link = h(
      "a",
      { href: `#/jobs/${job.id}`, "aria-current": isCurrent ? "page" : null },
      title,
      h("span", { class: "row-line" }, status, time),
    );
    const row = { job, item: h("li", {}, link), link, status, heardAt: 0 };
    this.#paint(row);
    return row;
  }

  /** @param {Row} row */
  #paint({ job, status }) {
    status.dataset.status = job.status;
    setText(status, statusWord(job.status));
  }

  /** Let the page's order be the jobs', and move only what is not in its place: focus stays. */
  #order() {
    const rows = [...this.#rows.values()].sort(newestFirst);
    rows.forEach(({ item }, index) => {
      const there = this.#home.children[index];
      if (there !== item) this.#home.insertBefore(item, there ?? null);
    });
    setText(this.#empty, this.#emptyWords);
    this.#empty.hidden = rows.length > 0;
    this.#more.hidden = this.#cursor === null;
  }
}

/**
 * @param {Row} one
 * @param {Row} other
 */
const newestFirst = ({ job: one }, { job: other }) =>
  Date.parse(other.created_at) - Date.parse(one.created_at) || (one.id < other.id ? 1 : -1);
