import { WebSocket } from "ws";

import { Longhaul } from "../../longhaul.js";

/** @param {string} name */
function named(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: tests/integration/test_javascript_client.py runs this`);
  return value;
}

export const URL_OF_SERVER = named("LONGHAUL_TEST_URL");
export const KEY = named("LONGHAUL_TEST_KEY");
export const OTHERS_KEY = named("LONGHAUL_TEST_OTHERS_KEY");
const CONTROL = named("LONGHAUL_TEST_CONTROL");

/** Kill the web process and start another one in its place. */
export async function killServer() {
  const answer = await fetch(`${CONTROL}/kill`, { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
}

/**
 * The client over each of its transports, and a way to break what it has open.
 *
 * @param {"WebSocket" | "SSE"} transport
 * @param {{apiKey?: string}} [terms]
 */
export function clientOver(transport, { apiKey = KEY } = {}) {
  /** @type {Set<() => void>} */
  const open = new Set();
  const seen = { opened: 0 };
  class Counted extends WebSocket {
    /** @param {URL} url @param {string} protocol */
    constructor(url, protocol) {
      super(url, protocol);
      seen.opened += 1;
      open.add(() => this.terminate());
    }
  }
  const breakable = async (/** @type {any} */ address, /** @type {any} */ ask) => {
    const answer = await fetch(address, ask);
    if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream") || !answer.body) return answer;
    seen.opened += 1;
    /** @type {TransformStream<Uint8Array, Uint8Array>} */
    const through = new TransformStream({
      start: (controller) => void open.add(() => controller.error(new Error("cut"))),
    });
    return new Response(answer.body.pipeThrough(through), answer);
  };
  const socket = transport === "WebSocket" ? /** @type {any} */ (Counted) : null;
  const client = new Longhaul({ baseUrl: URL_OF_SERVER, apiKey, WebSocket: socket, fetch: breakable });
  const cut = () => {
    for (const end of open) end();
    open.clear();
  };
  return { client, cut, seen };
}

export const TRANSPORTS = /** @type {const} */ (["WebSocket", "SSE"]);

/**
 * What the stand-in model is to do.
 *
 * @param {string} faults
 */
export const told = (faults) => ({ prompt: `Say it. <<stand-in: ${faults}>>` });
