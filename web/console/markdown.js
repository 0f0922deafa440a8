import { h } from "./dom.js";
import { inline } from "./inline.js";

/**
 * Markdown as models write it: headings, lists, code, quotes, tables, rules, paragraphs. There is no
 * HTML in it: a tag is text. Headings begin at the third level, below the page's own.
 *
 * @typedef {"blank" | "fence" | "heading" | "rule" | "quote" | "list" | "table" | "text"} Kind
 * @typedef {{kind: Kind, end: number}} Block `end`: the line after its last one.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( {1,4})(?=\S)|[ \t]|$)/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const DEEPEST = 8;

/**
 * Say what stands at a line, and where it ends: at `lines.length` it may go on.
 *
 * @param {string[]} lines
 * @param {number} at
 * @returns {Block}
 */
export function blockAt(lines, at) {
  const line = lines[at] ?? "";
  if (isBlank(line)) return { kind: "blank", end: at + 1 };
  if (FENCE.test(line)) return { kind: "fence", end: endOfFence(lines, at) };
  if (HEADING.test(line)) return { kind: "heading", end: at + 1 };
  if (RULE.test(line)) return { kind: "rule", end: at + 1 };
  if (QUOTE.test(line)) return { kind: "quote", end: endWhile(lines, at, (one) => QUOTE.test(one)) };
  if (ITEM.test(line)) return { kind: "list", end: endOfList(lines, at) };
  if (isTableAt(lines, at)) return { kind: "table", end: endWhile(lines, at + 1, (one) => one.includes("|")) };
  return { kind: "text", end: endOfText(lines, at) };
}

/**
 * @param {Kind} kind
 * @param {string[]} lines The block's own.
 * @param {number} [depth]
 * @returns {Node | null}
 */
export function build(kind, lines, depth = 0) {
  switch (kind) {
    case "blank":
      return null;
    case "fence":
      return buildFence(lines);
    case "heading":
      return buildHeading(lines[0] ?? "");
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", {}, buildAll(lines.map((line) => line.replace(/^ {0,3}> ?/, "")), depth + 1));
    case "list":
      return buildList(lines, depth);
    case "table":
      return buildTable(lines);
    case "text":
      return h("p", {}, inline(lines.map((line) => line.trimStart()).join("\n")));
  }
}

/**
 * @param {string[]} lines
 * @param {number} [depth]
 */
export function buildAll(lines, depth = 0) {
  const whole = document.createDocumentFragment();
  if (depth > DEEPEST) {
    whole.append(lines.join("\n"));
    return whole;
  }
  for (let at = 0; at < lines.length; ) {
    const { kind, end } = blockAt(lines, at);
    const node = build(kind, lines.slice(at, end), depth);
    if (node) whole.append(node);
    at = end;
  }
  return whole;
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function endOfFence(lines, at) {
  const fence = FENCE.exec(lines[at] ?? "")?.[1] ?? "```";
  for (let end = at + 1; end < lines.length; end += 1) {
    const line = (lines[end] ?? "").trim();
    if (line.length >= fence.length && line === (fence[0] ?? "").repeat(line.length)) return end + 1;
  }
  return lines.length;
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function endOfList(lines, at) {
  const isOrdered = isNumbered(lines[at] ?? "");
  let end = at + 1;
  for (let here = end; here < lines.length; here += 1) {
    const line = lines[here] ?? "";
    if (isBlank(line)) continue;
    const isNext = ITEM.test(line) && isNumbered(line) === isOrdered && !RULE.test(line);
    const isInside = /^(?: {2}|\t)/.test(line);
    const goesOn = here === end && !startsBlock(lines, here);
    if (!isNext && !isInside && !goesOn) return end;
    end = here + 1;
  }
  return lines.length;
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function endOfText(lines, at) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end] ?? "") && !startsBlock(lines, end)) end += 1;
  return end;
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {(line: string) => boolean} belongs
 */
