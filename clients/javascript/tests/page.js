// @ts-ignore - the package ships no types
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><div id='page'></div>", { url: "http://127.0.0.1/" });
for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator })) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}

// React looks for a page when it is loaded.
export const React = (await import("react")).default;
// @ts-ignore - the package ships no types
const { createRoot } = await import("react-dom/client");

/** Show an element in the page, in React's strict mode, which mounts everything twice. */
export function show(/** @type {import("react").ReactElement} */ element) {
  const root = createRoot(window.document.getElementById("page"));
  root.render(React.createElement(React.StrictMode, null, element));
  return {
    text: () => window.document.body.textContent ?? "",
    leave: () => root.unmount(),
    /** @param {import("react").ReactElement} next */
    turnTo: (next) => root.render(React.createElement(React.StrictMode, null, next)),
  };
}
