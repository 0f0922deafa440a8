import { byId } from "./dom.js";
import { MarkdownPainter, PlainPainter } from "./painters.js";

const LONG = 64 * 1024; // characters from which on what is out of sight is not laid out

/** @import { Painter } from "./painters.js" */

/** The text of a job, rendered or plain, as it grows; to be copied and downloaded. */
export class Answer {
  #home = byId("answer", HTMLElement);
  #plain = byId("plain", HTMLButtonElement);
  #copy = byId("copy", HTMLButtonElement);
  #download = byId("download", HTMLButtonElement);
  #text = "";
  #isWhole = false;
  #isPlain = false;
  #name = "answer";
  #frame = 0;
  /** @type {Painter} */
  #painter = new MarkdownPainter(this.#home);

  /** @param {(what: string) => void} announce */
  constructor(announce) {
    this.#plain.addEventListener("click", () => this.#turn());
    this.#copy.addEventListener("click", () => {
      navigator.clipboard.writeText(this.#text).then(
        () => announce("Answer copied"),
        () => announce("The browser did not let the answer be copied"),
      );
    });
    this.#download.addEventListener("click", () => this.#save());
  }

  /** @param {string} name What a downloaded file is called. */
  clear(name) {
    this.#name = name;
    this.show("", { isWhole: false });
  }

  /**
   * @param {string} text
   * @param {{isWhole: boolean}} terms
   */
  show(text, { isWhole }) {
    if (text === this.#text && isWhole === this.#isWhole) return;
    const goesOn = text.startsWith(this.#text) && (!this.#isWhole || text === this.#text);
    this.#text = text;
    this.#isWhole = isWhole;
    this.#copy.disabled = this.#download.disabled = text === "";
    if (!goesOn) this.#begin();
    this.#go();
  }

  #turn() {
    this.#isPlain = !this.#isPlain;
    this.#plain.setAttribute("aria-pressed", String(this.#isPlain));
    this.#begin();
    this.#go();
  }

  #begin() {
    this.#home.replaceChildren();
    this.#home.classList.toggle("is-plain", this.#isPlain);
    this.#painter = this.#isPlain ? new PlainPainter(this.#home) : new MarkdownPainter(this.#home);
  }

  #go() {
    if (this.#frame !== 0) return;
    this.#home.setAttribute("aria-busy", "true");
    this.#home.classList.toggle("is-long", this.#text.length > LONG);
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const isThere = this.#painter.paint(this.#text, this.#isWhole);
      if (!isThere) this.#go();
      else if (this.#isWhole) this.#home.setAttribute("aria-busy", "false");
    });
  }

  #save() {
    const url = URL.createObjectURL(new Blob([this.#text], { type: "text/markdown" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${this.#name}.md`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser has begun to read it by then
  }
}
