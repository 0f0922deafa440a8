/** The page's colours: the system's, or those that the visitor chose in this browser. */

const KEY = "longhaul.theme";
const NEXT = /** @type {Record<string, string>} */ ({ system: "light", light: "dark", dark: "system" });

/** @returns {string} */
function chosen() {
  try {
    const theme = localStorage.getItem(KEY) ?? "system";
    return theme in NEXT ? theme : "system";
  } catch {
    return "system"; // a browser that keeps nothing
  }
}

/** @param {string} theme */
function wear(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** @param {HTMLButtonElement} button */
export function offerThemes(button) {
  const word = button.querySelector("#theme-word") ?? button;
  const tell = () => (word.textContent = chosen());
  button.addEventListener("click", () => {
    const theme = NEXT[chosen()] ?? "system";
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // then it is not kept
    }
    wear(theme);
    tell();
  });
  tell();
}

wear(chosen());
