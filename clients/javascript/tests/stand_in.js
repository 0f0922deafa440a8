import { createServer } from "node:http";
import { after } from "node:test";
import { WebSocketServer } from "ws";

/**
 * A server of a unit test's own: `answer` says what HTTP gets, `talk` what a WebSocket does.
 *
 * @param {object} terms
 * @param {(request: import("node:http").IncomingMessage & {body: string}, response: import("node:http").ServerResponse) => void} [terms.answer]
 * @param {(socket: import("ws").WebSocket, request: import("node:http").IncomingMessage) => void} [terms.talk]
 * @returns {Promise<{url: string, sockets: import("ws").WebSocket[]}>}
 */
export async function standIn({ answer = (_, response) => response.end(), talk = () => {} }) {
  /** @type {import("ws").WebSocket[]} */
  const sockets = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    answer(Object.assign(request, { body }), response);
  });
  new WebSocketServer({ server }).on("connection", (socket, request) => {
    sockets.push(socket);
    talk(socket, request);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  after(() => {
    for (const socket of sockets) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, sockets };
}

/**
 * Wait for a condition, with a deadline.
 *
 * @template T
 * @param {() => T} condition
 * @param {string} what
 * @returns {Promise<NonNullable<T>>}
 */
export async function waitUntil(condition, what, withinMs = 30_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = condition();
    if (found) return found;
    if (Date.now() >= deadline) throw new Error(`waited ${withinMs} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10)); // between two looks
  }
}

/**
 * @template T
 * @param {AsyncIterable<T>} values
 * @returns {Promise<T[]>}
 */
export async function all(values) {
  const found = [];
  for await (const value of values) found.push(value);
  return found;
}
