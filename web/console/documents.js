import { byId, h, setText } from "./dom.js";
import { TAKEN, typeOf } from "./file_types.js";
import { size } from "./words.js";

/**
 * @import { Uploads } from "/static/longhaul/uploads.js"
 *
 * @typedef {object} Chosen
 * @property {HTMLLIElement} item
 * @property {AbortController} stopping
 * @property {Promise<string>} uploadId
 */

const MOST = 5; // that a job takes

/** The documents of the next job: chosen or dropped, and uploaded at once. */
export class Documents {
  #drop = byId("drop", HTMLElement);
  #input = byId("files", HTMLInputElement);
  #home = byId("documents", HTMLElement);
  /** @type {Set<Chosen>} */
  #chosen = new Set();
  /** @type {Set<HTMLElement>} Files that are not taken. */
  #refused = new Set();

  /**
   * @param {object} terms
   * @param {() => Uploads} terms.uploads
   * @param {(what: string) => void} terms.announce
   */
  constructor({ uploads, announce }) {
    this.#uploads = uploads;
    this.#announce = announce;
    this.#input.addEventListener("change", () => {
      this.#take(this.#input.files);
      this.#input.value = ""; // the same file may be chosen again
    });
    this.#listenToDrops();
  }

  /** @type {() => Uploads} */
  #uploads;
  /** @type {(what: string) => void} */
  #announce;

  /**
   * Wait for the uploads. Throws LonghaulError where one has failed.
   *
   * @returns {Promise<Array<{upload_id: string}>>}
   */
  async ready() {
    const ids = await Promise.all([...this.#chosen].map(({ uploadId }) => uploadId));
    return ids.map((id) => ({ upload_id: id }));
  }

  clear() {
    for (const item of this.#refused) item.remove();
    this.#refused.clear();
    for (const one of [...this.#chosen]) this.#remove(one);
  }

  #listenToDrops() {
    const over = (/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // otherwise the browser leaves the page for the file
      this.#drop.classList.add("is-over");
    };
    document.addEventListener("dragover", over);
    document.addEventListener("dragleave", () => this.#drop.classList.remove("is-over"));
    document.addEventListener("drop", (event) => {
      this.#drop.classList.remove("is-over");
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      if (this.#drop.checkVisibility()) this.#take(event.dataTransfer.files);
    });
  }

  /** @param {FileList | null} files */
  #take(files) {
    for (const file of files ?? []) {
      const type = typeOf(file);
      if (type === null) {
        this.#refuse(file);
        continue;
      }
      if (this.#chosen.size >= MOST) {
        this.#announce(`A job takes ${MOST} documents at most`);
        return;
      }
      this.#add(file, type);
    }
  }

  /** Say that a file is of no kind that is taken, before it goes anywhere. @param {File} file */
  #refuse(file) {
    const why = `Not taken, and no part of the job. Taken are ${TAKEN}.`;
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${file.name}` }, "Remove");
    const said = h("span", { class: "hint is-wrong" }, why);
    const item = h("li", {}, h("span", { class: "file-name" }, file.name), said, remove);
    remove.addEventListener("click", () => {
      item.remove();
      this.#refused.delete(item);
      this.#input.focus();
    });
    this.#refused.add(item);
    this.#home.append(item);
    this.#announce(`${file.name}: ${why}`);
  }

  /**
   * @param {File} file
   * @param {string} contentType
   */
  #add(file, contentType) {
    const stopping = new AbortController();
    const bar = h("progress", { max: Math.max(1, file.size), value: 0, "aria-label": `Upload of ${file.name}` });
    const state = h("span", { class: "hint" }, size(file.size));
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${file.name}` }, "Remove");
    const item = h("li", {}, h("span", { class: "file-name" }, file.name), state, bar, remove);
    const uploadId = this.#upload(file, contentType, stopping.signal, bar, state);
    const one = { item, stopping, uploadId };
    remove.addEventListener("click", () => {
      this.#remove(one);
      this.#input.focus();
    });
    this.#chosen.add(one);
    this.#home.append(item);
  }

  /**
   * @param {File} file
   * @param {string} contentType
   * @param {AbortSignal} signal
   * @param {HTMLProgressElement} bar
   * @param {HTMLElement} state
   */
  #upload(file, contentType, signal, bar, state) {
    const onProgress = (/** @type {{sent: number}} */ { sent }) => (bar.value = sent);
    const uploading = this.#uploads().create(file, { contentType, onProgress, signal });
    const uploadId = uploading.then((upload) => upload.upload_id);
    uploadId.then(
      () => {
        bar.hidden = true;
        setText(state, `${size(file.size)}, uploaded`);
        this.#announce(`${file.name} is uploaded`);
      },
      (error) => {
        bar.hidden = true;
        state.classList.add("is-wrong");
        setText(state, String(error.message ?? error));
        if (!signal.aborted) this.#announce(`${file.name} was not uploaded: ${error.message ?? error}`);
      },
    );
    return uploadId;
  }

  /** @param {Chosen} one */
  #remove(one) {
    one.stopping.abort();
    one.item.remove();
    this.#chosen.delete(one);
  }
}
