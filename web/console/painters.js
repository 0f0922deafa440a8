import { h } from "./dom.js";
import { blockAt, build } from "./markdown.js";

/**
 * What puts a growing text into the page, a little each time it is called.
 *
 * @typedef {object} Painter
 * @property {(text: string, isWhole: boolean) => boolean} paint Give whether all of it is there.
 */

const FRAME_MS = 8; // half of a frame: the other half is the browser's
const WINDOW = 64 * 1024; // characters that are looked at a time
const CHUNK = 4 * 1024; // of plain text an element: what is out of sight is not laid out
const LONGEST_CHUNK = 32 * 1024;

/** @implements {Painter} */
export class MarkdownPainter {
  #done = 0;
  #fence = ""; // the line that began the code of which a part is painted already
  #tail = h("div", { class: "tail" });

  /** @param {HTMLElement} home Empty. */
  constructor(home) {
    home.append(this.#tail);
  }

  /**
   * @param {string} text
   * @param {boolean} isWhole Nothing more will come.
   */
  paint(text, isWhole) {
    const until = performance.now() + FRAME_MS;
    const stretch = this.#fence + text.slice(this.#done, this.#done + WINDOW);
    const isLast = this.#done + WINDOW >= text.length;
    const lines = stretch.split("\n");
    if (!(isWhole && isLast)) lines.pop(); // half a line
    const taken = this.#commit(lines, until, isWhole && isLast);
    if (taken > 0) this.#advance(taken, "");
    else if (!isLast) this.#force(stretch, lines); // one block that is longer than the window
    if (!isLast) this.#tail.textContent = ""; // the next frame goes on
    else this.#showTail(this.#fence + text.slice(this.#done, this.#done + WINDOW));
    return isLast && (!isWhole || this.#done >= text.length);
  }

  /**
   * Build the blocks that nothing can be added to any more, for as long as there is time.
   *
   * @param {string[]} lines
   * @param {number} until
   * @param {boolean} isEnd
   * @returns {number} How many characters that were.
   */
  #commit(lines, until, isEnd) {
    let taken = 0;
    for (let at = 0; at < lines.length; ) {
      const { kind, end } = blockAt(lines, at);
      if (end >= lines.length && !isEnd) break;
      const own = lines.slice(at, end);
      const node = build(kind, own);
      if (node) this.#tail.before(node);
      taken += own.reduce((sum, line) => sum + line.length + 1, 0);
      at = end;
      if (performance.now() > until) break;
    }
    return taken;
  }

  /**
   * @param {string} stretch
   * @param {string[]} lines
   */
  #force(stretch, lines) {
    const isCode = lines.length > 0 && blockAt(lines, 0).kind === "fence";
    const opening = isCode ? `${lines[0]}\n` : "";
    const line = stretch.lastIndexOf("\n", LONGEST_CHUNK) + 1;
    const end = line > opening.length ? line : LONGEST_CHUNK;
    const part = stretch.slice(0, end);
    const node = isCode ? build("fence", part.trimEnd().split("\n")) : h("p", { class: "long" }, part);
    if (node) this.#tail.before(node);
    this.#advance(end, opening);
  }

  /**
   * @param {number} taken
   * @param {string} fence What was taken went on from the old one; what follows goes on from this one.
   */
  #advance(taken, fence) {
    this.#done += taken - this.#fence.length;
    this.#fence = fence;
  }

  /** @param {string} rest */
  #showTail(rest) {
    const [first = ""] = rest.trimStart().split("\n", 1);
    const isCode = /^(?:`{3,}|~{3,})/.test(first);
    this.#tail.classList.toggle("is-code", isCode);
    const shown = isCode ? rest.trimStart().slice(first.length + 1) : rest.trimStart();
    if (this.#tail.textContent !== shown) this.#tail.textContent = shown;
  }
}

/** @implements {Painter} */
export class PlainPainter {
  #done = 0;
  /** @type {HTMLElement | null} */
  #chunk = null;
  #length = 0;

  /** @param {HTMLElement} home Empty. */
  constructor(home) {
    this.#home = home;
  }

  /** @type {HTMLElement} */
  #home;

  /** @param {string} text */
  paint(text) {
    const until = performance.now() + FRAME_MS;
    while (this.#done < text.length && performance.now() < until) this.#take(text);
    return this.#done >= text.length;
  }

  /** @param {string} text */
  #take(text) {
    if (this.#chunk === null) {
      this.#chunk = h("div", { class: "plain-chunk" });
      this.#length = 0;
      this.#home.append(this.#chunk);
    }
    const most = text.slice(this.#done, this.#done + LONGEST_CHUNK - this.#length);
    const line = most.indexOf("\n", Math.max(0, CHUNK - this.#length));
    const piece = line < 0 ? most : most.slice(0, line + 1);
    this.#chunk.append(piece);
    this.#done += piece.length;
    this.#length += piece.length;
    if (line >= 0 || this.#length >= LONGEST_CHUNK) this.#chunk = null;
  }
}
