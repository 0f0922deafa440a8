import { Longhaul } from "/static/longhaul/longhaul.js";

/** @import { Connection } from "/static/longhaul/live_socket.js" */

const KEY = "longhaul.key";

/** The API key of this tab: kept in sessionStorage, where no other tab and no later visit finds it. */
export const session = {
  /** @returns {string} Empty where there is none. */
  key: () => sessionStorage.getItem(KEY) ?? "",
  /** @param {string} key */
  keep: (key) => sessionStorage.setItem(KEY, key),
  forget: () => sessionStorage.removeItem(KEY),
};

/**
 * @param {string} key
 * @param {(connection: Connection) => void} [onConnection]
 */
export function clientWith(key, onConnection) {
  return new Longhaul({ apiKey: key || undefined, onConnection });
}

/** @param {unknown} error */
export const isRefusal = (error) =>
  error instanceof Error && "code" in error && error.code === "unauthenticated";
