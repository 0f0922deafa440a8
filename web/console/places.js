const JOB = /^#\/jobs\/([\w-]{1,100})$/;

/**
 * Say what an address's part after `#` means: pure.
 *
 * @param {string} hash
 * @returns {{view: "new" | "list" | "job" | "nowhere", jobId: string}}
 */
export function placeOf(hash) {
  const jobId = JOB.exec(hash)?.[1];
  if (jobId !== undefined) return { view: "job", jobId };
  if (["", "#", "#/"].includes(hash)) return { view: "new", jobId: "" };
  return { view: hash === "#/jobs" ? "list" : "nowhere", jobId: "" };
}
