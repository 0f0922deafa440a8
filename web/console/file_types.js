/** Which files are taken, by their endings: the system often knows no type, or another one. Pure. */

import { TYPES_BY_ENDING } from "/static/longhaul/uploads.js";

export const TAKEN = "PDF (.pdf), Word (.docx), HTML (.html), Markdown (.md), CSV (.csv) and text (.txt)";

/**
 * @param {{name: string, type: string}} file
 * @returns {string | null} Null for one that is not taken.
 */
export function typeOf({ name, type }) {
  const ending = name.split(".").pop()?.toLowerCase() ?? "";
  if (Object.hasOwn(TYPES_BY_ENDING, ending)) return TYPES_BY_ENDING[ending] ?? null;
  const said = type.split(";")[0]?.trim() ?? "";
  return Object.values(TYPES_BY_ENDING).includes(said) ? said : null;
}
