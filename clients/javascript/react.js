import { NOTHING_KNOWN } from "./watch.js";

/**
 * @import { Longhaul } from "./longhaul.js"
 * @import { Job } from "./types.js"
 * @import { JobSnapshot } from "./watch.js"
 *
 * @typedef {object} ReactHooks The two hooks of the page's own React that are used.
 * @property {<T>(make: () => T, inputs: readonly unknown[]) => T} useMemo
 * @property {<T>(subscribe: (listener: () => void) => () => void, get: () => T, getOnServer?: () => T) => T} useSyncExternalStore
 *
 * @typedef {JobSnapshot & {cancel: () => Promise<Job>, redrive: () => Promise<Job>}} UsedJob
 */

const NO_JOB = {
  subscribe: () => () => {},
  getSnapshot: () => NOTHING_KNOWN,
  cancel: () => Promise.reject(new TypeError("there is no job yet")),
  redrive: () => Promise.reject(new TypeError("there is no job yet")),
};

/**
 * Make the hook `useJob(id)` with the page's own React, so that this module imports none: it works
 * behind a bundler, with an import map, and with a React that is a global.
 *
 *     const useJob = createUseJob(React, client);
 *     const { status, text, error, cancel } = useJob(id);
 *
 * An `id` that is null, because the job is not submitted yet, gives a job of which nothing is known.
 *
 * @param {ReactHooks} React
 * @param {Longhaul} client
 * @returns {(id: string | null | undefined) => UsedJob}
 */
export function createUseJob(React, client) {
  return function useJob(id) {
    const watch = React.useMemo(() => (id ? client.jobs.watch(id) : NO_JOB), [id]);
    const seen = React.useSyncExternalStore(watch.subscribe, watch.getSnapshot, watch.getSnapshot);
    return React.useMemo(
      () => ({ ...seen, cancel: watch.cancel, redrive: watch.redrive }),
      [watch, seen],
    );
  };
}
