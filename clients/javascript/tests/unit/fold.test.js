import assert from "node:assert/strict";
import { test } from "node:test";

import { NOTHING_YET, foldEvent } from "../../longhaul.js";

const AT = "2026-11-24T10:00:00.000Z";
let seq = 0;

/**
 * @param {string} name
 * @param {object} [members]
 * @returns {import("../../types.js").JobEvent}
 */
const event = (name, members = {}) => ({ job_id: "job_1", seq: ++seq, event: name, at: AT, attempt: 1, ...members });

/** @param {import("../../types.js").JobEvent[]} events */
const fold = (...events) => events.reduce(foldEvent, NOTHING_YET);

test("the text is what the deltas add up to", () => {
  const state = fold(
    event("job.queued"),
    event("job.started"),
    event("job.delta", { text: "Good " }),
    event("job.delta", { text: "day" }),
  );

  assert.equal(state.text, "Good day");
  assert.equal(state.status, "RUNNING");
  assert.equal(state.seq, seq);
});

test("a retry voids the text and says when it is due", () => {
  const error = { code: "model_throttled", message: "slow down", retryable: true };
  const before = fold(event("job.started"), event("job.delta", { text: "Good" }));

  const waiting = foldEvent(before, event("job.retrying", { attempt: 1, delay_s: 3, error }));
  const again = foldEvent(waiting, event("job.started", { attempt: 2 }));

  assert.deepEqual(
    [waiting.text, waiting.status, waiting.error, waiting.retryAt],
    ["", "PENDING_RETRY", error, Date.parse(AT) + 3000],
  );
  assert.deepEqual([again.text, again.attempt, again.error, again.retryAt], ["", 2, null, null]);
});

test("a gap voids the text, and the result in the end replaces it", () => {
  const gap = fold(event("job.delta", { text: "lost" }), event("stream.gap", { seq_from: 1 }));
  const end = foldEvent(gap, event("job.completed", { result: { text: "all of it", bytes: 9 } }));

  assert.deepEqual([gap.text, gap.hasGap], ["", true]);
  assert.deepEqual([end.text, end.hasGap, end.isEnded, end.status], ["all of it", false, true, "COMPLETED"]);
});

test("a result that is only named leaves no wrong text", () => {
  const end = fold(
    event("job.delta", { text: "half" }),
    event("job.completed", { result: { url: "/v1/jobs/job_1/result", bytes: 9 } }),
  );

  assert.deepEqual([end.text, end.hasGap, end.result?.url], ["", true, "/v1/jobs/job_1/result"]);
});

test("an event that comes twice changes nothing", () => {
  const once = event("job.delta", { text: "once" });
  const state = fold(once);

  assert.equal(foldEvent(state, once), state);
});

test("the text of a job that was cut short stays", () => {
  for (const [name, status] of [["job.failed", "FAILED"], ["job.cancelled", "CANCELLED"], ["job.expired", "EXPIRED"]]) {
    const end = fold(event("job.delta", { text: "so far" }), event(String(name)));

    assert.deepEqual([end.text, end.status, end.isEnded], ["so far", status, true]);
  }
});

test("a redrive begins anew", () => {
  const error = { code: "model_error", message: "no", retryable: false };
  const failed = fold(event("job.delta", { text: "so far" }), event("job.failed", { error }));

  const again = foldEvent(failed, event("job.queued", { attempt: 0 }));

  assert.deepEqual([again.text, again.status, again.error, again.isEnded], ["", "PENDING", null, false]);
});

test("progress is kept through the attempt that it counts", () => {
  const state = fold(event("job.started"), event("job.progress", { done: 3, total: 8 }), event("job.delta", { text: "x" }));

  assert.deepEqual(state.progress, { done: 3, total: 8 });
});

test("an event of a later version is passed over", () => {
  const state = fold(event("job.delta", { text: "x" }), event("job.sung", { tune: "la" }));

  assert.deepEqual([state.text, state.seq], ["x", seq]);
});
