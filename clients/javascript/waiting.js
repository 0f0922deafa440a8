import { abortOf } from "./errors.js";

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/**
 * Say how long to wait before a retry: anything up to a bound that doubles, so that those who were
 * cut off together do not come back together.
 *
 * @param {number} retry The first is 0.
 */
export function backOff(retry) {
  const bound = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(retry, 10));
  return bound / 4 + Math.random() * bound * 0.75;
}

/**
 * Wait. Throws the signal's reason when it is aborted.
 *
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortOf(signal));
    const stop = () => {
      clearTimeout(timer);
      reject(abortOf(/** @type {AbortSignal} */ (signal)));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Aborts by itself when it is not postponed in time, and with another signal. */
export class Patience {
  #controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortSignal | undefined} */
  #outer;

  /** @param {AbortSignal} [outer] */
  constructor(outer) {
    this.#outer = outer;
    if (outer?.aborted) this.#follow();
    outer?.addEventListener("abort", this.#follow, { once: true });
  }

  get signal() {
    return this.#controller.signal;
  }

  /** @param {number} ms Wait this long from now on. */
  last(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`no answer within ${ms} ms`)), ms);
  }

  /** Wait for ever, but for the outer signal. */
  hold() {
    clearTimeout(this.#timer);
  }

  /** Let go of the timer and of the outer signal. */
  end() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#follow);
  }

  #follow = () => {
    this.#controller.abort(abortOf(/** @type {AbortSignal} */ (this.#outer)));
  };
}
