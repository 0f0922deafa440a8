import { h } from "./dom.js";

/**
 * Emphasis, code and links inside a paragraph. Every step forward costs a bounded look ahead, so that
 * no text, however it was made, holds the page up.
 */

const MOST_CHARACTERS = 20_000; // in one paragraph; a longer one is shown as it is
const DEEPEST = 16;
const SPECIAL = /[\\`*_~[<\n]|!\[|https?:\/\//g;
const NAMED = /!?\[((?:[^[\]\\\n]|\\.){0,500})\]\(<?(https?:\/\/[^\s<>()]{1,2000}(?:\([^\s<>()]{0,500}\)[^\s<>()]{0,500}){0,4})>?(?: +"[^"\n]{0,300}")?\)/y;
const POINTED = /<(https?:\/\/[^\s<>]{1,2000})>/y;
const BARE = /https?:\/\/[^\s<>"`*|\]]{1,2000}/y;
const ESCAPED = /\\[!-/:-@[-`{-~]/y;

/**
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function inline(text) {
  const root = document.createDocumentFragment();
  if (text.length > MOST_CHARACTERS) root.append(text);
  else new Inline(text, root).run();
  return root;
}

class Inline {
  /**
   * @param {string} text
   * @param {DocumentFragment} root
   */
  constructor(text, root) {
    this.text = text;
    /** @type {Array<{mark: string, node: Element | DocumentFragment}>} */
    this.open = [{ mark: "", node: root }];
    this.at = 0;
    this.plain = "";
  }

  get #here() {
    return /** @type {{node: Element | DocumentFragment}} */ (this.open[this.open.length - 1]).node;
  }

  run() {
    while (this.at < this.text.length) {
      SPECIAL.lastIndex = this.at;
      const special = SPECIAL.exec(this.text);
      const next = special?.index ?? this.text.length;
      this.plain += this.text.slice(this.at, next);
      this.at = next;
      if (special) this.#take(special[0]);
    }
    this.#flush();
    while (this.open.length > 1) this.#giveUp();
  }

  /** @param {string} special */
  #take(special) {
    switch (special[0]) {
      case "\\":
        return this.#escape();
      case "`":
        return this.#code();
      case "\n":
        return this.#breakLine();
      case "*":
      case "_":
      case "~":
        return this.#emphasise(special);
      default:
        return this.#link(special);
    }
  }

  #escape() {
    const escaped = this.#match(ESCAPED);
    if (escaped) this.#skip(escaped[0].length, this.text[this.at + 1] ?? "");
    else if (this.text[this.at + 1] === "\n") this.#skip(2, h("br"));
    else this.#skip(1, "\\");
  }

  #code() {
    const run = this.#runLength("`");
    const ticks = "`".repeat(run);
    for (let end = this.at + run; (end = this.text.indexOf(ticks, end)) >= 0; ) {
      const length = runLengthAt(this.text, end, "`");
      if (length === run) {
        const code = this.text.slice(this.at + run, end).replaceAll("\n", " ");
        const isPadded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
        return this.#skip(end + run - this.at, h("code", {}, isPadded ? code.slice(1, -1) : code));
      }
      end += length;
    }
    this.#skip(run, ticks);
  }

  #breakLine() {
    if (!this.plain.endsWith("  ")) return this.#skip(1, "\n");
    this.plain = this.plain.trimEnd();
    this.#skip(1, h("br"));
  }

  /** @param {string} special */
  #link(special) {
    const named = this.#match(NAMED);
    if (named) return this.#skip(named[0].length, link(named[2] ?? "", inline(named[1] || (named[2] ?? ""))));
    const pointed = this.#match(POINTED);
    if (pointed) return this.#skip(pointed[0].length, link(pointed[1] ?? "", pointed[1] ?? ""));
    const bare = this.#match(BARE)?.[0].replace(/[.,;:!?)'_~]{1,10}$/, "");
    if (bare) return this.#skip(bare.length, link(bare, bare));
    this.#skip(special.length, special);
  }

  /** @param {string} sign */
  #emphasise(sign) {
    const run = this.#runLength(sign);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + run] ?? " ";
    const mayOpen = !isSpace(after) && !(sign === "_" && isWord(before));
    const mayClose = !isSpace(before) && !(sign === "_" && isWord(after));
    this.at += run;
    if (sign === "~" && run !== 2) {
      this.plain += sign.repeat(run);
      return;
    }
    let left = run;
    while (left > 0 && mayClose && this.#close(sign, left)) left -= this.closed;
    while (left > 0 && mayOpen && this.open.length < DEEPEST) {
      const mark = sign.repeat(left >= 2 ? 2 : 1);
      const node = h(sign === "~" ? "del" : mark.length === 2 ? "strong" : "em");
      this.#flush();
      this.#here.append(node);
      this.open.push({ mark, node });
      left -= mark.length;
    }
    this.plain += sign.repeat(left);
  }

  closed = 0;

  /**
   * End the nearest emphasis by this sign that needs no more of them than there are.
   *
   * @param {string} sign
   * @param {number} left
   */
  #close(sign, left) {
    const place = this.open.findLastIndex(({ mark }) => mark.startsWith(sign) && mark.length <= left);
    if (place < 1) return false;
    this.#flush();
    while (this.open.length - 1 > place) this.#giveUp();
    this.closed = /** @type {{mark: string}} */ (this.open.pop()).mark.length;
    return true;
  }

  /** Let an emphasis that nothing ends be the signs that it was. */
  #giveUp() {
    const { mark, node } = /** @type {{mark: string, node: Element}} */ (this.open.pop());
    const kept = document.createDocumentFragment();
    kept.append(mark, ...node.childNodes);
    node.replaceWith(kept);
  }

  /**
   * @param {number} length
   * @param {string | Node} instead
   */
  #skip(length, instead) {
    this.at += length;
    if (typeof instead === "string") {
      this.plain += instead;
      return;
    }
    this.#flush();
    this.#here.append(instead);
  }

  #flush() {
    if (this.plain) this.#here.append(this.plain);
    this.plain = "";
  }

  /** @param {RegExp} pattern */
  #match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  /** @param {string} sign */
  #runLength(sign) {
    return runLengthAt(this.text, this.at, sign);
  }
}

/**
 * @param {string} address
 * @param {string | Node} words
 * @returns {Node | string}
 */
function link(address, words) {
  if (!URL.canParse(address)) return typeof words === "string" ? words : h("span", {}, words);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, words);
}

/**
 * @param {string} text
 * @param {number} at
 * @param {string} sign
 */
function runLengthAt(text, at, sign) {
  let end = at;
  while (text[end] === sign) end += 1;
  return end - at;
}

/** @param {string} character */
const isSpace = (character) => character.trim() === "";

/** @param {string} character */
const isWord = (character) => /[\p{L}\p{N}]/u.test(character);
