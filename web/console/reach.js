/** @import { Connection } from "/static/longhaul/live_socket.js" */

const DOUBTED_AFTER_MS = 1000; // a server that restarts is back at once
const LOST_AGAIN_MS = 2000;
const THERE_AGAIN_MS = 15_000; // it answers, but a proxy may let no WebSocket through

/** Whether the server can be reached: asked for while no news comes. */
export class Reach {
  /** @type {number | null} */
  #doubtedSince = null;
  /** @type {number | null} */
  #lostSince = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} terms
   * @param {() => Promise<boolean>} terms.probe Whether the server answers now.
   * @param {(lostSince: number | null) => void} terms.onChange
   */
  constructor({ probe, onChange }) {
    this.#probe = probe;
    this.#onChange = onChange;
  }

  /** @type {() => Promise<boolean>} */
  #probe;
  /** @type {(lostSince: number | null) => void} */
  #onChange;

  /** Up to when anything is known, in milliseconds since 1970. */
  now = () => this.#lostSince ?? Date.now();

  /** @param {Connection["state"]} state A socket's; one that was closed by our own hand tells nothing. */
  hear(state) {
    if (state === "closed") return;
    if (state === "open") return this.forget();
    if (this.#doubtedSince !== null) return;
    this.#doubtedSince = Date.now();
    this.#lookIn(DOUBTED_AFTER_MS);
  }

  /** Take it for reached: news comes, or nobody waits for any. */
  forget() {
    clearTimeout(this.#timer);
    this.#doubtedSince = null;
    this.#turn(null);
  }

  /** @param {number} ms */
  #lookIn(ms) {
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look() {
    const since = this.#doubtedSince;
    const isThere = await this.#probe();
    if (since === null || since !== this.#doubtedSince) return; // news has come meanwhile
    this.#turn(isThere ? null : since);
    this.#lookIn(isThere ? THERE_AGAIN_MS : LOST_AGAIN_MS);
  }

  /** @param {number | null} lostSince */
  #turn(lostSince) {
    if (lostSince === this.#lostSince) return;
    this.#lostSince = lostSince;
    this.#onChange(lostSince);
  }
}
