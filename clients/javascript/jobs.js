import { LonghaulError, connectionFailed, refusalOf } from "./errors.js";
import { NOTHING_YET, foldEvent, isTerminalStatus } from "./fold.js";
import { newIdempotencyKey, readBody } from "./requests.js";
import { JobWatch, namesItsResult } from "./watch.js";

/**
 * @import { Requests } from "./requests.js"
 * @import { Delivery, Job, JobEvent, JobStatus, Timeline } from "./types.js"
 *
 * @typedef {{signal?: AbortSignal}} Stoppable
 *
 * @typedef {object} Follower Gives a job's events after a number, each once and in order, to its last one.
 * @property {(jobId: string, after: number, signal?: AbortSignal) => AsyncGenerator<JobEvent, void, void>} follow
 */

/** The verbs of a job. All throw LonghaulError, and the signal's reason where it is aborted. */
export class Jobs {
  /**
   * @param {Requests} requests
   * @param {Follower} follower
   */
  constructor(requests, follower) {
    this.#requests = requests;
    this.#follower = follower;
  }

  /** @type {Requests} */
  #requests;
  /** @type {Follower} */
  #follower;

  /**
   * Submit a job: once, however often the connection breaks on the way.
   *
   * @param {Record<string, unknown>} request As docs/api.md has it: `{prompt}` or `{messages}`, and more.
   * @param {Stoppable & {idempotencyKey?: string, wait?: number}} [terms] `wait`: for up to so many
   *   seconds for the job's end.
   * @returns {Promise<Job>}
   */
  create(request, { idempotencyKey = newIdempotencyKey(), wait, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = { "Idempotency-Key": idempotencyKey };
    if (wait !== undefined) headers.Prefer = `wait=${wait}`;
    const waitMs = (wait ?? 0) * 1000;
    const ask = { method: "POST", json: request, headers, signal, waitMs, isRepeatable: true };
    return this.#requests.json("/v1/jobs", ask);
  }

  /**
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Job>}
   */
  get(id, { signal } = {}) {
    return this.#requests.json(pathOf(id), { signal });
  }

  /**
   * Give the caller's jobs, the newest first, page after page as they are asked for.
   *
   * @param {Stoppable & {status?: JobStatus, limit?: number}} [terms] `limit`: jobs a page.
   * @returns {AsyncGenerator<Job, void, void>}
   */
  async *list({ status, limit, signal } = {}) {
    let cursor;
    do {
      /** @type {{jobs: Job[], next_cursor: string | null}} */
      const page = await this.page({ status, limit, cursor, signal });
      yield* page.jobs;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /**
   * Give one page of `list`.
   *
   * @param {Stoppable & {status?: JobStatus, limit?: number, cursor?: string}} [terms]
   * @returns {Promise<{jobs: Job[], next_cursor: string | null}>}
   */
  page({ status, limit, cursor, signal } = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ status, limit, cursor })) {
      if (value !== undefined) query.set(name, String(value));
    }
    return this.#requests.json(`/v1/jobs?${query}`, { signal });
  }

  /**
   * Wait for a job's end, and give the job, whichever way it ended.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Job>}
   */
  async wait(id, { signal } = {}) {
    for (let after = 0; ; ) {
      for await (const { seq } of this.stream(id, { after, signal })) after = seq;
      const job = await this.get(id, { signal });
      if (isTerminalStatus(job.status)) return job;
    }
  }

  /**
   * Give a job's events as they come, each once and in order, to its last one; over broken
   * connections, too.
   *
   * @param {string} id
   * @param {Stoppable & {after?: number}} [terms] `after`: the `seq` of the last event that was seen.
   * @returns {AsyncGenerator<JobEvent, void, void>}
   */
  stream(id, { after = 0, signal } = {}) {
    return this.#follower.follow(id, after, signal);
  }

  /**
   * `stream`, with the result in the last event where that names it by its address only.
   *
   * @param {string} id
   * @param {Stoppable & {after?: number}} [terms]
   * @returns {AsyncGenerator<JobEvent, void, void>}
   */
  async *wholeEvents(id, { after, signal } = {}) {
    for await (const event of this.stream(id, { after, signal })) {
      if (!namesItsResult(event)) yield event;
      else yield { ...event, result: { ...event.result, text: await this.result(id, { signal }) } };
    }
  }

  /**
   * Give the whole text so far, each time it has changed: what there is to show. It may become
   * shorter, when an attempt failed.
   *
   * Ends with the job's result. Throws LonghaulError with the job's own code where it has none.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {AsyncGenerator<string, void, void>}
   */
  async *textStream(id, { signal } = {}) {
    let state = NOTHING_YET;
    for await (const event of this.wholeEvents(id, { signal })) {
      const before = state.text;
      state = foldEvent(state, event);
      if (state.text !== before) yield state.text;
    }
    if (state.status === "CANCELLED") {
      throw new LonghaulError("the job was cancelled", { code: "job_cancelled" });
    }
    if (state.error !== null) throw new LonghaulError(state.error.message, state.error);
  }

  /**
   * Follow a job as a store: `subscribe(listener)` and `getSnapshot()`.
   *
   * @param {string} id
   */
  watch(id) {
    return new JobWatch(this, id);
  }

  /**
   * Give a job's whole text. Throws LonghaulError `job_not_ended` or `no_result` where there is none.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<string>}
   */
  async result(id, { signal } = {}) {
    // A page cannot read where a redirect leads, so the job's own URL is taken, without Authorization.
    const { result } = await this.get(id, { signal });
    if (typeof result?.text === "string") return result.text;
    if (typeof result?.url === "string") return this.#download(result.url, signal);
    return (await this.#requests.send(`${pathOf(id)}/result`, { signal })).text;
  }

  /**
   * Cancel a job. Repeatable; one that had ended stays as it ended.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Job>}
   */
  cancel(id, { signal } = {}) {
    const ask = { method: "POST", signal, isRepeatable: true };
    return this.#requests.json(`${pathOf(id)}/cancel`, ask);
  }

  /**
   * Start a new round of attempts for a job that ended without a result.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Job>}
   */
  redrive(id, { signal } = {}) {
    return this.#requests.json(`${pathOf(id)}/redrive`, { method: "POST", signal });
  }

  /**
   * Delete an ended job with all that belongs to it.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<void>}
   */
  async delete(id, { signal } = {}) {
    await this.#requests.send(pathOf(id), { method: "DELETE", signal });
  }

  /**
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Timeline>}
   */
  timeline(id, { signal } = {}) {
    return this.#requests.json(`${pathOf(id)}/timeline`, { signal });
  }

  /**
   * Give each announcement of the job's end to its webhook.
   *
   * @param {string} id
   * @param {Stoppable} [terms]
   * @returns {Promise<Delivery[]>}
   */
  async deliveries(id, { signal } = {}) {
    return (await this.#requests.json(`${pathOf(id)}/deliveries`, { signal })).deliveries;
  }

  /**
   * @param {string} url
   * @param {AbortSignal} [signal]
   */
  #download(url, signal) {
    const attempt = async () => {
      const answer = await this.#requests.fetch(url, { signal, credentials: "omit" }).catch((error) => {
        throw signal?.aborted ? error : connectionFailed(error);
      });
      const text = await readBody(answer, signal);
      if (!answer.ok) throw refusalOf(answer, text);
      return text;
    };
    return this.#requests.repeat(attempt, { isRepeatable: true, signal });
  }
}

/** @param {string} id */
const pathOf = (id) => `/v1/jobs/${encodeURIComponent(id)}`;
