import { byId, h, setText } from "./dom.js";

/** @import { Connection } from "/static/longhaul/live_socket.js" */

const WORDS = { connecting: "Connecting", open: "Live", waiting: "Reconnecting", closed: "Offline" };

/** The word in the page's head on whether news arrives. @param {Connection} connection */
export function showConnection({ state }) {
  if (state === "closed") return; // by our own hand: the page has left a job
  byId("connection", HTMLElement).dataset.state = state;
  setText(byId("connection-text", HTMLElement), WORDS[state]);
}

export function showOffline() {
  byId("connection", HTMLElement).dataset.state = "closed";
  setText(byId("connection-text", HTMLElement), WORDS.closed);
}

/** @param {number | null} lostSince Since when the server cannot be reached. */
export function showReach(lostSince) {
  document.body.classList.toggle("is-lost", lostSince !== null);
  const said = byId("lost", HTMLElement);
  if (lostSince === null) return said.replaceChildren();
  const at = new Date(lostSince).toLocaleTimeString();
  said.replaceChildren(h("strong", {}, "Cannot reach the server; trying again."), ` What you see is from ${at}.`);
}

/** Ask for something that is there without a key. */
export async function probe() {
  try {
    const terms = /** @type {const} */ ({ cache: "no-store" });
    const answer = await fetch("/static/console/icon.svg", { ...terms, signal: AbortSignal.timeout(5000) });
    return ![502, 503, 504].includes(answer.status);
  } catch {
    return false;
  }
}
