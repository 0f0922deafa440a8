import assert from "node:assert/strict";
import { test } from "node:test";

import { createUseJob } from "../../react.js";
import { React, show } from "../page.js";
import { waitUntil } from "../stand_in.js";
import { clientOver, told } from "./server.js";

test("a page shows a job's text to its end, over a broken connection", async () => {
  const { client, cut } = clientOver("WebSocket");
  const useJob = createUseJob(React, client);
  const { id } = await client.jobs.create(told("tokens=60; duration_s=3; first_token_s=0.1"));
  /** @type {any} */
  let last;
  function Job() {
    last = useJob(id);
    return React.createElement("p", null, last.text);
  }

  const { text, leave } = show(React.createElement(Job));
  await waitUntil(() => text().length > 50, "some text");
  cut();
  await waitUntil(() => last.isEnded && last.job?.status === "COMPLETED", "its end");

  assert.equal(text(), await client.jobs.result(id));
  assert.deepEqual([last.status, last.error, last.job.usage.output_tokens > 0], ["COMPLETED", null, true]);
  leave();
  client.close();
});

test("a page cancels a job and starts it again", async () => {
  const { client } = clientOver("WebSocket");
  const useJob = createUseJob(React, client);
  const { id } = await client.jobs.create(told("tokens=400; duration_s=60; first_token_s=0.1"));
  /** @type {any} */
  let last;
  function Job() {
    last = useJob(id);
    return React.createElement("p", null, last.status);
  }

  const { text, leave } = show(React.createElement(Job));
  await waitUntil(() => text() === "RUNNING" && last.text, "it runs");
  await last.cancel();
  await waitUntil(() => text() === "CANCELLED", "it is cancelled");
  await last.redrive();
  await waitUntil(() => text() === "RUNNING", "it runs again");
  await last.cancel();
  leave();
  client.close();
});
