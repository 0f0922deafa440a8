import { Channel } from "./channel.js";
import { LonghaulError } from "./errors.js";
import { isTerminalEvent, isTerminalStatus } from "./fold.js";
import { LiveSocket } from "./live_socket.js";
import { backOff } from "./waiting.js";

/**
 * @import { Follower } from "./jobs.js"
 * @import { SocketTerms } from "./live_socket.js"
 * @import { JobEvent } from "./types.js"
 */

const MOST_JOBS = 100; // that the server lets one socket watch
const LONGEST_ID = 100; // characters that the server repeats in an error
const LINGER_MS = 1_000; // a component that is made anew finds its socket still open
const PASSING = new Set(["unavailable", "internal_error"]);

/**
 * Follows jobs over one shared WebSocket; every hundred jobs more take one more. Where none opens,
 * because a proxy or a policy lets none through, it follows them the other way.
 */
export class Subscriptions {
  /**
   * @param {SocketTerms} terms
   * @param {Follower} otherWay
   */
  constructor(terms, otherWay) {
    this.#terms = terms;
    this.#otherWay = otherWay;
  }

  /** @type {SocketTerms} */
  #terms;
  /** @type {Follower} */
  #otherWay;
  /** @type {Line[]} */
  #lines = [];

  /**
   * Give a job's events after a number, each once and in order, to its last one.
   *
   * @param {string} jobId
   * @param {number} after
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<JobEvent, void, void>}
   */
  async *follow(jobId, after, signal) {
    if (jobId.length > LONGEST_ID) {
      throw new LonghaulError("no job can have this id", { code: "job_not_found" });
    }
    const line = this.#lineFor(jobId);
    const reader = new Reader(after);
    line.join(jobId, reader);
    try {
      yield* reader.channel.read(signal);
      return;
    } catch (error) {
      if (!(error instanceof LonghaulError && error.code === "no_websocket")) throw error;
    } finally {
      line.leave(jobId, reader);
    }
    yield* this.#otherWay.follow(jobId, reader.seq, signal);
  }

  close() {
    for (const line of this.#lines) line.close();
  }

  /** @param {string} jobId */
  #lineFor(jobId) {
    let line =
      this.#lines.find((one) => one.isWatching(jobId)) ?? this.#lines.find((one) => one.hasRoom);
    if (line === undefined) {
      line = new Line(this.#terms);
      this.#lines.push(line);
    }
    return line;
  }
}

/** One who reads a job's events, and how far they have come. */
class Reader {
  /** @param {number} after */
  constructor(after) {
    this.seq = after;
    /** @type {Channel<JobEvent>} */
    this.channel = new Channel();
    this.isHearing = false; // what is live may be told only after what was missed
    this.end = 0; // a terminal event below this number was followed by a redrive
  }

