import { LiveSocket } from "./live_socket.js";

/**
 * @import { SocketTerms } from "./live_socket.js"
 * @import { JobEvent } from "./types.js"
 */

const JOBS_REMEMBERED = 512;

/**
 * @typedef {object} Listener
 * @property {(event: JobEvent) => void} onEvent
 * @property {() => void} [onMissed] Events may have been missed: read the jobs that matter again.
 * @property {(error: unknown) => void} [onError] Nothing more will come.
 */

/**
 * Hears the state events of all the user's jobs.
 *
 * The server tells them on a socket that watches no job by name, so this one is not that of
 * Subscriptions.
 */
export class Overview {
  /** @param {SocketTerms} terms */
  constructor(terms) {
    this.#socket = new LiveSocket(terms, {
      onOpen: () => this.#begin(),
      onMessage: (message) => this.#take(message),
      onRefused: (error) => this.#end(error),
    });
  }

  /** @type {LiveSocket} */
  #socket;
  /** @type {Set<Listener>} */
  #listeners = new Set();
  /** @type {Map<string, number>} */
  #seqs = new Map();
  #hasBegun = false;

  /**
   * @param {Listener} listener
   * @returns {() => void} Ends it.
   */
  listen(listener) {
    this.#listeners.add(listener);
    this.#socket.start();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.close();
    };
  }

  close() {
    this.#listeners.clear();
    this.#socket.stop();
    this.#hasBegun = false;
  }

  #begin() {
    this.#socket.send({ type: "ping" }); // whoever asks for no job by then is told of all
    if (this.#hasBegun) this.#miss();
    this.#hasBegun = true;
  }

  /** @param {any} message */
  #take(message) {
    if (message.type === "event" && this.#isNew(message)) {
      for (const { onEvent } of [...this.#listeners]) onEvent(message);
    } else if (message.type === "error" && message.code === "events_missed") {
      this.#miss();
    }
  }

  /** @param {JobEvent} event */
  #isNew({ job_id: jobId, seq }) {
    if (seq <= (this.#seqs.get(jobId) ?? 0)) return false;
    this.#seqs.delete(jobId); // the longest unheard of is forgotten first
    this.#seqs.set(jobId, seq);
    if (this.#seqs.size > JOBS_REMEMBERED) {
      this.#seqs.delete(/** @type {string} */ (this.#seqs.keys().next().value));
    }
    return true;
  }

  #miss() {
    for (const { onMissed } of [...this.#listeners]) onMissed?.();
  }

  /** @param {unknown} error */
  #end(error) {
    const listeners = [...this.#listeners];
    this.close();
    for (const { onError } of listeners) onError?.(error);
  }
}
