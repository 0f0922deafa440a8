import { LonghaulError, abortOf, connectionFailed } from "./errors.js";

/**
 * @import { Requests } from "./requests.js"
 * @import { Upload } from "./types.js"
 *
 * @typedef {{sent: number, total: number}} Sent Bytes.
 *
 * @typedef {object} Offer A PUT that is allowed.
 * @property {string} upload_id
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} headers
 * @property {string} expires_at
 */

/** For files whose type the system does not know, as most know none for Markdown. */
export const TYPES_BY_ENDING = /** @type {Record<string, string>} */ ({
  pdf: "application/pdf",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  html: "text/html",
  htm: "text/html",
  md: "text/markdown",
  markdown: "text/markdown",
  csv: "text/csv",
  txt: "text/plain",
});

/** Big inputs, which go straight to the object store. */
export class Uploads {
  /** @param {Requests} requests */
  constructor(requests) {
    this.#requests = requests;
  }

  /** @type {Requests} */
  #requests;

  /**
   * Upload a file, and give what a job's `documents` name it by.
   *
   * @param {Blob | File} file
   * @param {object} [terms]
   * @param {string} [terms.name] For people and for the model; the file's own otherwise.
   * @param {string} [terms.contentType] The file's own otherwise, or what its name's ending says.
   * @param {(sent: Sent) => void} [terms.onProgress]
   * @param {AbortSignal} [terms.signal]
   * @returns {Promise<Upload>}
   */
  async create(file, { name, contentType, onProgress, signal } = {}) {
    const called = name ?? ("name" in file ? file.name : "document");
    const declared = {
      content_type: contentType ?? typeOf(file, called),
      bytes: file.size,
      sha256: await sha256Of(file),
      name: called,
    };
    const ask = { method: "POST", json: declared, signal, isRepeatable: true };
    /** @type {Offer} */
    const offer = await this.#requests.json("/v1/uploads", ask);
    const put = globalThis.XMLHttpRequest && onProgress ? putByXhr : putByFetch(this.#requests.fetch);
    onProgress?.({ sent: 0, total: file.size });
    const attempt = () => put(offer, file, { onProgress, signal });
    await this.#requests.repeat(attempt, { isRepeatable: true, signal });
    onProgress?.({ sent: file.size, total: file.size });
    const { sha256: _, ...said } = declared;
    return { upload_id: offer.upload_id, ...said };
  }
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function typeOf(file, name) {
  const type = file.type.split(";")[0]?.trim() || TYPES_BY_ENDING[name.split(".").pop()?.toLowerCase() ?? ""];
  if (type) return type;
  throw new LonghaulError(`nothing says what ${name} is: give its contentType`, {
    code: "unknown_content_type",
  });
}

/**
 * @param {Blob} file
 * @returns {Promise<string>} In base64, as the object store compares it.
 */
async function sha256Of(file) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) {
    const detail = "an upload needs crypto.subtle: a page over https or of this very machine, or Node 20";
    throw new LonghaulError(detail, { code: "insecure_context" });
  }
  const digest = await subtle.digest("SHA-256", await file.arrayBuffer());
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/**
 * @typedef {{onProgress?: (sent: Sent) => void, signal?: AbortSignal}} PutTerms
 */

/**
 * @param {typeof globalThis.fetch} fetch
 * @returns {(offer: Offer, file: Blob, terms: PutTerms) => Promise<void>}
 */
const putByFetch = (fetch) => async ({ method, url, headers }, file, { signal }) => {
  const ask = { method, headers, body: file, signal, credentials: /** @type {const} */ ("omit") };
  const answer = await fetch(url, ask).catch((error) => {
    throw signal?.aborted ? error : connectionFailed(error);
  });
  if (!answer.ok) throw refused(answer.status);
  await answer.body?.cancel();
};

/**
 * Only XMLHttpRequest tells how much has been sent.
 *
 * @param {Offer} offer
 * @param {Blob} file
 * @param {PutTerms} terms
 * @returns {Promise<void>}
 */
function putByXhr({ method, url, headers }, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const put = new XMLHttpRequest();
    const stop = () => put.abort();
    const end = (/** @type {() => void} */ settle) => () => {
      signal?.removeEventListener("abort", stop);
      settle();
    };
    put.open(method, url);
    for (const [name, value] of Object.entries(headers)) put.setRequestHeader(name, value);
    put.upload.onprogress = ({ loaded }) => onProgress?.({ sent: loaded, total: file.size });
    put.onload = end(() => (put.status >= 200 && put.status < 300 ? resolve() : reject(refused(put.status))));
    put.onerror = end(() => reject(connectionFailed("the upload broke off, or the bucket allows no page to write")));
    put.onabort = end(() => reject(abortOf(/** @type {AbortSignal} */ (signal))));
    signal?.addEventListener("abort", stop, { once: true });
    put.send(file);
    if (signal?.aborted) stop();
  });
}

/** @param {number} status */
function refused(status) {
  return new LonghaulError(`the object store refused the upload with ${status}`, {
    code: "upload_refused",
    status,
    retryable: status === 503,
  });
}