  /** @param {JobEvent} event */
  take(event) {
    if (!this.isHearing || event.seq <= this.seq) return;
    this.seq = event.seq;
    this.channel.push(event);
    if (isTerminalEvent(event.event) && event.seq >= this.end) this.channel.end();
  }
}

/** One socket and the jobs that are watched over it. */
class Line {
  /** @param {SocketTerms} terms */
  constructor(terms) {
    this.#socket = new LiveSocket(terms, {
      onOpen: () => this.#askAnew(),
      onMessage: (message) => this.#take(message),
      onRefused: (error) => this.#end(error),
      hasAnotherWay: true,
    });
  }

  /** @type {LiveSocket} */
  #socket;
  /** @type {Map<string, Set<Reader>>} */
  #jobs = new Map();
  /**
   * What was asked for and not yet answered, in order: each job's `after`s.
   *
   * @type {Map<string, number[]>}
   */
  #asked = new Map();
  #refusals = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #lingering;

  get hasRoom() {
    return this.#jobs.size < MOST_JOBS;
  }

  /** @param {string} jobId */
  isWatching(jobId) {
    return this.#jobs.has(jobId);
  }

  /**
   * @param {string} jobId
   * @param {Reader} reader
   */
  join(jobId, reader) {
    clearTimeout(this.#lingering);
    const readers = this.#jobs.get(jobId) ?? new Set();
    this.#jobs.set(jobId, readers.add(reader));
    if (this.#socket.isOpen) this.#ask(jobId, reader.seq);
    else this.#socket.start();
  }

  /**
   * @param {string} jobId
   * @param {Reader} reader
   */
  leave(jobId, reader) {
    const readers = this.#jobs.get(jobId);
    if (!readers?.delete(reader) || readers.size > 0) return;
    this.#jobs.delete(jobId);
    this.#socket.send({ type: "unsubscribe", job_id: jobId });
    if (this.#jobs.size === 0) this.#lingering = setTimeout(() => this.close(), LINGER_MS);
  }

  close() {
    clearTimeout(this.#lingering);
    this.#socket.stop();
    this.#end(new LonghaulError("the client was closed", { code: "closed" }));
  }

  #askAnew() {
    this.#asked.clear();
    for (const [jobId, readers] of this.#jobs) {
      for (const reader of readers) reader.isHearing = false;
      this.#ask(jobId, leastOf(readers));
    }
  }

  /**
   * @param {string} jobId
   * @param {number} after
   */
  #ask(jobId, after) {
    const asked = this.#asked.get(jobId) ?? [];
    asked.push(after);
    this.#asked.set(jobId, asked);
    this.#socket.send({ type: "subscribe", job_id: jobId, after });
  }

  /** @param {any} message */
  #take(message) {
    switch (message.type) {
      case "event":
        return this.#jobs.get(message.job_id)?.forEach((reader) => reader.take(message));
      case "subscribed":
        return this.#begin(message);
      case "error":
        return this.#refuse(message);
    }
  }

  /** @param {{job_id: string, seq: number, job: {status: string}}} message */
  #begin({ job_id: jobId, seq, job }) {
    const after = this.#answered(jobId);
    if (after === undefined) return;
    this.#refusals = 0;
    for (const reader of this.#jobs.get(jobId) ?? []) {
      if (reader.seq < after) continue; // it has asked for more, and that is still to come
      reader.isHearing = true;
      reader.end = seq;
      if (isTerminalStatus(job.status) && reader.seq >= seq) reader.channel.end();
    }
  }

  /** @param {{code: string, detail: string, job_id?: string, trace_id?: string}} message */
  #refuse({ code, detail, job_id: jobId, trace_id: traceId }) {
    if (jobId === undefined || this.#answered(jobId) === undefined) return;
    const waiting = [...(this.#jobs.get(jobId) ?? [])].filter((reader) => !reader.isHearing);
    if (PASSING.has(code)) {
      setTimeout(() => this.#askAgain(jobId), backOff(this.#refusals++));
      return;
    }
    for (const reader of waiting) reader.channel.end(new LonghaulError(detail, { code, traceId }));
  }

  /** @param {string} jobId */
  #askAgain(jobId) {
    const readers = this.#jobs.get(jobId);
    if (readers === undefined || !this.#socket.isOpen) return;
    this.#ask(jobId, leastOf(readers));
  }

  /**
   * @param {string} jobId
   * @returns {number | undefined} What had been asked for.
   */
  #answered(jobId) {
    const asked = this.#asked.get(jobId);
    const after = asked?.shift();
    if (asked?.length === 0) this.#asked.delete(jobId);
    return after;
  }

  /** @param {unknown} error */
  #end(error) {
    for (const readers of this.#jobs.values()) {
      for (const reader of readers) reader.channel.end(error);
    }
    this.#jobs.clear();
    this.#asked.clear();
  }
}

/** @param {Set<Reader>} readers */
function leastOf(readers) {
  return Math.min(...Array.from(readers, (reader) => reader.seq));
}
