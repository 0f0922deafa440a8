import assert from "node:assert/strict";
import { after, test } from "node:test";

import { LonghaulError } from "../../longhaul.js";
import { all } from "../stand_in.js";
import { OTHERS_KEY, clientOver, told } from "./server.js";

const { client } = clientOver("WebSocket");
const { jobs } = client;
after(() => client.close());

/** @param {Promise<unknown>} asked */
async function refusal(asked) {
  const error = await asked.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof LonghaulError, String(error));
  assert.ok(error.traceId);
  return error;
}

test("a job is submitted, waited for and read", async () => {
  const accepted = await jobs.create({ ...told("tokens=20"), metadata: { for: "ada" } });
  assert.equal(accepted.status, "PENDING");

  const ended = await jobs.wait(accepted.id);

  assert.deepEqual([ended.id, ended.status, ended.attempt], [accepted.id, "COMPLETED", 1]);
  assert.deepEqual(ended.metadata, { for: "ada" });
  assert.ok((ended.usage?.output_tokens ?? 0) > 0);
  assert.deepEqual(await jobs.get(accepted.id), ended);
  assert.equal(await jobs.result(accepted.id), ended.result?.text);
  const { steps } = await jobs.timeline(accepted.id);
  assert.ok(steps.some(({ step }) => step === "completed"));
  assert.deepEqual(await jobs.deliveries(accepted.id), []);
});

test("an answer may be held back until the job has ended", async () => {
  const ended = await jobs.create(told("tokens=5"), { wait: 30 });

  assert.equal(ended.status, "COMPLETED");
});

test("the same key and request are the same job; another request under it is refused", async () => {
  const idempotencyKey = `key-${Date.now()}-${Math.random()}`;
  const [one, two] = await Promise.all([
    jobs.create(told("tokens=5"), { idempotencyKey }),
    jobs.create(told("tokens=5"), { idempotencyKey }),
  ]);
  assert.equal(one.id, two.id);

  const error = await refusal(jobs.create(told("tokens=6"), { idempotencyKey }));

  assert.deepEqual([error.code, error.status], ["idempotency_key_reused", 422]);
});

test("jobs are listed by status over all pages, the newest first", async () => {
  /** @type {string[]} */
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.unshift((await jobs.create(told("tokens=5"), { wait: 30 })).id);

  const listed = await all(jobs.list({ status: "COMPLETED", limit: 2 }));
  const page = await jobs.page({ limit: 1 });

  assert.deepEqual(listed.map(({ id }) => id).filter((id) => ids.includes(id)), ids);
  assert.ok(listed.every(({ status, result }) => status === "COMPLETED" && result === undefined));
  assert.equal(page.jobs.length, 1);
  assert.ok(page.next_cursor);
});

test("a cancelled job is redriven, and a deleted one is gone", async () => {
  const { id } = await jobs.create(told("tokens=400; duration_s=120; first_token_s=60"));

  assert.equal((await jobs.cancel(id)).status, "CANCELLED");
  assert.equal((await jobs.cancel(id)).status, "CANCELLED");
  assert.equal((await jobs.wait(id)).status, "CANCELLED");
  assert.equal((await jobs.redrive(id)).status, "PENDING");
  await jobs.cancel(id);
  await jobs.delete(id);

  assert.equal((await refusal(jobs.get(id))).code, "job_not_found");
});

test("what is wrong with a request is named by field", async () => {
  const error = await refusal(jobs.create({ prompt: "Hi", inference_config: { temperature: 7 } }));

  assert.deepEqual([error.code, error.status], ["invalid_request", 422]);
  assert.deepEqual(error.fields.map(({ field }) => field), ["inference_config.temperature"]);
});

test("what a job's state does not allow is refused with a code", async () => {
  const { id } = await jobs.create(told("tokens=400; duration_s=120; first_token_s=60"));

  assert.equal((await refusal(jobs.delete(id))).code, "job_not_ended");
  assert.equal((await refusal(jobs.result(id))).code, "job_not_ended");
  assert.equal((await refusal(jobs.redrive(id))).code, "not_redrivable");
  await jobs.cancel(id);
});

test("another user's job is not there, and an unknown key is nobody", async () => {
  const { id } = await jobs.create(told("tokens=5"));
  const bob = clientOver("WebSocket", { apiKey: OTHERS_KEY }).client;
  const nobody = clientOver("WebSocket", { apiKey: "key-of-nobody-0123456789" }).client;

  assert.equal((await refusal(bob.jobs.get(id))).code, "job_not_found");
  assert.equal((await refusal(all(bob.jobs.stream(id)))).code, "job_not_found");
  const { code, status } = await refusal(nobody.jobs.get(id));
  assert.deepEqual([code, status], ["unauthenticated", 401]);
  assert.equal((await refusal(all(nobody.jobs.stream(id)))).code, "unauthenticated");
  bob.close();
});
