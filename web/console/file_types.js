/** Which files are taken, by their endings: the system often knows no type, or another one. Pure. */

/** @type {Record<string, string>} */
const TYPES = {
  pdf: "application/pdf",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  html: "text/html",
  htm: "text/html",
  md: "text/markdown",
  markdown: "text/markdown",
  csv: "text/csv",
  txt: "text/plain",
};

export const TAKEN = "PDF (.pdf), Word (.docx), HTML (.html), Markdown (.md), CSV (.csv) and text (.txt)";

/**
 * @param {{name: string, type: string}} file
 * @returns {string | null} Null for one that is not taken.
 */
export function typeOf({ name, type }) {
  const ending = name.split(".").pop()?.toLowerCase() ?? "";
  if (Object.hasOwn(TYPES, ending)) return TYPES[ending] ?? null;
  const said = type.split(";")[0]?.trim() ?? "";
  return Object.values(TYPES).includes(said) ? said : null;
}
