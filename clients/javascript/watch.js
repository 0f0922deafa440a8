import { NOTHING_YET, foldEvent, isTerminalEvent } from "./fold.js";

/**
 * @import { JobState } from "./fold.js"
 * @import { Jobs } from "./jobs.js"
 * @import { Job, JobError, JobEvent, JobStatus, Progress } from "./types.js"
 */

const TOLD_EVERY_MS = 16; // text: a screen shows no more than that

/**
 * What is known of a job; each change makes a new one.
 *
 * @typedef {object} JobSnapshot
 * @property {Job | null} job As last read: when the watch began, and once the job has ended.
 * @property {string} text So far; right under every retry and gap.
 * @property {number | null} textSince When this attempt's first text came, in milliseconds since 1970.
 * @property {JobStatus | null} status
 * @property {number} attempt
 * @property {JobError | Error | null} error The job's, or why no more can be told of it.
 * @property {Progress | null} progress Of a divided job.
 * @property {number | null} retryAt When the next attempt is due, in milliseconds since 1970.
 * @property {boolean} isEnded
 */

/** @type {Readonly<JobSnapshot>} */
export const NOTHING_KNOWN = Object.freeze({
  job: null,
  text: "",
  textSince: null,
  status: null,
  attempt: 0,
  error: null,
  progress: null,
  retryAt: null,
  isEnded: false,
});

/**
 * One job as a store that a page can show: `subscribe` and `getSnapshot` are what React's
 * useSyncExternalStore takes. It follows the job while someone listens, and goes on where it was
 * when someone listens again.
 */
export class JobWatch {
  /**
   * @param {Jobs} jobs
   * @param {string} jobId
   */
  constructor(jobs, jobId) {
    this.#jobs = jobs;
    this.jobId = jobId;
  }

  /** @type {Jobs} */
  #jobs;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Readonly<JobState>} */
  #state = NOTHING_YET;
  /** @type {Readonly<JobSnapshot>} */
  #snapshot = NOTHING_KNOWN;
  /** @type {AbortController | null} */
  #following = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => void} listener
   * @returns {() => void} Ends it.
   */
  subscribe = (listener) => {
    const own = () => listener(); // the same function may listen twice
    this.#listeners.add(own);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#stop();
    };
  };

  /** @returns {Readonly<JobSnapshot>} */
  getSnapshot = () => this.#snapshot;

  /** @returns {Promise<Job>} */
  cancel = () => this.#jobs.cancel(this.jobId);

  /** @returns {Promise<Job>} */
  redrive = async () => {
    const job = await this.#jobs.redrive(this.jobId);
    this.#know({ job });
    if (this.#listeners.size > 0) {
      this.#stop();
      this.#start();
    }
    return job;
  };

  #start() {
    const following = (this.#following = new AbortController());
    void this.#follow(following.signal).catch((error) => {
      if (!following.signal.aborted) this.#know({ error });
    });
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#following?.abort();
    this.#following = null;
  }

  /** @param {AbortSignal} signal */
  async #follow(signal) {
    await Promise.all([this.#read(signal), this.#listen(signal)]);
    await this.#read(signal);
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    const job = await this.#jobs.get(this.jobId, { signal });
    if (!signal.aborted) this.#know({ job });
  }

  /** @param {AbortSignal} signal */
  async #listen(signal) {
    const terms = { after: this.#state.seq, signal };
    for await (const event of this.#jobs.wholeEvents(this.jobId, terms)) {
      this.#state = foldEvent(this.#state, event);
      const { text, attempt, error, progress, retryAt, isEnded, hasGap } = this.#state;
      const hasWritten = text !== "" || hasGap;
      const textSince = hasWritten ? (this.#snapshot.textSince ?? Date.parse(event.at)) : null;
      const status = this.#state.status ?? this.#snapshot.status;
      const isText = event.event === "job.delta";
      this.#know({ text, textSince, status, attempt, error, progress, retryAt, isEnded }, { isText });
    }
  }

  /**
   * @param {Partial<JobSnapshot>} news
   * @param {{isText?: boolean}} [terms] Text may wait a moment for more of it.
   */
  #know(news, { isText = false } = {}) {
    const known = { ...this.#snapshot, ...news };
    known.status ??= known.job?.status ?? null;
    this.#snapshot = known;
    if (!isText) return this.#tell();
    this.#timer ??= setTimeout(() => this.#tell(), TOLD_EVERY_MS);
  }

  #tell() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** @param {JobEvent} event */
export const namesItsResult = ({ event, result }) =>
  isTerminalEvent(event) && result?.url !== undefined && result.text === undefined;
