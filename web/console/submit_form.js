import { Documents } from "./documents.js";
import { byId } from "./dom.js";
import { problemNodes } from "./job_facts.js";
import { titleFrom } from "./words.js";

/**
 * @import { Longhaul } from "/static/longhaul/longhaul.js"
 * @import { Job } from "/static/longhaul/types.js"
 */

const EXAMPLE = `Summarise this for someone who is new to it.

## Why a request is too short

A model that reads a whole contract may think for minutes, and an answer of ten pages takes as long to write. A browser, a proxy or a phone in a tunnel gives up long before that. Then nobody knows whether the answer was written, where it went, or who pays for the second try.

## What Longhaul does instead

Longhaul writes the job down and answers with its number at once. A worker claims the job, so that no other calls the model for it, and streams the answer to whoever watches. When the model is busy, the worker waits as the retry policy says and tries again. When a worker dies, its claim runs out and another one goes on.

## What a watcher sees

Every event of a job has a number. A page that is closed and opened again names the last number it saw, and gets all that it missed, once and in order. The job itself does not care whether anybody is watching: it ends, and its result stays to be read.
`;

/** What a new job is made of. */
export class SubmitForm {
  #form = byId("submit-form", HTMLFormElement);
  #prompt = byId("prompt", HTMLTextAreaElement);
  #problem = byId("submit-problem", HTMLElement);
  #run = byId("run", HTMLButtonElement);
  /** @type {Documents} */
  #documents;

  /**
   * @param {object} terms
   * @param {() => Longhaul} terms.client
   * @param {(job: Job) => void} terms.onSubmitted
   * @param {(what: string) => void} terms.announce
   * @param {(error: unknown) => void} terms.onRefused
   */
  constructor({ client, onSubmitted, announce, onRefused }) {
    this.#client = client;
    this.#onSubmitted = onSubmitted;
    this.#onRefused = onRefused;
    this.#documents = new Documents({ uploads: () => client().uploads, announce });
    this.#prompt.value = EXAMPLE;
    this.#prompt.addEventListener("input", () => this.#showHint());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
  }

  /** Whether the problem that is shown may pass. */
  #mayPass = false;

  /** @type {() => Longhaul} */
  #client;
  /** @type {(job: Job) => void} */
  #onSubmitted;
  /** @type {(error: unknown) => void} */
  #onRefused;

  /** The server is reached again: take back what only said that it was not. */
  comeBack() {
    if (this.#mayPass) this.#problem.hidden = true;
  }

  #showHint() {
    byId("example-hint", HTMLElement).hidden = this.#prompt.value !== EXAMPLE;
  }

  async #submit() {
    if (this.#run.disabled) return;
    this.#problem.hidden = true;
    this.#run.disabled = true;
    this.#run.textContent = "Submitting…";
    try {
      const request = { ...this.#read(), documents: await this.#documents.ready() };
      const job = await this.#client().jobs.create(request.documents.length ? request : without(request));
      this.#documents.clear();
      this.#onSubmitted(job);
    } catch (error) {
      this.#tell(/** @type {Error} */ (error));
    } finally {
      this.#run.disabled = false;
      this.#run.textContent = "Run";
    }
  }

  /** Read the fields into a request; what was left empty is the deployment's to choose. */
  #read() {
    const fields = new FormData(this.#form);
    const text = (/** @type {string} */ name) => String(fields.get(name) ?? "").trim();
    const prompt = String(fields.get("prompt") ?? "");
    const tokens = text("max_tokens");
    return {
      prompt,
      ...(text("model") && { model: text("model") }),
      ...(text("system") && { system: text("system") }),
      ...(tokens && { inference_config: { max_tokens: Number(tokens) } }),
      metadata: { title: titleFrom(prompt), ...readMetadata(text("metadata")) },
    };
  }

  /** @param {Error} error */
  #tell(error) {
    this.#onRefused(error);
    this.#mayPass = "retryable" in error && error.retryable === true;
    const trace = "traceId" in error ? String(error.traceId ?? "") : "";
    this.#problem.replaceChildren(...problemNodes(error, trace));
    this.#problem.hidden = false;
  }
}

/**
 * Read `name=value` lines. Throws a TypeError that names the line which is none.
 *
 * @param {string} text
 * @returns {Record<string, string>}
 */
function readMetadata(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new TypeError(`Metadata: “${line}” is not name=value`);
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

/** @param {Record<string, unknown>} request */
function without({ documents: _, ...request }) {
  return request;
}
