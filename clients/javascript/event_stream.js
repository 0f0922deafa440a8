import { LonghaulError, abortOf, refusalOf } from "./errors.js";
import { isTerminalEvent } from "./fold.js";
import { readBody } from "./requests.js";
import { Patience, backOff, sleep } from "./waiting.js";

/**
 * @import { Requests } from "./requests.js"
 * @import { JobEvent } from "./types.js"
 */

const QUIET_MS = 45_000; // a comment comes every 15 seconds

/**
 * Follows jobs by server-sent events over fetch, which unlike EventSource sends `Authorization`:
 * for where there is no WebSocket.
 */
export class EventStreams {
  /** @param {Requests} requests */
  constructor(requests) {
    this.#requests = requests;
  }

  /** @type {Requests} */
  #requests;

  /**
   * Give a job's events after a number, each once and in order, to its last one.
   *
   * @param {string} jobId
   * @param {number} after
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<JobEvent, void, void>}
   */
  async *follow(jobId, after, signal) {
    for (let last = after, retries = 0; ; retries += 1) {
      let delay = 0;
      let isAtEnd = false;
      try {
        for await (const event of this.#once(jobId, last, signal)) {
          if (event === "over") return;
          if (event.seq <= last) continue;
          last = event.seq;
          retries = 0;
          isAtEnd = isTerminalEvent(event.event);
          yield event;
        }
      } catch (error) {
        if (!(error instanceof LonghaulError && error.retryable)) throw error;
        delay = error.retryAfterMs ?? 0;
      }
      // Only 204 says that a terminal event was the last: a redrive may have followed it.
      if (!isAtEnd) await sleep(delay + backOff(retries), signal);
    }
  }

  close() {}

  /**
   * @param {string} jobId
   * @param {number} after
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<JobEvent | "over", void, void>}
   */
  async *#once(jobId, after, signal) {
    const path = `/v1/jobs/${encodeURIComponent(jobId)}/events?after=${after}`;
    const headers = { Accept: "text/event-stream" };
    const patience = new Patience(signal);
    try {
      const answer = await this.#requests.open(path, { headers, signal }, patience);
      if (answer.status === 204) yield "over";
      else if (!answer.ok) throw refusalOf(answer, await readBody(answer, signal));
      else if (answer.body !== null) yield* readEvents(answer.body, patience);
    } catch (error) {
      if (signal?.aborted) throw abortOf(signal);
      throw error;
    } finally {
      patience.end();
    }
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {Patience} patience
 * @returns {AsyncGenerator<JobEvent, void, void>}
 */
async function* readEvents(body, patience) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const blocks = new Blocks();
  try {
    for (;;) {
      patience.last(QUIET_MS);
      const piece = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (piece.done) return; // broken off or over: whoever asks again learns which
      const text = decoder.decode(piece.value, { stream: true });
      for (const data of blocks.take(text)) yield JSON.parse(data);
    }
  } finally {
    patience.hold();
    await reader.cancel().catch(() => {});
  }
}

/**
 * Puts the blocks of an event stream together from pieces that are cut anywhere.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class Blocks {
  #rest = "";
  /** @type {string[]} */
  #data = [];

  /**
   * @param {string} piece
   * @returns {string[]} The data of each block that it completes.
   */
  take(piece) {
    const text = this.#rest + piece;
    const isCut = text.endsWith("\r"); // a line feed may follow
    const lines = (isCut ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + (isCut ? "\r" : "");
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") {
      const data = this.#data.splice(0);
      return data.length > 0 ? [data.join("\n")] : [];
    }
    if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    return [];
  }
}
