import { CUT, TOO_MANY_MESSAGES, nextAfter } from "./close_codes.js";
import { LonghaulError } from "./errors.js";
import { backOff } from "./waiting.js";

const OPENS_WITHIN_MS = 15_000;
const PING_EVERY_MS = 25_000;
const TRIES = 3; // to open one at all, where there is another way

/**
 * @typedef {object} Connection What a page may show about its connection.
 * @property {"connecting" | "open" | "waiting" | "closed"} state
 * @property {number} [code] With which the last one was closed.
 * @property {number} [retryInMs]
 *
 * @typedef {object} SocketTerms
 * @property {() => Promise<WebSocket>} connect Begins to open one, with a credential of its own.
 * @property {boolean} hasKey Whether `connect` shows a credential that can be shown anew.
 * @property {(connection: Connection) => void} [onConnection]
 *
 * @typedef {object} Ears
 * @property {() => void} onOpen
 * @property {(message: any) => void} onMessage
 * @property {(error: unknown) => void} onRefused Nothing more will come.
 * @property {boolean} [hasAnotherWay] Where none opens, say so: a proxy may let none through.
 */

/** One WebSocket that comes back by itself for as long as it is wanted, as the close codes say. */
export class LiveSocket {
  /**
   * @param {SocketTerms} terms
   * @param {Ears} ears
   */
  constructor(terms, ears) {
    this.#terms = terms;
    this.#ears = ears;
  }

  /** @type {SocketTerms} */
  #terms;
  /** @type {Ears} */
  #ears;
  /** @type {WebSocket | null} */
  #socket = null;
  #isWanted = false;
  #isOpen = false;
  #turn = 0; // tells a connection that is being made from a later one
  #retries = 0;
  #hasBeenOpen = false;
  #wasRefused = false;
  #hasAnswered = false;
  #isQuiet = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  get isOpen() {
    return this.#isOpen;
  }

  /** Open it, unless it is. */
  start() {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#retries = 0;
    this.#hasBeenOpen = false;
    this.#wasRefused = false;
    void this.#open();
  }

  /** Close it, and stay away. */
  stop() {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#drop();
    this.#tell({ state: "closed" });
  }

  /** @param {object} message What is sent while it is not open is lost. */
  send(message) {
    if (this.#isOpen) this.#socket?.send(JSON.stringify(message));
  }

  async #open() {
    const turn = ++this.#turn;
    this.#tell({ state: "connecting" });
    let socket;
    try {
      socket = await this.#terms.connect();
    } catch (error) {
      if (turn === this.#turn) this.#failToOpen(error);
      return;
    }
    if (turn !== this.#turn) return socket.close();
    this.#attend(socket);
  }

  /** @param {unknown} error */
  #failToOpen(error) {
    const mayPass = error instanceof LonghaulError && error.retryable;
    if (!mayPass) return this.#giveUp(error);
    const asked = /** @type {LonghaulError} */ (error).retryAfterMs ?? 0;
    this.#comeBack(asked + backOff(this.#retries++));
  }

  /** @param {WebSocket} socket */
  #attend(socket) {
    this.#socket = socket;
    this.#hasAnswered = false;
    this.#timer = setTimeout(() => this.#closed(CUT, ""), OPENS_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#isOpen = this.#hasBeenOpen = true;
      this.#tell({ state: "open" });
      this.#watchOver();
      this.#ears.onOpen();
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    socket.onerror = () => {}; // onclose follows, and says as much
  }

  /** @param {unknown} data */
  #hear(data) {
    this.#isQuiet = false;
    const message = JSON.parse(String(data));
    if (message.type !== "error") this.#hasAnswered = true;
    this.#ears.onMessage(message);
  }

  /** Notice a connection that is gone without a word: the page cannot see the server's pings. */
  #watchOver() {
    this.#isQuiet = false;
    this.#timer = setInterval(() => {
      if (this.#isQuiet) return this.#closed(CUT, "");
      this.#isQuiet = true;
      this.send({ type: "ping" });
    }, PING_EVERY_MS);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    this.#drop();
    if (this.#hasAnswered && code !== TOO_MANY_MESSAGES) {
      this.#retries = 0;
      this.#wasRefused = false;
    }
    const next = nextAfter(code);
    const isSecondRefusal = this.#wasRefused || !this.#terms.hasKey;
    if (next === "give up" || (next === "with a new credential" && isSecondRefusal)) {
      return this.#giveUp(refusedBy(code, reason));
    }
    if (this.#ears.hasAnotherWay && !this.#hasBeenOpen && this.#retries + 1 >= TRIES) {
      return this.#giveUp(new LonghaulError("no WebSocket opens here", { code: "no_websocket" }));
    }
    if (next === "with a new credential") this.#wasRefused = true;
    const isSoon = next !== "with back-off" && this.#retries === 0;
    const delay = isSoon ? 0 : backOff(this.#retries);
    this.#retries += 1;
    this.#comeBack(delay, code);
  }

  /**
   * @param {number} delay
   * @param {number} [code]
   */
  #comeBack(delay, code) {
    this.#tell({ state: "waiting", code, retryInMs: delay });
    this.#timer = setTimeout(() => void this.#open(), delay);
  }

  /** @param {unknown} error */
  #giveUp(error) {
    this.stop();
    this.#ears.onRefused(error);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    this.#turn += 1;
    this.#isOpen = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {Connection} connection */
  #tell(connection) {
    this.#terms.onConnection?.(connection);
  }
}

/**
 * @param {number} code
 * @param {string} reason
 */
function refusedBy(code, reason) {
  const names = /** @type {Record<number, string>} */ ({ 4401: "unauthenticated", 4403: "forbidden" });
  return new LonghaulError(reason || `the WebSocket was closed with ${code}`, {
    code: names[code] ?? "connection_refused",
  });
}
