import assert from "node:assert/strict";
import { test } from "node:test";

import { NOTHING_YET, foldEvent } from "../../longhaul.js";
import { all, waitUntil } from "../stand_in.js";
import { TRANSPORTS, clientOver, killServer, told } from "./server.js";

/** @import { Longhaul } from "../../longhaul.js" */

/** @param {Longhaul} client @param {string} id @param {() => unknown} [between] After each event. */
async function follow(client, id, between = () => {}) {
  const numbers = [];
  let state = NOTHING_YET;
  for await (const event of client.jobs.wholeEvents(id)) {
    numbers.push(event.seq);
    state = foldEvent(state, event);
    await between();
  }
  return { state, numbers };
}

/** @param {number[]} numbers */
function assertNoneTwiceAndNoneMissing(numbers) {
  const last = numbers.at(-1) ?? 0;
  const first = numbers.find((seq) => seq > 1) ?? 0;
  const whole = [1, ...Array.from({ length: last - first + 1 }, (_, n) => first + n)];
  assert.deepEqual(numbers, whole);
}

for (const transport of TRANSPORTS) {
  test(`over ${transport} the text that comes is the result`, async () => {
    const { client, seen } = clientOver(transport);
    const { id } = await client.jobs.create(told("tokens=60; duration_s=1"));

    const texts = await all(client.jobs.textStream(id));

    const result = await client.jobs.result(id);
    assert.equal(texts.at(-1), result);
    assert.ok(texts.length > 3 && texts.every((text) => result.startsWith(text)));
    assert.equal(seen.opened, 1);
    client.close();
  });

  test(`over ${transport} a stream that is cut again and again misses nothing`, async () => {
    const { client, cut, seen } = clientOver(transport);
    const { id } = await client.jobs.create(told("tokens=120; duration_s=6; first_token_s=0.2"));
    let count = 0;

    const { state, numbers } = await follow(client, id, () => {
      count += 1;
      if (count % 25 === 0) cut();
    });

    assert.equal(state.text, await client.jobs.result(id));
    assert.equal(state.status, "COMPLETED");
    assertNoneTwiceAndNoneMissing(numbers);
    assert.ok(seen.opened > 3, `${seen.opened} connections`);
    client.close();
  });

  test(`over ${transport} a stream outlives the web process`, async () => {
    const { client, seen } = clientOver(transport);
    const { id } = await client.jobs.create(told("tokens=100; duration_s=6; first_token_s=0.2"));
    /** @type {Promise<void> | undefined} */
    let killed;

    const { state, numbers } = await follow(client, id, () => {
      killed ??= killServer();
    });
    await killed;

    assert.equal(state.text, await client.jobs.result(id));
    assertNoneTwiceAndNoneMissing(numbers);
    assert.ok(seen.opened > 1);
    client.close();
  });

  test(`over ${transport} a retry begins the text anew`, async () => {
    const { client } = clientOver(transport);
    const policy = "stream_error_after=5; stream_faults_first=1";
    const { id } = await client.jobs.create(told(`tokens=30; duration_s=0.5; ${policy}`));
    /** @type {import("../../types.js").JobEvent[]} */
    const events = await all(client.jobs.stream(id));

    const states = events.map(((state) => (/** @type {any} */ event) => (state = foldEvent(state, event)))(NOTHING_YET));

    const waiting = states.find(({ status }) => status === "PENDING_RETRY");
    assert.ok(waiting?.retryAt && waiting.error?.retryable && waiting.text === "");
    assert.deepEqual([states.at(-1)?.attempt, states.at(-1)?.text], [2, await client.jobs.result(id)]);
    client.close();
  });

  test(`over ${transport} a result that is in the object store comes whole`, async () => {
    const { client } = clientOver(transport);
    const { id } = await client.jobs.create({
      ...told("tokens=20000; tokens_per_second=40000"),
      inference_config: { max_tokens: 30_000 },
    });

    const { state } = await follow(client, id);

    const job = await client.jobs.get(id);
    assert.ok(job.result?.url);
    const result = await client.jobs.result(id);
    assert.equal(Buffer.byteLength(result), job.result.bytes);
    assert.equal(state.text, result);
    const late = await follow(client, id);
    assert.equal(late.state.text, result);
    client.close();
  });

  test(`over ${transport} a cancel ends the stream`, async () => {
    const { client } = clientOver(transport);
    const { id } = await client.jobs.create(told("tokens=400; duration_s=60; first_token_s=0.1"));
    const texts = client.jobs.textStream(id);
    assert.ok((await texts.next()).value);

    await client.jobs.cancel(id);

    await assert.rejects(all(texts), { code: "job_cancelled" });
    assert.equal((await client.jobs.wait(id)).status, "CANCELLED");
    client.close();
  });

  test(`over ${transport} a failed job ends its text with the job's own code`, async () => {
    const { client } = clientOver(transport);
    const { id } = await client.jobs.create(told("validation_error=no"));

    await assert.rejects(all(client.jobs.textStream(id)), { code: "model_rejected_request" });
    client.close();
  });
}

test("twenty jobs come over one socket", async () => {
  const { client, seen } = clientOver("WebSocket");
  const created = await Promise.all(
    Array.from({ length: 20 }, () => client.jobs.create(told("tokens=20; duration_s=1"))),
  );

  const followed = await Promise.all(created.map(({ id }) => follow(client, id)));

  const results = await Promise.all(created.map(({ id }) => client.jobs.result(id)));
  assert.deepEqual(followed.map(({ state }) => state.text), results);
  assert.equal(seen.opened, 1);
  client.close();
});

test("who watches all hears of jobs that they do not name, beside those that they do", async () => {
  const { client, seen } = clientOver("WebSocket");
  /** @type {import("../../types.js").JobEvent[]} */
  const told_of = [];
  const named = await client.jobs.create(told("tokens=20; duration_s=1"));
  const stop = client.watchAll((event) => told_of.push(event));
  await follow(client, named.id);

  const { id } = await client.jobs.create(told("tokens=5"));
  await waitUntil(() => told_of.some(({ job_id, event }) => job_id === id && event === "job.completed"), "its end");
  stop();
  client.close();

  assert.ok(told_of.every(({ event }) => event !== "job.delta"));
  assert.equal(seen.opened, 2);
});