function endWhile(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end] ?? "")) end += 1;
  return end;
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function startsBlock(lines, at) {
  const line = lines[at] ?? "";
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((start) => start.test(line)) || isTableAt(lines, at);
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function isTableAt(lines, at) {
  const rule = lines[at + 1] ?? "";
  return (lines[at] ?? "").includes("|") && rule.includes("-") && rule.includes("|") && TABLE_RULE.test(rule);
}

/** @param {string[]} lines */
function buildFence(lines) {
  const [opening = "", ...rest] = lines;
  const [, fence = "```", info = ""] = FENCE.exec(opening) ?? [];
  const last = (rest.at(-1) ?? "").trim();
  const isClosed = last.length >= fence.length && last === (fence[0] ?? "").repeat(last.length);
  const code = h("code", {}, (isClosed ? rest.slice(0, -1) : rest).join("\n"));
  const language = info.trim().split(/\s/)[0];
  return h("pre", { tabindex: 0, "data-language": language || null }, code);
}

/** @param {string} line */
function buildHeading(line) {
  const [, signs = "#", words = ""] = HEADING.exec(line) ?? [];
  const level = /** @type {"h3" | "h4" | "h5" | "h6"} */ (`h${Math.min(6, signs.length + 2)}`);
  return h(level, {}, inline(withoutClosingSigns(words)));
}

/** @param {string} words */
function withoutClosingSigns(words) {
  const text = words.trimEnd();
  let end = text.length;
  while (text[end - 1] === "#") end -= 1;
  return end < text.length && (end === 0 || text[end - 1] === " ") ? text.slice(0, end).trimEnd() : text;
}

/**
 * @param {string[]} lines
 * @param {number} depth
 */
function buildList(lines, depth) {
  const first = ITEM.exec(lines[0] ?? "");
  const number = Number.parseInt(first?.[2] ?? "", 10);
  const list = Number.isNaN(number) ? h("ul") : h("ol", { start: number === 1 ? null : number });
  for (const item of itemsOf(lines)) list.append(buildItem(item, depth));
  return list;
}

/**
 * Part a list into the lines of its items, each without what makes it one.
 *
 * @param {string[]} lines
 */
function itemsOf(lines) {
  /** @type {string[][]} */
  const items = [];
  const isOrdered = isNumbered(lines[0] ?? "");
  let inset = 0;
  for (const line of lines) {
    const found = ITEM.exec(line);
    const isOwn = found !== null && isNumbered(line) === isOrdered && (found[1] ?? "").length < inset;
    if (found !== null && (items.length === 0 || isOwn)) {
      inset = found[0].length;
      items.push([line.slice(inset)]);
    } else {
      items.at(-1)?.push(withoutInset(line.replace(/^\t/, "    "), inset));
    }
  }
  return items;
}

/** @param {string} line */
const isNumbered = (line) => /\d/.test(ITEM.exec(line)?.[2] ?? "");

/**
 * @param {string} line
 * @param {number} inset
 */
function withoutInset(line, inset) {
  let start = 0;
  while (start < inset && line[start] === " ") start += 1;
  return line.slice(start);
}

/**
 * @param {string[]} lines
 * @param {number} depth
 */
function buildItem(lines, depth) {
  const task = /^\[([ xX])\] /.exec(lines[0] ?? "");
  const own = task ? [(lines[0] ?? "").slice(4), ...lines.slice(1)] : lines;
  const content = buildAll(own, depth + 1);
  const item = h("li", {}, task && (task[1] === " " ? "☐ " : "☑ "));
  const isTight = !own.slice(0, -1).some(isBlank);
  for (const node of [...content.childNodes]) {
    if (isTight && node instanceof HTMLParagraphElement) item.append(...node.childNodes);
    else item.append(node);
  }
  return item;
}

/** @param {string[]} lines */
function buildTable(lines) {
  const [head = "", rule = "", ...rows] = lines;
  const sides = cellsOf(rule).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "middle" : "end") : null));
  const row = (/** @type {string} */ line, /** @type {"th" | "td"} */ tag) => {
    const cells = cellsOf(line);
    const scope = tag === "th" ? "col" : null;
    return h("tr", {}, ...sides.map((side, n) => h(tag, { scope, "data-side": side }, inline(cells[n] ?? ""))));
  };
  const table = h("table", {}, h("thead", {}, row(head, "th")), h("tbody", {}, ...rows.map((one) => row(one, "td"))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, table);
}

/** @param {string} line */
function cellsOf(line) {
  const text = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return text.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** @param {string} line */
const isBlank = (line) => line.trim() === "";
