import { byId, h } from "./dom.js";
import { size } from "./words.js";

/** @import { Job, JobError } from "/static/longhaul/types.js" */

/** @param {Job} job */
export function showFacts(job) {
  const bytes = job.result?.bytes;
  /** @type {Array<[string, string | null | undefined]>} */
  const facts = [
    ["Id", job.id],
    ["Trace", job.trace_id],
    ["Model", job.model],
    ["Submitted", whole(job.created_at)],
    ["Ended", whole(job.ended_at)],
    ["Tokens", job.usage && `${job.usage.input_tokens} in, ${job.usage.output_tokens} out`],
    ["Result", bytes === undefined ? null : size(bytes)],
    ["Stopped by", job.stop_reason],
    ...Object.entries(job.metadata ?? {}).filter(([name]) => name !== "title"), // it stands above
  ];
  byId("facts", HTMLElement).replaceChildren(
    ...facts.flatMap(([name, value]) => (value ? [h("dt", {}, name), h("dd", {}, value)] : [])),
  );
}

/**
 * Give the nodes that say what went wrong, and by which trace an operator finds it.
 *
 * @param {JobError | Error} error
 * @param {string | null | undefined} traceId
 */
export function problemNodes(error, traceId) {
  const about = /** @type {{code?: string, fields?: Array<{field: string, detail: string}>}} */ (error);
  const fields = about.fields ?? [];
  const isTemporary = "retryable" in error && error.retryable === true;
  return [
    h("strong", {}, error.message || "Something went wrong"),
    fields.length > 0 && h("ul", {}, ...fields.map(({ field, detail }) => h("li", {}, `${field}: ${detail}`))),
    h(
      "p",
      { class: "hint" },
      about.code && h("span", {}, "Code ", h("code", {}, about.code), isTemporary ? " (may pass) " : " "),
      traceId && h("span", {}, "Trace ", h("code", {}, traceId)),
    ),
  ].filter((node) => node !== false);
}

/** @param {string | null} iso */
const whole = (iso) => (iso ? new Date(iso).toLocaleString() : null);
