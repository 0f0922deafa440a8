import assert from "node:assert/strict";
import { test } from "node:test";

import { Longhaul, LonghaulError } from "../../longhaul.js";
import { all, standIn } from "../stand_in.js";

const JOB = JSON.stringify({ id: "job_1", status: "PENDING" });

test("a job is submitted once, however often the connection breaks", async () => {
  /** @type {unknown[]} */
  const keys = [];
  const { url } = await standIn({
    answer: (request, response) => {
      keys.push(request.headers["idempotency-key"]);
      if (keys.length < 3) response.destroy();
      else response.writeHead(202).end(JOB);
    },
  });

  const job = await new Longhaul({ baseUrl: url }).jobs.create({ prompt: "Hi" });

  assert.equal(job.id, "job_1");
  assert.equal(keys.length, 3);
  assert.match(String(keys[0]), /^[0-9a-f]{32}$/);
  assert.equal(new Set(keys).size, 1);
});

test("who is told to wait asks again, a bounded number of times", async () => {
  let asked = 0;
  const { url } = await standIn({
    answer: (_, response) => {
      asked += 1;
      const problem = { code: "unavailable", detail: "Redis is away", trace_id: "1-2-3" };
      response.writeHead(503, { "Retry-After": "0" }).end(JSON.stringify(problem));
    },
  });

  const refusal = new Longhaul({ baseUrl: url, retries: 2 }).jobs.get("job_1");

  await assert.rejects(refusal, (error) => {
    assert.ok(error instanceof LonghaulError);
    assert.deepEqual(
      [error.code, error.status, error.message, error.traceId, error.retryable],
      ["unavailable", 503, "Redis is away", "1-2-3", true],
    );
    return true;
  });
  assert.equal(asked, 3);
});

test("a redrive is not asked for twice when its answer is lost", async () => {
  let asked = 0;
  const { url } = await standIn({
    answer: (_, response) => {
      asked += 1;
      response.destroy();
    },
  });

  const lost = new Longhaul({ baseUrl: url }).jobs.redrive("job_1");

  await assert.rejects(lost, { code: "connection_failed", status: null });
  assert.equal(asked, 1);
});

test("a page of a proxy in place of a problem is an error with a code", async () => {
  const { url } = await standIn({ answer: (_, response) => response.writeHead(404).end("<h1>Not here</h1>") });

  await assert.rejects(new Longhaul({ baseUrl: url }).jobs.get("job_1"), { code: "http_404", status: 404 });
});

test("an abort is the caller's own reason, also while a retry waits", async () => {
  const stop = new AbortController();
  const { url } = await standIn({
    answer: (_, response) => {
      response.writeHead(429, { "Retry-After": "30" }).end();
      setTimeout(() => stop.abort(new Error("enough")), 0);
    },
  });

  const asked = new Longhaul({ baseUrl: url }).jobs.get("job_1", { signal: stop.signal });

  await assert.rejects(asked, { message: "enough" });
});

test("a key that is asked for each time is the key of now", async () => {
  /** @type {unknown[]} */
  const shown = [];
  const { url } = await standIn({
    answer: (request, response) => {
      shown.push(request.headers.authorization);
      response.end(JOB);
    },
  });
  let number = 0;
  const client = new Longhaul({ baseUrl: `${url}/`, apiKey: async () => `key-${++number}` });

  await client.jobs.get("job_1");
  await client.jobs.get("job_1");

  assert.deepEqual(shown, ["Bearer key-1", "Bearer key-2"]);
});

test("a list is asked for page by page, and no further than it is read", async () => {
  /** @type {string[]} */
  const asked = [];
  const { url } = await standIn({
    answer: (request, response) => {
      asked.push(String(request.url));
      const next_cursor = request.url?.includes("cursor") ? null : "c 2";
      response.end(JSON.stringify({ jobs: [{ id: `job_${asked.length}` }], next_cursor }));
    },
  });
  const { jobs } = new Longhaul({ baseUrl: url });

  for await (const first of jobs.list({ status: "FAILED", limit: 1 })) {
    assert.equal(first.id, "job_1");
    break;
  }
  assert.deepEqual(asked, ["/v1/jobs?status=FAILED&limit=1"]);
  const found = await all(jobs.list({ limit: 1 }));

  assert.deepEqual(found.map(({ id }) => id), ["job_2", "job_3"]);
  assert.equal(asked[2], "/v1/jobs?limit=1&cursor=c+2");
});

test("a result in the object store is fetched without the credential", async () => {
  /** @type {unknown[]} */
  const shown = [];
  const store = await standIn({
    answer: (request, response) => {
      shown.push(request.headers.authorization);
      response.end("a long text");
    },
  });
  const { url } = await standIn({
    answer: (_, response) => response.end(JSON.stringify({ id: "job_1", result: { url: `${store.url}/b/k?sig=1` } })),
  });

  const text = await new Longhaul({ baseUrl: url, apiKey: "secret" }).jobs.result("job_1");

  assert.equal(text, "a long text");
  assert.deepEqual(shown, [undefined]);
});

test("outside of a page a client without baseUrl is refused at once", () => {
  assert.throws(() => new Longhaul(), { code: "no_base_url", message: /name it by baseUrl/ });
});

test("in a page a client without baseUrl asks the page's own server", async (t) => {
  Object.defineProperty(globalThis, "location", { value: { href: "http://page.test/" }, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, "location"));
  /** @type {unknown[]} */
  const asked = [];
  /** @param {unknown} url */
  const fetch = async (url) => {
    asked.push(url);
    return new Response(JOB);
  };

  await new Longhaul({ fetch }).jobs.get("job_1");

  assert.deepEqual(asked, ["/v1/jobs/job_1"]);
});
