import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";

import { Longhaul } from "../../longhaul.js";
import { all, standIn, waitUntil } from "../stand_in.js";

const Socket = /** @type {any} */ (WebSocket);

/**
 * A server that tells of jobs as Longhaul does: `stories` are each job's events.
 *
 * @param {Record<string, any[]>} stories
 * @param {(socket: import("ws").WebSocket, message: any, connection: number) => boolean | void} [instead]
 *   Answers a message in its place where it gives true.
 */
async function teller(stories, instead = () => false) {
  /** @type {any[]} */
  const heard = [];
  /** @type {string[]} */
  const opened = [];
  const { url, sockets } = await standIn({
    answer: (_, response) => response.writeHead(201).end(JSON.stringify({ ticket: `t${opened.length + 1}` })),
    talk: (socket, request) => {
      const connection = opened.push(String(request.url));
      assert.equal(socket.protocol, "longhaul.v1");
      socket.on("message", (data) => {
        const message = JSON.parse(String(data));
        heard.push({ connection, ...message });
        if (!instead(socket, message, connection) && message.type === "subscribe") tell(socket, message);
      });
    },
  });
  /** @param {import("ws").WebSocket} socket @param {any} message */
  function tell(socket, { job_id, after }) {
    const story = stories[job_id] ?? [];
    const last = story.at(-1);
    const status = last?.event === "job.completed" ? "COMPLETED" : "RUNNING";
    say(socket, { type: "subscribed", job_id, seq: last?.seq ?? 0, recovered: true, job: { status } });
    for (const event of story) if (event.seq > after) say(socket, event);
  }
  return { url, sockets, heard, opened, asked: () => heard.filter(({ type }) => type === "subscribe") };
}

/** @param {import("ws").WebSocket} socket @param {object} message */
const say = (socket, message) => socket.send(JSON.stringify(message));

/** @param {string} job_id @param {number} seq @param {string} [event] */
const event = (job_id, seq, event = "job.delta") => ({ type: "event", job_id, seq, event, attempt: 1, text: `${seq} ` });

/** @param {string} id */
const story = (id) => [event(id, 1, "job.started"), event(id, 2), event(id, 3), event(id, 4, "job.completed")];

/** @param {AsyncIterable<{seq: number}>} events */
const numbers = async (events) => (await all(events)).map(({ seq }) => seq);

test("all jobs share one socket", async () => {
  const ids = Array.from({ length: 100 }, (_, n) => `job_${n}`);
  const { url, opened, asked } = await teller(Object.fromEntries(ids.map((id) => [id, story(id)])));
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  const told = await Promise.all(ids.map((id) => numbers(client.jobs.stream(id))));
  client.close();

  assert.deepEqual(new Set(told.map(String)), new Set(["1,2,3,4"]));
  assert.deepEqual([opened.length, asked().length], [1, 100]);
});

test("more jobs than one socket may watch take another", async () => {
  const ids = Array.from({ length: 101 }, (_, n) => `job_${n}`);
  const { url, opened } = await teller({});
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  const ended = ids.map((id) => assert.rejects(all(client.jobs.stream(id)), { code: "closed" }));
  await waitUntil(() => opened.length === 2, "a second socket");
  client.close();

  await Promise.all(ended);
});

test("who comes late to a job hears it from the beginning, and the first hears nothing twice", async () => {
  const stories = { job_1: [event("job_1", 1), event("job_1", 2)] };
  const { url, sockets, asked } = await teller(stories);
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });
  const first = client.jobs.stream("job_1");
  assert.equal((await first.next()).value?.seq, 1);
  assert.equal((await first.next()).value?.seq, 2);

  const second = client.jobs.stream("job_1");
  assert.equal((await second.next()).value?.seq, 1);
  say(/** @type {any} */ (sockets[0]), event("job_1", 3, "job.completed"));

  assert.deepEqual(await numbers(first), [3]);
  assert.deepEqual(await numbers(second), [2, 3]);
  assert.deepEqual(asked().map(({ after }) => after), [0, 0]);
  client.close();
});

test("what is live does not overtake what was missed", async () => {
  const stories = { job_1: story("job_1") };
  const { url } = await teller(stories, (socket, message, connection) => {
    if (message.type === "subscribe" && message.after === 0) say(socket, event("job_1", 3));
    return false;
  });
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  assert.deepEqual(await numbers(client.jobs.stream("job_1")), [1, 2, 3, 4]);
  client.close();
});

test("a terminal event before a redrive does not end the stream", async () => {
  const stories = { job_1: [event("job_1", 1, "job.failed"), event("job_1", 2, "job.queued"), event("job_1", 3, "job.completed")] };
  const { url } = await teller(stories);
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  assert.deepEqual(await numbers(client.jobs.stream("job_1")), [1, 2, 3]);
  assert.deepEqual(await numbers(client.jobs.stream("job_1", { after: 3 })), []);
  client.close();
});

for (const code of [1008, 1011, 1012, 4408, 4429, 4401]) {
  test(`after ${code} a stream goes on where it was, with a new ticket`, async () => {
    const { url, opened, asked } = await teller({ job_1: story("job_1") }, (socket, message, connection) => {
      if (connection > 1 || message.type !== "subscribe") return false;
      say(socket, { type: "subscribed", job_id: "job_1", seq: 0, recovered: true, job: { status: "RUNNING" } });
      say(socket, event("job_1", 1));
      say(socket, event("job_1", 2));
      socket.close(code);
      return true;
    });
    const client = new Longhaul({ baseUrl: url, WebSocket: Socket, apiKey: "k" });

    assert.deepEqual(await numbers(client.jobs.stream("job_1")), [1, 2, 3, 4]);
    client.close();

    assert.deepEqual(opened, ["/v1/ws?ticket=t1", "/v1/ws?ticket=t2"]);
    assert.deepEqual(asked().map(({ after }) => after), [0, 2]);
  });
}

