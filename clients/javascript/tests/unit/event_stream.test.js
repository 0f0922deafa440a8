import assert from "node:assert/strict";
import { test } from "node:test";

import { Blocks } from "../../event_stream.js";
import { Longhaul } from "../../longhaul.js";
import { all, standIn } from "../stand_in.js";

const TEXT = 'retry: 1000\n\n: keep-alive\n\nid: 1\ndata: {"a":\ndata: 1}\n\nid: 2\r\ndata:two\r\n\r\nid: 3\rdata: 3\r\r\n';

test("blocks come whole from pieces that are cut anywhere", () => {
  for (let length = 1; length <= TEXT.length; length += 1) {
    const blocks = new Blocks();
    const found = [];
    for (let at = 0; at < TEXT.length; at += length) found.push(...blocks.take(TEXT.slice(at, at + length)));

    assert.deepEqual(found, ['{"a":\n1}', "two", "3"], `in pieces of ${length}`);
  }
});

/** @param {number} seq @param {string} event */
const block = (seq, event) => `id: ${seq}\ndata: ${JSON.stringify({ job_id: "job_1", seq, event })}\n\n`;

test("a stream that breaks goes on after the last event, until 204 says that it was the last", async () => {
  /** @type {unknown[]} */
  const asked = [];
  const { url } = await standIn({
    answer: (request, response) => {
      asked.push([request.url, request.headers.authorization]);
      switch (asked.length) {
        case 1:
          response.write(block(1, "job.queued") + block(2, "job.failed") + block(3, "job.que").slice(0, 20));
          return setTimeout(() => response.destroy(), 20); // once it was sent
        case 2:
          return response.end(block(2, "job.failed") + block(3, "job.queued"));
        case 3:
          return response.writeHead(503, { "Retry-After": "0" }).end();
        case 4:
          return response.end(block(4, "job.completed"));
        default:
          return response.writeHead(204).end();
      }
    },
  });
  const client = new Longhaul({ baseUrl: url, apiKey: "k", WebSocket: null });

  const events = await all(client.jobs.stream("job_1"));

  assert.deepEqual(events.map(({ seq }) => seq), [1, 2, 3, 4]);
  const afters = [0, 2, 3, 3, 4].map((seq) => [`/v1/jobs/job_1/events?after=${seq}`, "Bearer k"]);
  assert.deepEqual(asked, afters);
});

test("a stream of a job that is not there ends with the refusal", async () => {
  const { url } = await standIn({
    answer: (_, response) => response.writeHead(404).end(JSON.stringify({ code: "job_not_found" })),
  });
  const client = new Longhaul({ baseUrl: url, WebSocket: null });

  await assert.rejects(all(client.jobs.stream("job_1")), { code: "job_not_found", status: 404 });
});

test("without a WebSocket there is no watching of all", () => {
  const client = new Longhaul({ baseUrl: "http://127.0.0.1:1", WebSocket: null });

  assert.throws(() => client.watchAll(() => {}), { code: "no_websocket" });
});
