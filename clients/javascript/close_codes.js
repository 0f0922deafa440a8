/**
 * What to do after the WebSocket was closed: docs/api.md's table.
 *
 * @typedef {"give up" | "at once" | "with back-off" | "with a new credential"} Next
 */

/** @type {Readonly<Record<number, Next>>} */
export const NEXT = Object.freeze({
  1002: "give up",
  1007: "give up",
  1008: "with back-off",
  1009: "give up",
  1011: "with back-off",
  1012: "at once",
  4401: "with a new credential",
  4403: "give up",
  4408: "at once",
  4429: "with back-off",
});

/** Too fast: a connection that ends so was no success, however well it began. */
export const TOO_MANY_MESSAGES = 4429;

/** A connection that was cut on its way, as the WebSocket API calls it. */
export const CUT = 1006;

/**
 * @param {number} code
 * @returns {Next}
 */
export const nextAfter = (code) => NEXT[code] ?? "with back-off";
