import { LonghaulError } from "./errors.js";
import { EventStreams } from "./event_stream.js";
import { Jobs } from "./jobs.js";
import { Overview } from "./overview.js";
import { Requests } from "./requests.js";
import { Subscriptions } from "./subscriptions.js";
import { Uploads } from "./uploads.js";

/**
 * @import { Connection, SocketTerms } from "./live_socket.js"
 * @import { JobEvent } from "./types.js"
 */

export { LonghaulError } from "./errors.js";
export { NOTHING_YET, foldEvent, isTerminalEvent, isTerminalStatus } from "./fold.js";
export { JobWatch } from "./watch.js";

const SUBPROTOCOL = "longhaul.v1";

/** A client of one Longhaul server. Nothing is connected before it is needed. */
export class Longhaul {
  /**
   * @param {object} [terms]
   * @param {string} [terms.baseUrl] Where the server is; a page's own server otherwise. Outside of pages
   *   there is none: throws LonghaulError `no_base_url`.
   * @param {string | (() => string | Promise<string>)} [terms.apiKey] A key or a JWT, or what gives the one of now.
   * @param {typeof globalThis.fetch} [terms.fetch]
   * @param {typeof globalThis.WebSocket | null} [terms.WebSocket] Such as that of the package `ws`, where
   *   there is no other; `null` for none: then events come by server-sent events over fetch.
   * @param {number} [terms.retries] After 429, 503 and their kind, and broken connections.
   * @param {(connection: Connection) => void} [terms.onConnection] Learns what becomes of the WebSockets.
   */
  constructor({ baseUrl = "", apiKey, fetch, WebSocket, retries = 5, onConnection } = {}) {
    if (baseUrl === "" && globalThis.location === undefined) {
      throw new LonghaulError("there is no page here whose server could be asked: name it by baseUrl", {
        code: "no_base_url",
      });
    }
    const requests = new Requests({
      baseUrl,
      apiKey,
      fetch: fetch ?? globalThis.fetch.bind(globalThis),
      retries,
    });
    const Socket = WebSocket === undefined ? globalThis.WebSocket : WebSocket;
    /** @type {SocketTerms | null} */
    const sockets = Socket
      ? { connect: () => openSocket(Socket, requests), hasKey: requests.hasKey, onConnection }
      : null;
    const streams = new EventStreams(requests);
    this.#follower = sockets ? new Subscriptions(sockets, streams) : streams;
    this.#overview = sockets ? new Overview(sockets) : null;
    this.jobs = new Jobs(requests, this.#follower);
    this.uploads = new Uploads(requests);
  }

  /** @type {Subscriptions | EventStreams} */
  #follower;
  /** @type {Overview | null} */
  #overview;

  /**
   * Hear the state events of all the caller's jobs, without their text, as they happen.
   *
   * What happens while the connection is broken is not told: `onMissed` says so. Throws
   * LonghaulError `no_websocket`.
   *
   * @param {(event: JobEvent) => void} onEvent
   * @param {object} [terms]
   * @param {() => void} [terms.onMissed] Read the jobs that matter again.
   * @param {(error: unknown) => void} [terms.onError] Nothing more will come.
   * @returns {() => void} Ends it.
   */
  watchAll(onEvent, { onMissed, onError } = {}) {
    if (this.#overview === null) {
      throw new LonghaulError("there is no WebSocket here: give one", { code: "no_websocket" });
    }
    return this.#overview.listen({ onEvent, onMissed, onError });
  }

  /** Close the WebSockets; what is being followed ends with LonghaulError `closed`. */
  close() {
    this.#follower.close();
    this.#overview?.close();
  }
}

/**
 * @param {typeof globalThis.WebSocket} Socket
 * @param {Requests} requests
 */
async function openSocket(Socket, requests) {
  const url = new URL(`${requests.baseUrl}/v1/ws`, globalThis.location?.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (requests.hasKey) {
    // A page can set no header on a WebSocket; a ticket is good for one, within a minute.
    const ask = { method: "POST", isRepeatable: true };
    const { ticket } = await requests.json("/v1/ws-tickets", ask);
    url.searchParams.set("ticket", ticket);
  }
  return new Socket(url, SUBPROTOCOL);
}
