import assert from "node:assert/strict";
import { test } from "node:test";

import { Channel } from "../../channel.js";
import { LonghaulError } from "../../longhaul.js";
import { createUseJob } from "../../react.js";
import { JobWatch } from "../../watch.js";
import { React, show } from "../page.js";
import { waitUntil } from "../stand_in.js";

/** The verbs of jobs whose events a test tells by itself. */
class ToldJobs {
  following = 0;
  /** @type {number[]} */
  afters = [];
  /** @type {string[]} */
  asked = [];
  /** @type {Channel<any>} */
  events = new Channel();
  seq = 0;

  /** @param {string} id */
  get = async (id) => ({ id, status: "PENDING", model: "nova" });
  /** @param {string} id */
  cancel = async (id) => this.asked.push(`cancel ${id}`);
  /** @param {string} id */
  redrive = async (id) => {
    this.asked.push(`redrive ${id}`);
    this.events = new Channel();
    return { id, status: "PENDING", model: "nova" };
  };

  /** @param {string} id @param {{after: number, signal: AbortSignal}} terms */
  async *wholeEvents(id, { after, signal }) {
    this.following += 1;
    this.afters.push(after);
    try {
      if (id === "job_none") throw new LonghaulError("there is no such job", { code: "job_not_found" });
      yield* this.events.read(signal);
    } finally {
      this.following -= 1;
    }
  }

  /** @param {string} event @param {object} [members] */
  tell(event, members) {
    this.events.push({ job_id: "job_1", seq: ++this.seq, event, at: "", attempt: 1, ...members });
  }
}

/** @param {ToldJobs} jobs */
function page(jobs) {
  const watch = (/** @type {string} */ id) => new JobWatch(/** @type {any} */ (jobs), id);
  const useJob = createUseJob(React, /** @type {any} */ ({ jobs: { watch } }));
  /** @type {{job: ReturnType<typeof useJob> | null, renders: number}} */
  const seen = { job: null, renders: 0 };
  /** @param {{id: string | null}} props */
  function Shown({ id }) {
    const job = useJob(id);
    seen.job = job;
    seen.renders += 1;
    const { status, text, error, progress } = job;
    return React.createElement("p", null, JSON.stringify({ status, text, error: error?.message, progress }));
  }
  const element = (/** @type {string | null} */ id) => React.createElement(Shown, { id });
  return { ...show(element("job_1")), element, seen };
}

test("a component shows a job as it goes on, once for a page that mounts twice", async () => {
  const jobs = new ToldJobs();
  const { text, leave } = page(jobs);

  await waitUntil(() => text() === '{"status":"PENDING","text":"","progress":null}', "the job as it was read");
  jobs.tell("job.started");
  jobs.tell("job.progress", { done: 1, total: 2 });
  jobs.tell("job.delta", { text: "Good " });
  jobs.tell("job.delta", { text: "day" });
  await waitUntil(() => text() === '{"status":"RUNNING","text":"Good day","progress":{"done":1,"total":2}}', "the text");

  assert.equal(jobs.following, 1);
  leave();
  await waitUntil(() => jobs.following === 0, "nobody follows it");
});

test("an attempt's text has a beginning, and the next attempt has none yet", async () => {
  const jobs = new ToldJobs();
  const { text, leave, seen } = page(jobs);
  const at = (/** @type {number} */ second) => `2026-01-01T00:00:0${second}Z`;

  await waitUntil(() => text().includes("PENDING"), "the job");
  jobs.tell("job.started", { at: at(1) });
  jobs.tell("job.delta", { text: "Good ", at: at(2) });
  jobs.tell("job.delta", { text: "day", at: at(3) });
  await waitUntil(() => text().includes("Good day"), "the text");
  assert.equal(seen.job?.textSince, Date.parse(at(2)));

  jobs.tell("job.retrying", { at: at(4), delay_s: 1 });
  await waitUntil(() => text().includes("PENDING_RETRY"), "the wait");
  assert.equal(seen.job?.textSince, null);
  leave();
});

test("many pieces of text make few renders", async () => {
  const jobs = new ToldJobs();
  const { text, leave, seen } = page(jobs);
  await waitUntil(() => text().includes("PENDING"), "the job");
  const before = seen.renders;

  for (let n = 0; n < 5_000; n += 1) jobs.tell("job.delta", { text: "x" });
  await waitUntil(() => text().includes("x".repeat(5_000)), "all of it");

  assert.ok(seen.renders - before < 500, `${seen.renders - before} renders`);
  leave();
});

test("another id is another job, and none is none", async () => {
  const jobs = new ToldJobs();
  const { text, leave, turnTo, element, seen } = page(jobs);
  await waitUntil(() => text().includes("PENDING"), "the job");

  turnTo(element(null));
  await waitUntil(() => text() === '{"status":null,"text":"","progress":null}', "no job");
  await waitUntil(() => jobs.following === 0, "nobody follows it");
  await assert.rejects(async () => seen.job?.cancel(), TypeError);
  turnTo(element("job_none"));
  await waitUntil(() => text().includes("there is no such job"), "why there is none");

  leave();
});

test("a component cancels and redrives, and hears what comes after the end", async () => {
  const jobs = new ToldJobs();
  const { text, leave, seen } = page(jobs);
  await waitUntil(() => text().includes("PENDING"), "the job");

  await seen.job?.cancel();
  jobs.tell("job.cancelled");
  jobs.events.end();
  await waitUntil(() => text().includes("CANCELLED"), "its end");
  await seen.job?.redrive();
  jobs.tell("job.queued");
  jobs.tell("job.started");
  await waitUntil(() => text().includes("RUNNING"), "its new beginning");

  assert.deepEqual(jobs.asked, ["cancel job_1", "redrive job_1"]);
  assert.equal(jobs.afters.at(-1), 1);
  leave();
});
