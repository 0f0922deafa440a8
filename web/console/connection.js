import { byId, setText } from "./dom.js";

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