for (const [code, name] of /** @type {[number, string][]} */ ([[1002, "connection_refused"], [1009, "connection_refused"], [4403, "forbidden"]])) {
  test(`after ${code} a stream ends`, async () => {
    const { url, opened } = await teller({}, (socket) => (socket.close(code, "because"), true));
    const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

    await assert.rejects(all(client.jobs.stream("job_1")), { code: name, message: "because" });
    assert.equal(opened.length, 1);
  });
}

test("a credential that is refused twice ends a stream", async () => {
  const { url, opened } = await teller({}, (socket) => (socket.close(4401), true));
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket, apiKey: "k" });

  await assert.rejects(all(client.jobs.stream("job_1")), { code: "unauthenticated" });
  assert.equal(opened.length, 2);
});

test("a job that is not there ends its own stream only", async () => {
  const { url, opened } = await teller({ job_1: story("job_1") }, (socket, { job_id }) => {
    if (job_id !== "job_2") return false;
    say(socket, { type: "error", code: "job_not_found", detail: "there is no job_2", job_id });
    return true;
  });
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  const [told] = await Promise.all([
    numbers(client.jobs.stream("job_1")),
    assert.rejects(all(client.jobs.stream("job_2")), { code: "job_not_found", message: "there is no job_2" }),
  ]);
  client.close();

  assert.deepEqual([told, opened.length], [[1, 2, 3, 4], 1]);
});

test("a part that is away when a job is asked for is asked again", async () => {
  let refusals = 0;
  const { url, opened } = await teller({ job_1: story("job_1") }, (socket, { job_id, type }) => {
    if (type !== "subscribe" || refusals++ > 0) return false;
    say(socket, { type: "error", code: "unavailable", detail: "DynamoDB is away", job_id });
    return true;
  });
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });

  assert.deepEqual(await numbers(client.jobs.stream("job_1")), [1, 2, 3, 4]);
  client.close();

  assert.deepEqual([refusals, opened.length], [2, 1]);
});

test("who leaves is unsubscribed, and an unused socket is closed", async () => {
  const { url, heard, sockets } = await teller({ job_1: story("job_1") });
  /** @type {string[]} */
  const states = [];
  const onConnection = (/** @type {{state: string}} */ { state }) => states.push(state);
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket, onConnection });

  for await (const { seq } of client.jobs.stream("job_1")) if (seq === 2) break;
  await waitUntil(() => heard.at(-1)?.type === "unsubscribe", "it is unsubscribed");
  await waitUntil(() => sockets[0]?.readyState === WebSocket.CLOSED, "it is closed");

  assert.deepEqual(states, ["connecting", "open", "closed"]);
});

test("an abort ends a stream that waits", async () => {
  const { url, asked } = await teller({});
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });
  const stop = new AbortController();

  const ended = assert.rejects(all(client.jobs.stream("job_1", { signal: stop.signal })), { message: "enough" });
  await waitUntil(() => asked().length === 1, "it is asked for");
  stop.abort(new Error("enough"));

  await ended;
  client.close();
});

test("who watches all hears each event once, and of what may be missing", async () => {
  const { url, sockets, heard, opened } = await teller({});
  const client = new Longhaul({ baseUrl: url, WebSocket: Socket });
  /** @type {number[]} */
  const told = [];
  let missed = 0;

  const stop = client.watchAll(({ seq }) => told.push(seq), { onMissed: () => (missed += 1) });
  await waitUntil(() => heard.length === 1, "it says that it is there");
  assert.equal(heard[0].type, "ping");
  for (const seq of [1, 2, 2, 1, 3]) say(/** @type {any} */ (sockets[0]), event("job_1", seq, "job.started"));
  say(/** @type {any} */ (sockets[0]), { type: "error", code: "events_missed", detail: "" });
  await waitUntil(() => missed === 1, "it is told of the gap");
  sockets[0]?.terminate();
  await waitUntil(() => missed === 2, "it is back");
  stop();
  await waitUntil(() => sockets[1]?.readyState === WebSocket.CLOSED, "it is closed");

  assert.deepEqual([told, opened.length], [[1, 2, 3], 2]);
});

test("where no WebSocket opens, events come by server-sent events", async () => {
  const { url } = await standIn({
    answer: (request, response) => {
      if (request.url !== "/v1/jobs/job_1/events?after=0") return response.writeHead(204).end();
      response.end(story("job_1").map((told) => `id: ${told.seq}\ndata: ${JSON.stringify(told)}\n\n`).join(""));
    },
  });
  let tries = 0;
  class Blocked extends WebSocket {
    constructor() {
      super("ws://127.0.0.1:1");
      tries += 1;
    }
  }
  const client = new Longhaul({ baseUrl: url, WebSocket: /** @type {any} */ (Blocked) });

  assert.deepEqual(await numbers(client.jobs.stream("job_1")), [1, 2, 3, 4]);
  assert.equal(tries, 3);
  client.close();
});
