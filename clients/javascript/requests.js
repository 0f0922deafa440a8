import { LonghaulError, abortOf, connectionFailed, refusalOf } from "./errors.js";
import { Patience, backOff, sleep } from "./waiting.js";

const ANSWERS_WITHIN_MS = 30_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * @typedef {object} Ask
 * @property {string} [method]
 * @property {Record<string, string>} [headers]
 * @property {unknown} [json] The body.
 * @property {AbortSignal} [signal]
 * @property {number} [waitMs] How long the server was asked to hold its answer back.
 * @property {boolean} [isRepeatable] Asking twice is as good as once, so a lost answer is asked for again.
 *
 * @typedef {{status: number, headers: Headers, text: string}} Answer
 */

/** Asks the server over HTTP: credential, bounded retries, refusals as LonghaulError. */
export class Requests {
  /**
   * @param {object} terms
   * @param {string} terms.baseUrl
   * @param {string | (() => string | Promise<string>) | undefined} terms.apiKey
   * @param {typeof globalThis.fetch} terms.fetch
   * @param {number} terms.retries
   */
  constructor({ baseUrl, apiKey, fetch, retries }) {
    this.baseUrl = baseUrl.replace(/\/+$/, "");
    this.fetch = fetch;
    this.retries = retries;
    this.hasKey = apiKey !== undefined && apiKey !== "";
    this.#apiKey = apiKey;
  }

  /** @type {string | (() => string | Promise<string>) | undefined} */
  #apiKey;

  /**
   * @param {string} path
   * @param {Ask} [ask]
   * @returns {Promise<any>}
   */
  async json(path, ask) {
    const answer = await this.send(path, ask);
    try {
      return JSON.parse(answer.text);
    } catch (cause) {
      const { status } = answer;
      throw new LonghaulError("the answer is not JSON", { code: "unreadable_answer", status, cause });
    }
  }

  /**
   * Ask, and ask again after 429, 503 and their kind, and after a broken connection where that does no harm.
   *
   * @param {string} path
   * @param {Ask} [ask]
   * @returns {Promise<Answer>}
   */
  async send(path, ask = {}) {
    const isRepeatable = ask.isRepeatable ?? (ask.method ?? "GET") === "GET";
    return this.repeat(() => this.#once(path, ask), { isRepeatable, signal: ask.signal });
  }

  /**
   * @template T
   * @param {() => Promise<T>} attempt
   * @param {{isRepeatable: boolean, signal?: AbortSignal}} terms
   * @returns {Promise<T>}
   */
  async repeat(attempt, { isRepeatable, signal }) {
    for (let retry = 0; ; retry += 1) {
      try {
        return await attempt();
      } catch (error) {
        const delay = this.#delayAfter(error, retry, isRepeatable);
        if (delay === null) throw error;
        await sleep(delay, signal);
      }
    }
  }

  /**
   * Ask once, and give the answer with its body unread. Throws LonghaulError `connection_failed`.
   *
   * @param {string} path
   * @param {Ask} ask
   * @param {Patience} patience
   */
  async open(path, ask, patience) {
    const headers = { ...ask.headers, ...(await this.#credential()) };
    const body = ask.json === undefined ? undefined : JSON.stringify(ask.json);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    patience.last(ANSWERS_WITHIN_MS + (ask.waitMs ?? 0));
    try {
      const { method } = ask;
      const { signal } = patience;
      return await this.fetch(this.baseUrl + path, { method, headers, body, signal, cache: "no-store" });
    } catch (error) {
      if (ask.signal?.aborted) throw abortOf(ask.signal);
      throw connectionFailed(error);
    } finally {
      patience.hold();
    }
  }

  /**
   * @param {string} path
   * @param {Ask} ask
   * @returns {Promise<Answer>}
   */
  async #once(path, ask) {
    const patience = new Patience(ask.signal);
    try {
      const answer = await this.open(path, ask, patience);
      patience.last(ANSWERS_WITHIN_MS);
      const text = await readBody(answer, ask.signal);
      if (!answer.ok && answer.status !== 304) throw refusalOf(answer, text);
      return { status: answer.status, headers: answer.headers, text };
    } finally {
      patience.end();
    }
  }

  /** @returns {Promise<Record<string, string>>} */
  async #credential() {
    const key = typeof this.#apiKey === "function" ? await this.#apiKey() : this.#apiKey;
    return key ? { Authorization: `Bearer ${key}` } : {};
  }

  /**
   * @param {unknown} error
   * @param {number} retry
   * @param {boolean} isRepeatable
   */
  #delayAfter(error, retry, isRepeatable) {
    if (!(error instanceof LonghaulError) || !error.retryable || retry >= this.retries) return null;
    if (error.status === null && !isRepeatable) return null;
    const asked = error.retryAfterMs ?? 0;
    return asked > LONGEST_RETRY_AFTER_MS ? null : asked + backOff(retry);
  }
}

/**
 * Read a body to its end. Throws LonghaulError `connection_failed`.
 *
 * @param {Response} answer
 * @param {AbortSignal} [signal]
 */
export async function readBody(answer, signal) {
  try {
    return await answer.text();
  } catch (error) {
    if (signal?.aborted) throw abortOf(signal);
    throw connectionFailed(error);
  }
}

/** Make a key that no other request has; no secret, so pages without crypto make do with chance. */
export function newIdempotencyKey() {
  const bytes = new Uint8Array(16);
  if (globalThis.crypto) crypto.getRandomValues(bytes);
  else bytes.forEach((_, place) => (bytes[place] = Math.floor(Math.random() * 256)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
